"""Gaussian laws of independent entries."""

from typing import NamedTuple

import torch
from torch.distributions import Normal


class Gaussian(NamedTuple):
    """A Gaussian law of independent entries.

    - `mean`: (..., d).
    - `std`: (..., d), positive standard deviations.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def at(self, normal: torch.Tensor) -> torch.Tensor:
        """The draw that a standard normal gives."""
        return self.mean + self.std * normal

    def log_prob(self, z: torch.Tensor) -> torch.Tensor:
        """The log density, (...), in nats."""
        return Normal(self.mean, self.std, validate_args=False).log_prob(z).sum(-1)


def gaussian_kl(q: Gaussian, p: Gaussian) -> torch.Tensor:
    """KL(q || p), (...), in nats."""
    # Logarithms of each, so that a negative deviation gives NaN.
    ratio, log_ratio = (q.std / p.std) ** 2, q.std.log() - p.std.log()
    return 0.5 * (ratio + ((q.mean - p.mean) / p.std) ** 2 - 1 - 2 * log_ratio).sum(-1)
