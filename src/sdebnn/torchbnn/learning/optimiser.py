"""What the choices of a run make of a gradient: Adam or IVON."""

from collections.abc import Iterable

import torch
from torch import nn

from sdebnn.runs import TrainConfig
from sdebnn.torchbnn.learning.ivon import IvonOptimiser, check_gaussians
from sdebnn.torchbnn.learning.model import Model
from sdebnn.training.ivon import Ivon

MOMENTS = ("exp_avg", "exp_avg_sq")


def build_optimisers(config: TrainConfig, model: Model, train_size: int) -> list[torch.optim.Optimizer]:
    """Adam; or IVON for the network, and for the parameters of the likelihood, which have no posterior, Adam with the
    longest steps of a weight. What their steps change is in their state from the start. A group of parameters has in
    `share` what its step size is of the run's.

    **Raises:** `InputError` for choices that have no meaning for IVON, and for a network that it does not train.
    """
    rule = Ivon.of(config, train_size)
    if rule is None:
        return [_adam(model.parameters(), share=1.0)]
    check_gaussians(config, model.network)
    likelihood = list(model.likelihood_params.parameters())
    return [IvonOptimiser(model.network, rule), *([_adam(likelihood, share=rule.clip_radius)] if likelihood else [])]


def _adam(parameters: Iterable[nn.Parameter], *, share: float) -> torch.optim.Adam:
    optimiser = torch.optim.Adam([{"params": list(parameters), "share": share}])
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            zeros = {name: torch.zeros_like(parameter) for name in MOMENTS}
            optimiser.state[parameter] = {"step": torch.tensor(0.0), **zeros}
    return optimiser
