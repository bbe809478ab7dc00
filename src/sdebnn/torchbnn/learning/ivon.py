"""The optimiser of IVON, for networks of `MeanField`."""

from collections.abc import Iterator

import torch
from torch import nn

from sdebnn.runs import TrainConfig
from sdebnn.torchbnn.layers.mean_field import MeanField
from sdebnn.torchbnn.layers.parameter_names import named_parameters
from sdebnn.training.ivon import Ivon, Moments, refuse_other_priors, refuse_point_weights


class IvonOptimiser(torch.optim.Optimizer):
    """Takes the steps of a rule, given the gradients of the mean negative log-likelihood. It begins with the standard
    deviations that the network has.

    **Arguments:**

    - `network`: whose parameters are all those of `MeanField`.
    - `rule`: see there.
    """

    def __init__(self, network: nn.Module, rule: Ivon) -> None:
        self._rule, self._pairs = rule, list(_gaussians(network))
        super().__init__([parameter for pair in self._pairs for parameter in pair], {"lr": 1.0, "share": 1.0})
        for mean, log_std in self._pairs:
            self.state[mean] = {
                "count": torch.tensor(0.0),
                "gradient": torch.zeros_like(mean),
                "hessian": rule.hessian(torch.exp(2 * log_std.detach())),
            }

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        (group,) = self.param_groups
        for mean, log_std in self._pairs:
            state = self.state[mean]
            state["count"] += 1
            by_mean, by_log_std = (torch.zeros_like(p) if p.grad is None else p.grad for p in (mean, log_std))
            curvature = by_log_std * torch.exp(-2 * log_std)
            before = Moments(mean, state["gradient"], state["hessian"])
            after = self._rule.step(before, by_mean, curvature, number=float(state["count"]), step_size=group["lr"])
            mean.copy_(after.mean)
            state["gradient"].copy_(after.gradient)
            state["hessian"].copy_(after.hessian)
            log_std.copy_(0.5 * self._rule.variance(after.hessian).log())


def check_gaussians(config: TrainConfig, network: nn.Module) -> None:
    """**Raises:** `InputError` for a network with other parameters than those of `MeanField`, or that stand still, and
    for another prior than that of the choices.
    """
    own = {id(parameter) for pair in _gaussians(network) for parameter in pair if parameter.requires_grad}
    others = [name for name, parameter in named_parameters(network).items() if id(parameter) not in own]
    refuse_point_weights(config, [f"network/{name}" for name in others])
    for module in network.modules():
        if isinstance(module, MeanField):
            refuse_other_priors(config, 0.0 if module.disable else module.prior_std**-2)


def _gaussians(network: nn.Module) -> Iterator[tuple[nn.Parameter, nn.Parameter]]:
    """Means and logarithms of standard deviations of the weights."""
    for module in network.modules():
        if isinstance(module, MeanField):
            log_stds = dict(module.log_std.named_parameters())
            for name, mean in module.mean.named_parameters():
                yield mean, log_stds[name]
