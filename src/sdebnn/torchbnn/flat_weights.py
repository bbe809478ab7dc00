"""The parameters of a module as one vector, and the module run with the weights in such a vector."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from sdebnn.errors import InputError
from sdebnn.torchbnn.arrays import natural_order
from sdebnn.torchbnn.bayesian import takes_depth
from sdebnn.torchbnn.diffeq_layers import DepthLayer, Ignore, fan_in

DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


class FlatWeights:
    """How the parameters of a module lie in a vector: in the order in which `sdebnn.brax` has them.

    **Arguments:**

    - `module`: called as `module(x, t=...)`, or as `module(x)` if it takes no `t`.

    **Raises:** `InputError` for a module without parameters, with buffers or dropout, which would change along the
    path, with `t` before `x`, or without `t` around layers that depend on it.
    """

    def __init__(self, module: nn.Module) -> None:
        if next(iter(inspect.signature(module.forward).parameters), None) == "t":
            raise InputError("f_x takes t first, but it is called as f_x(x, t=t): let its forward take x before t.")
        if any(True for _ in module.buffers()):
            raise InputError(
                f"f_x has the buffer {next(iter(dict(module.named_buffers())))!r}; its state would change along the "
                "path: take layers without buffers, such as nn.GroupNorm in place of nn.BatchNorm2d."
            )
        for name, layer in module.named_modules():
            if isinstance(layer, DROPOUT) and layer.p > 0:
                raise InputError(
                    f"f_x has dropout ({name}), whose mask would change at every step of the solver; leave it out: the "
                    "noise of the weights takes its place."
                )
        self._takes_t = takes_depth(module)
        for name, layer in module.named_modules():
            if not self._takes_t and isinstance(layer, DepthLayer) and type(layer) is not Ignore:
                raise InputError(
                    f"The layer {name!r} of f_x depends on depth t, but f_x takes no t, so it would never change: put "
                    "sdebnn.torchbnn.Serial in place of nn.Sequential, or let forward take t and hand it on."
                )
        parameters = dict(sorted(module.named_parameters(), key=lambda item: natural_order(item[0])))
        if not parameters:
            raise InputError("f_x has no parameters, so there are no weights to follow an SDE.")
        self._names = list(parameters)
        self._shapes = [parameter.shape for parameter in parameters.values()]
        self.sizes = [parameter.numel() for parameter in parameters.values()]
        of_name = fan_in(module)
        self.fan_in = [of_name[name] for name in parameters]

    @property
    def size(self) -> int:
        """The length of the vector."""
        return sum(self.sizes)

    def of(self, module: nn.Module) -> torch.Tensor:
        """The vector of the module's own parameters."""
        parameters = dict(module.named_parameters())
        return torch.cat([parameters[name].reshape(-1) for name in self._names])

    def run(self, module: nn.Module, w: torch.Tensor, x: torch.Tensor, t: Any) -> torch.Tensor:
        """The module's outputs with the weights `w`. **Raises:** `InputError` if they have not the shape of x."""
        parts = w.split(self.sizes)
        weights = {name: part.view(shape) for name, part, shape in zip(self._names, parts, self._shapes, strict=True)}
        outputs = torch.func.functional_call(module, weights, (x,), {"t": t} if self._takes_t else {})
        if outputs.shape != x.shape:
            raise InputError(
                f"f_x maps inputs of shape {tuple(x.shape)} to {tuple(outputs.shape)}; it moves the hidden state "
                "through depth, so it must keep its shape."
            )
        return outputs


def with_parameters(module: nn.Module, parameters: Mapping[str, torch.Tensor]) -> Callable[..., torch.Tensor]:
    """The module as a function that has these parameters whenever it is called."""

    def call(*args: Any, **kwargs: Any) -> torch.Tensor:
        return torch.func.functional_call(module, dict(parameters), args, kwargs)

    return call
