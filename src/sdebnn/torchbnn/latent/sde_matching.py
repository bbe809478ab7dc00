"""The bound by marginal laws of the posterior, without solving for its paths."""

from typing import Any, NamedTuple

import torch

from sdebnn.errors import InputError
from sdebnn.torchbnn.latent.bound import Bound, bound, check_weight, log_likelihood
from sdebnn.torchbnn.latent.counts import check_count
from sdebnn.torchbnn.latent.gaussian import gaussian_kl
from sdebnn.torchbnn.latent.model import Encoded, LatentSDE, MarginalPosterior, Processes, encoded
from sdebnn.torchbnn.latent.series import Series
from sdebnn.torchbnn.layers.bayesian import device_of
from sdebnn.torchbnn.layers.randomness import check_generator


class Sample(NamedTuple):
    """What is random: where in its part of a series each time is, (draws, batch, 1), from 0 to 1; the standard normals
    of the states there, (draws, batch, d), and of those at all times of the series, (n, batch, d).
    """

    uniform: torch.Tensor
    at_random: torch.Tensor
    at_times: torch.Tensor


def matching(
    model: LatentSDE,
    series: Series,
    rng: torch.Generator | None = None,
    *,
    kl_weight: Any = 1.0,
    draws: int = 16,
) -> Bound:
    """The evidence lower bound by SDE Matching (Bartosh, Vetrov and Naesseth, 2025): nothing is solved for.

    The path KL is an integral over time of a mean over the posterior's marginal, here estimated at random times. There
    are no steps, so no bias of any; the grid of the series is read at its observations alone.

    **Arguments:**

    - `model`: with a `MarginalPosterior`.
    - `series`, `rng`, `kl_weight`: as of `pathwise`.
    - `draws`: at how many times of each series the KL is looked at, each in its own part of the series.

    **Returns:** a `Bound`, of the same mean as `pathwise` has with steps that tend to zero.

    **Raises:** `InputError` for another posterior, a model that does not fit the series, draws that are no whole number
    of one or more, or a weight that is not one number.
    """
    check_generator(rng, "matching")
    check_count("draws", draws)
    check_weight(kl_weight)
    known = encoded(model, series)
    if not isinstance(model.posterior, MarginalPosterior):
        raise InputError(
            "matching needs the marginal laws of the posterior, and this one is given by its drift: take a "
            "MarginalPosterior, or pathwise."
        )
    like, device = known.posterior.mean, device_of(rng)
    uniform = torch.rand(draws, len(like), 1, generator=rng, dtype=like.dtype, device=device)
    normals = (
        torch.randn(count, *like.shape, generator=rng, dtype=like.dtype, device=device)
        for count in (draws, series.times.shape[1])
    )
    return bound_of(model, series, known, Sample(*(x.to(like.device) for x in (uniform, *normals))), kl_weight)


def bound_of(model: LatentSDE, series: Series, known: Encoded, sample: Sample, kl_weight: Any) -> Bound:
    """The bound of one sample."""
    context, end, start = known.context, series.end[:, None], series.times[:, :1]
    marginal: Any = model.posterior.marginal
    parts = torch.arange(len(sample.uniform), dtype=start.dtype, device=start.device)[:, None, None]
    t = start + (end - start) * (parts + sample.uniform) / len(sample.uniform)
    u = Processes(model)(marginal(t, context).at(sample.at_random), t, context, end)
    kl_path = 0.5 * (end - start)[:, 0] * (u**2).sum(-1).mean(0)
    zs = marginal(torch.minimum(series.times.T[:, :, None], end), context).at(sample.at_times)
    log_prob = log_likelihood(model, series, zs[:, None])[0]
    return bound(log_prob, kl_path, gaussian_kl(known.posterior, known.prior), kl_weight)
