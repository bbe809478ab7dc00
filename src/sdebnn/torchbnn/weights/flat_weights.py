"""The parameters of a module as one vector, and the module run with the weights in such a vector."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from sdebnn.errors import InputError
from sdebnn.torchbnn.layers.batch_statistics import check_no_batch_statistics
from sdebnn.torchbnn.layers.bayesian import Serial, check_deterministic, forward_parameters, takes_depth
from sdebnn.torchbnn.layers.bfloat16 import Bfloat16
from sdebnn.torchbnn.layers.checkpoints_within import without_checkpoints
from sdebnn.torchbnn.layers.depth import Depth
from sdebnn.torchbnn.layers.diffeq_layers import Activation, Ignore, Swish, fan_in
from sdebnn.torchbnn.layers.dropout import check_no_dropout
from sdebnn.torchbnn.layers.in_place import InputsKept
from sdebnn.torchbnn.layers.lent_parameters import call_with, places_of
from sdebnn.torchbnn.layers.parameter_names import natural_order
from sdebnn.torchbnn.layers.precision import check_weights

# These take depth: the first only to hand it on, the others whatever it is.
HAND_ON = (Serial, Bfloat16)
WITHOUT_DEPTH = (Ignore, Activation, Swish)


class FlatWeights:
    """How the parameters of a module lie in a vector: in the order in which `sdebnn.brax` has them.

    **Arguments:**

    - `module`: called as `module(x, t=...)`, or as `module(x)` if it takes no `t`.

    **Raises:** `InputError` for a module without parameters, with buffers or dropout, which would change along the
    path, with Bayesian modules, whose KL would be lost, with `t` before `x` or arguments beside them, or without `t`
    around layers that depend on it.
    """

    def __init__(self, module: nn.Module) -> None:
        _check_arguments(module)
        check_deterministic(module, "f_x")
        check_weights(module, "f_x")
        if any(True for _ in module.buffers()):
            raise InputError(
                f"f_x has the buffer {next(iter(dict(module.named_buffers())))!r}; its state would change along the "
                "path: take layers without buffers, such as nn.GroupNorm in place of nn.BatchNorm2d."
            )
        check_no_batch_statistics(module, "f_x")
        check_no_dropout(module, "f_x")
        _check_depth(module)
        self._takes_t = takes_depth(module)
        parameters = dict(sorted(module.named_parameters(), key=lambda item: natural_order(item[0])))
        if not parameters:
            raise InputError("f_x has no parameters, so there are no weights to follow an SDE.")
        self._names, self._places = list(parameters), places_of(module)
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

    def runner(
        self, module: nn.Module, *, own: bool = False
    ) -> Callable[[torch.Tensor, torch.Tensor, Any], torch.Tensor]:
        """The module as a function of weights, x and t, with an x that it may write into; `own` says that the weights
        are those of the module. **Raises:** as `run` and `without_checkpoints`.
        """
        looked = own

        def run(x: torch.Tensor, w: torch.Tensor, t: Depth) -> torch.Tensor:
            nonlocal looked
            if looked or not torch.is_grad_enabled():
                return self.run(module, w, x, t)
            looked = True
            return without_checkpoints(lambda: self.run(module, w, x, t), (w, x), "f_x")

        kept = InputsKept(run, "f_x")
        return lambda w, x, t: kept(x, w, t, weights=w)

    def run(self, module: nn.Module, w: torch.Tensor, x: torch.Tensor, t: Depth) -> torch.Tensor:
        """The module's outputs with the weights `w`. **Raises:** `InputError` if they have not the shape of x."""
        parts = w.split(self.sizes)
        weights = {name: part.view(shape) for name, part, shape in zip(self._names, parts, self._shapes, strict=True)}
        depth = {"t": t} if self._takes_t else {}
        try:
            outputs = call_with(module, self._places, weights, (x,), depth)
        except TypeError as error:
            if "unexpected keyword argument 't'" not in str(error):
                raise
            raise InputError(
                f"f_x takes **kwargs, so it is given depth t, and hands it to what takes none ({error}): name the "
                "argument, forward(self, x, *, t), or leave **kwargs out."
            ) from error
        if not isinstance(outputs, torch.Tensor):
            raise InputError(
                f"f_x returns a {type(outputs).__name__}; it moves the hidden state through depth, so it must return a "
                "tensor of its shape: wrap it in a module that does."
            )
        if outputs.shape != x.shape:
            raise InputError(
                f"f_x maps inputs of shape {tuple(x.shape)} to {tuple(outputs.shape)}; it moves the hidden state "
                "through depth, so it must keep its shape."
            )
        return outputs if outputs.dtype == x.dtype else outputs.to(x.dtype)


def _check_arguments(module: nn.Module) -> None:
    inner: nn.Module = getattr(module, "_orig_mod", module)
    if isinstance(inner, HAND_ON):
        for child in inner.children():
            _check_arguments(child)
        return
    for number, argument in enumerate(forward_parameters(inner).values()):
        if number == 0 and argument.name == "t":
            raise InputError("f_x takes t first, but it is called as f_x(x, t=t): let its forward take x before t.")
        many = argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD)
        if number > 0 and argument.name != "t" and argument.default is argument.empty and not many:
            raise InputError(
                f"f_x takes {argument.name!r} too, but it is called as f_x(x, t=t): give that a default, or leave it "
                "out."
            )


def _check_depth(module: nn.Module, path: str = "") -> None:
    """**Raises:** `InputError` for a layer that depends on depth within a module that takes none."""
    inner: nn.Module = getattr(module, "_orig_mod", module)
    if isinstance(inner, HAND_ON):
        for name, child in inner.named_children():
            _check_depth(child, f"{path}{name}.")
    elif not takes_depth(inner):
        for name, layer in inner.named_modules():
            if "t" in forward_parameters(layer) and not isinstance(layer, HAND_ON) and type(layer) not in WITHOUT_DEPTH:
                raise InputError(
                    f"The layer {path + name!r} of f_x depends on depth t, but {'what holds it' if path else 'f_x'} "
                    "takes no t, so it would never change: put sdebnn.torchbnn.Serial in place of nn.Sequential, or "
                    "let forward take t and hand it on."
                )


def with_parameters(module: nn.Module, parameters: Mapping[str, torch.Tensor]) -> Callable[..., torch.Tensor]:
    """The module as a function of `(x, t)` that has these parameters whenever it is called, with an x that it may write
    into.
    """
    places = places_of(module)

    def call(x: torch.Tensor, t: Depth) -> torch.Tensor:
        return call_with(module, places, parameters, (x,), {"t": t})

    return InputsKept(call, "The posterior drift")
