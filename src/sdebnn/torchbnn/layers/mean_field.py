"""Mean-field variational modules: every weight an independent Gaussian."""

import math
from collections.abc import Mapping

import torch
from torch import nn

from sdebnn.priors.prior import standard_deviation
from sdebnn.torchbnn.layers.bayesian import BayesianModule, Output, device_of
from sdebnn.torchbnn.layers.given_weights import call_with_weights, check_layer_with_weights
from sdebnn.torchbnn.layers.precision import precision, working
from sdebnn.torchbnn.layers.randomness import check_generator


class MeanField(BayesianModule):
    """Makes any deterministic module Bayesian: its weights get a Gaussian posterior and the prior N(0, prior_std^2).

    The KL is the closed form between diagonal Gaussians, and weights are drawn by the reparameterisation trick
    (Blundell et al., 2015).

    **Arguments:**

    - `layer`: whose parameters are the means.
    - `prior_std`: standard deviation of every weight under the prior.
    - `initial_std`: standard deviation of every weight under the posterior at the start of training.
    - `disable`: use the means alone, with KL zero: the deterministic module with the same parameters.

    **Raises:** `InputError` unless both standard deviations are positive and the layer is deterministic.
    """

    def __init__(
        self, layer: nn.Module, *, prior_std: float = 1.0, initial_std: float = 0.01, disable: bool = False
    ) -> None:
        super().__init__()
        self.prior_std = standard_deviation("MeanField got prior_std", prior_std)
        initial_std = standard_deviation("MeanField got initial_std", initial_std)
        check_layer_with_weights(layer, "MeanField's layer")
        self.disable = disable
        self.mean = layer
        self.log_std = nn.Module()
        for name, parameter in layer.named_parameters():
            *path, last = name.split(".")
            owner = self.log_std
            for part in path:
                if part not in owner._modules:
                    owner.add_module(part, nn.Module())
                owner = owner.get_submodule(part)
            owner.register_parameter(last, nn.Parameter(torch.full_like(parameter, math.log(initial_std))))

    def forward(
        self,
        x: torch.Tensor,
        *,
        rng: torch.Generator | None = None,
        prior: bool = False,
        noise: Mapping[str, torch.Tensor] | None = None,
    ) -> Output:
        """**Arguments:** `noise`: of `draw_noise`, in place of `rng`."""
        means: dict[str, torch.Tensor] = dict(self.mean.named_parameters())
        promoted = precision(x, means.values(), "MeanField")
        log_stds = dict(self.log_std.named_parameters())
        kl = torch.zeros((), dtype=working(promoted), device=x.device)
        weights = means
        if not self.disable:
            noise, weights = self.draw_noise(rng=rng) if noise is None else noise, {}
            for name, mean in means.items():
                if prior:
                    weights[name] = self.prior_std * noise[name]
                    continue
                weights[name] = mean + log_stds[name].exp() * noise[name]
                log_ratio = log_stds[name] - math.log(self.prior_std)
                kl = kl + (0.5 * (torch.exp(2 * log_ratio) + (mean / self.prior_std) ** 2 - 1) - log_ratio).sum()
        outputs = call_with_weights(
            self.mean, weights, x, promoted, rng=rng, called="MeanField's layer", drawn=not self.disable
        )
        return Output(outputs, kl)

    def draw_noise(self, *, rng: torch.Generator | None = None) -> dict[str, torch.Tensor]:
        """Independent standard normals for every weight, by the names of the parameters."""
        check_generator(rng, "MeanField")
        return {
            name: torch.randn(mean.shape, generator=rng, dtype=mean.dtype, device=device_of(rng)).to(mean.device)
            for name, mean in self.mean.named_parameters()
        }
