"""Monte Carlo dropout: units that are left out at random, in prediction too."""

from collections.abc import Iterator, Mapping

import torch
from torch import nn

from sdebnn.errors import InputError
from sdebnn.priors.prior import share_left_out, standard_deviation
from sdebnn.torchbnn.layers.bayesian import BayesianModule, Output, device_of
from sdebnn.torchbnn.layers.diffeq_layers.ignore import DepthLayer
from sdebnn.torchbnn.layers.given_weights import call_with_weights, check_layer_with_weights
from sdebnn.torchbnn.layers.precision import precision, working
from sdebnn.torchbnn.layers.randomness import check_generator

# The axis of their weights that the inputs are on.
_INPUTS = {nn.Linear: 1, nn.Conv1d: 1, nn.Conv2d: 1, nn.Conv3d: 1}


class MonteCarloDropout(BayesianModule):
    """Makes any deterministic module Bayesian: of every matrix and every kernel of weights the inputs are left out with
    a probability of `rate`, and the others divided by 1 - `rate` (Gal and Ghahramani, Dropout as a Bayesian
    approximation, 2016).

    A draw leaves the same inputs out for all examples, and in an ODE block at every depth: it is one network, in
    `eval()` too. The KL is that from the prior N(0, prior_std^2) up to a constant, the mean over draws of half the
    squared weights in units of the prior's variance: a decay of the weights.

    **Arguments:**

    - `layer`: whose parameters these are. Matrices and kernels are those of the layers of `diffeq_layers`, `nn.Linear`
      and `nn.Conv1d` to `nn.Conv3d` of one group; arrays of one axis, such as biases, are kept whole.
    - `rate`: from 0, where it is the deterministic module, to below 1.
    - `prior_std`: standard deviation of every weight under the prior.

    **Raises:** `InputError` for a rate that is none, a standard deviation that is not positive, and a layer that is
    Bayesian or has matrices of other modules, of which it is not known which axis has the inputs.
    """

    def __init__(self, layer: nn.Module, *, rate: float = 0.1, prior_std: float = 1.0) -> None:
        super().__init__()
        self.rate = share_left_out("MonteCarloDropout got rate", rate)
        self.prior_std = standard_deviation("MonteCarloDropout got prior_std", prior_std)
        check_layer_with_weights(layer, "MonteCarloDropout's layer")
        self._axes = dict(_axes_of_inputs(layer))
        self._layer = layer

    def forward(
        self,
        x: torch.Tensor,
        *,
        rng: torch.Generator | None = None,
        prior: bool = False,
        noise: Mapping[str, torch.Tensor] | None = None,
    ) -> Output:
        """**Arguments:** `noise`: of `draw_noise`, in place of `rng`."""
        own: dict[str, torch.Tensor] = dict(self._layer.named_parameters())
        promoted = precision(x, own.values(), "MonteCarloDropout")
        kl = torch.zeros((), dtype=working(promoted), device=x.device)
        if prior:
            check_generator(rng, "MonteCarloDropout")
            weights = {
                name: self.prior_std
                * torch.randn(weight.shape, generator=rng, dtype=weight.dtype, device=device_of(rng)).to(weight.device)
                for name, weight in own.items()
            }
        else:
            kept = self.draw_noise(rng=rng) if noise is None else noise
            weights = {name: weight * kept[name] if name in kept else weight for name, weight in own.items()}
            for name, weight in own.items():
                share = 1 - self.rate if name in kept else 1.0
                kl = kl + (weight / self.prior_std).square().sum() / (2 * share)
        outputs = call_with_weights(
            self._layer, weights, x, promoted, rng=rng, called="MonteCarloDropout's layer", drawn=True
        )
        return Output(outputs, kl)

    def draw_noise(self, *, rng: torch.Generator | None = None) -> dict[str, torch.Tensor]:
        """By what the inputs of every matrix and kernel are multiplied, by the names of the parameters: 0 where they
        are left out.
        """
        check_generator(rng, "MonteCarloDropout")
        own, noise = dict(self._layer.named_parameters()), {}
        for name, axis in self._axes.items():
            weight = own[name]
            shape = [size if place == axis else 1 for place, size in enumerate(weight.shape)]
            drawn = torch.rand(shape, generator=rng, dtype=working(weight.dtype), device=device_of(rng))
            noise[name] = ((drawn >= self.rate) / (1 - self.rate)).to(weight.device, weight.dtype)
        return noise


def _axes_of_inputs(layer: nn.Module) -> Iterator[tuple[str, int]]:
    """The names of matrices and kernels within, and the axis of each that its inputs are on."""
    within_depth = [f"{name}." if name else "" for name, part in layer.named_modules() if isinstance(part, DepthLayer)]
    for prefix, module in layer.named_modules():
        for last, parameter in module.named_parameters(recurse=False):
            name = f"{prefix}.{last}" if prefix else last
            if parameter.ndim < 2:
                continue
            if type(module) in _INPUTS and getattr(module, "groups", 1) == 1:
                yield name, _INPUTS[type(module)]
            elif type(module) not in _INPUTS and any(name.startswith(start) for start in within_depth):
                yield name, parameter.ndim - 2
            else:
                raise InputError(
                    f"MonteCarloDropout's layer has the parameter {name!r} of a {type(module).__name__}, of which it "
                    "is not known which axis has the inputs; it takes nn.Linear, nn.Conv1d to nn.Conv3d of one group, "
                    "and the layers of diffeq_layers."
                )
