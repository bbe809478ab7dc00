"""The evidence lower bound, as every objective gives it."""

import numbers
from typing import Any, NamedTuple

import numpy as np
import torch

from sdebnn.errors import InputError
from sdebnn.torchbnn.latent.model import LatentSDE
from sdebnn.torchbnn.latent.series import Series


class Bound(NamedTuple):
    """An estimate of the evidence lower bound of each series, in nats; unbiased, and so is its gradient.

    - `value`: (batch,), `log_likelihood` less `kl_weight` times both KLs.
    - `log_likelihood`: (batch,), of what was observed, given the posterior's paths.
    - `kl_path`: (batch,), of the posterior's process from the prior's, up to the last observation.
    - `kl_initial`: (batch,), of the posterior's first law from the prior's.
    """

    value: torch.Tensor
    log_likelihood: torch.Tensor
    kl_path: torch.Tensor
    kl_initial: torch.Tensor


def bound(log_likelihood: Any, kl_path: Any, kl_initial: Any, kl_weight: Any) -> Bound:
    """The bound of its parts."""
    return Bound(log_likelihood - kl_weight * (kl_path + kl_initial), log_likelihood, kl_path, kl_initial)


def check_weight(kl_weight: Any) -> None:
    """Refuses what is no number.

    **Raises:** `InputError` that says what it is.
    """
    if not isinstance(kl_weight, numbers.Real | np.ndarray | torch.Tensor):
        raise InputError(f"kl_weight is {kl_weight!r}; it is a number, and a function of the step to fit alone.")
    shape = () if isinstance(kl_weight, numbers.Real) else tuple(kl_weight.shape)
    if shape:
        raise InputError(f"kl_weight has shape {shape}; it is one number for all series.")


def log_likelihood(model: LatentSDE, series: Series, zs: torch.Tensor) -> torch.Tensor:
    """Of what was observed of each series, given states at all its times, (n, paths, batch, d): (paths, batch)."""
    decoded = model.decoder(zs.flatten(0, 1)).unflatten(0, zs.shape[:2])
    values = series.values.movedim(1, 0)[:, None].expand_as(decoded)
    log_prob = model.likelihood.log_prob(decoded, values)
    return torch.where(series.mask.movedim(1, 0)[:, None], log_prob, 0.0).sum((0, -1))
