"""What a network's outputs say about a target."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import distributions, nn

from sdebnn.target_shape import check_target_shape


class Categorical(nn.Module):
    """Class labels 0..num_classes-1; the network gives logits."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.outputs = num_classes

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """log p(y | outputs) of every example, in nats."""
        return -F.cross_entropy(outputs, targets.long(), reduction="none")


class Gaussian(nn.Module):
    """Real targets with independent Gaussian noise, whose standard deviation is learned, one for each dimension."""

    def __init__(self, dimensions: int, initial_std: float = 0.5) -> None:
        super().__init__()
        self.outputs = dimensions
        self.log_std = nn.Parameter(torch.full((dimensions,), math.log(initial_std)))

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return _independent(distributions.Normal, self.log_std, outputs, targets)


class Laplace(nn.Module):
    """Real targets with independent Laplace noise, whose scale, the mean absolute deviation, is learned."""

    def __init__(self, dimensions: int, initial_scale: float = 0.5) -> None:
        super().__init__()
        self.outputs = dimensions
        self.log_scale = nn.Parameter(torch.full((dimensions,), math.log(initial_scale)))

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return _independent(distributions.Laplace, self.log_scale, outputs, targets)


class Cauchy(nn.Module):
    """Real targets with independent Cauchy noise, whose scale, half the distance of its quartiles, is learned."""

    def __init__(self, dimensions: int, initial_scale: float = 0.5) -> None:
        super().__init__()
        self.outputs = dimensions
        self.log_scale = nn.Parameter(torch.full((dimensions,), math.log(initial_scale)))

    def forward(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return _independent(distributions.Cauchy, self.log_scale, outputs, targets)


Likelihood = Categorical | Gaussian | Laplace | Cauchy

LIKELIHOODS: dict[str, Callable[[int], Likelihood]] = {
    "categorical": Categorical,
    "gaussian": Gaussian,
    "laplace": Laplace,
    "cauchy": Cauchy,
}
"""By name; each takes the number of classes or of target dimensions."""


def _independent(law: Any, log_scale: torch.Tensor, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    check_target_shape(outputs.shape, targets.shape)
    # Unchecked: numbers that are not finite are found where training says at which step they began.
    return law(outputs, log_scale.exp(), validate_args=False).log_prob(targets).sum(dim=1)
