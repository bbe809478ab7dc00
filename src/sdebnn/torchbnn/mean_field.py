"""Mean-field variational modules: every weight an independent Gaussian."""

import math

import torch
from torch import nn

from sdebnn.errors import InputError
from sdebnn.torchbnn.bayesian import BayesianModule, Output, check_deterministic, device_of


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
        for name, std in (("prior_std", prior_std), ("initial_std", initial_std)):
            if not std > 0:
                raise InputError(f"MeanField got {name}={std}; a standard deviation must be positive.")
        check_deterministic(layer, "MeanField's layer")
        self.prior_std, self.disable = prior_std, disable
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

    def forward(self, x: torch.Tensor, *, rng: torch.Generator | None = None, prior: bool = False) -> Output:
        if self.disable:
            return self.mean(x), x.new_zeros(())
        log_stds = dict(self.log_std.named_parameters())
        kl = x.new_zeros(())
        weights = {}
        for name, mean in self.mean.named_parameters():
            normals = torch.randn(mean.shape, generator=rng, dtype=mean.dtype, device=device_of(rng)).to(mean.device)
            if prior:
                weights[name] = self.prior_std * normals
                continue
            weights[name] = mean + log_stds[name].exp() * normals
            log_ratio = log_stds[name] - math.log(self.prior_std)
            kl = kl + (0.5 * (torch.exp(2 * log_ratio) + (mean / self.prior_std) ** 2 - 1) - log_ratio).sum()
        return torch.func.functional_call(self.mean, weights, (x,)), kl
