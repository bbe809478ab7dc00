"""What a trained model says: of the time that was observed, and of what comes after."""

from typing import Any, NamedTuple

import numpy as np
import torch

from sdebnn.errors import InputError
from sdebnn.torchbnn.latent.counts import check_count
from sdebnn.torchbnn.latent.model import LatentSDE, encoded
from sdebnn.torchbnn.latent.path_bound import check_way, draw_normals, solve_posterior
from sdebnn.torchbnn.latent.series import Series, array_of, check_series
from sdebnn.torchbnn.layers.randomness import check_generator


class Draws(NamedTuple):
    """Paths that are drawn, at m times.

    - `z`: (batch, samples, m, d), latent states.
    - `decoded`: (batch, samples, m, width), what the decoder says of them: the mean, of Gaussian noise.
    - `values`: (batch, samples, m, width), values that would be observed, with their noise.
    """

    z: torch.Tensor
    decoded: torch.Tensor
    values: torch.Tensor

    def interval(self, level: float = 0.95) -> Any:
        """The central intervals that hold that share of the values: lower and upper ends, (batch, m, width) each.

        **Raises:** `InputError` for a level that is not between zero and one.
        """
        if not 0 < level < 1:
            raise InputError(f"level is {level}; it is a share between 0 and 1, such as 0.95.")
        ends = self.values.new_tensor([(1 - level) / 2, (1 + level) / 2])
        # One series at a time: PyTorch takes quantiles of so many numbers alone.
        low, high = torch.stack([of_series.quantile(ends, dim=0) for of_series in self.values], 1)
        return low, high


def posterior(
    model: LatentSDE,
    series: Series,
    times: Any,
    rng: torch.Generator | None = None,
    *,
    samples: int = 100,
    method: str = "euler_maruyama",
) -> Draws:
    """Draws given all of each series, at times up to its last observation. They have no gradients.

    **Arguments:**

    - `model`, `series`: as of `pathwise`.
    - `times`: (m,), increasing, the same of all series.
    - `rng`: a `torch.Generator`; PyTorch's own unless given.
    - `samples`: of each series.
    - `method`: as of `pathwise`, on the grid of the series with these times.

    **Returns:** `Draws`.

    **Raises:** `InputError` for times that do not increase or are not from a series' first time to its last
    observation, and for what `pathwise` refuses.
    """
    known = _increasing(times, series)
    start, end = float(series.times[:, 0].max()), float(series.end.min())
    if known[0] < start or known[-1] > end:
        raise InputError(
            f"times go from {known[0]} to {known[-1]}; the posterior of every series is known from {start}, its first "
            f"time, to {end}, its last observation. For what comes after it take forecast."
        )
    return _draws(model, series, known, rng, samples, method)


def forecast(
    model: LatentSDE,
    series: Series,
    times: Any,
    rng: torch.Generator | None = None,
    *,
    samples: int = 100,
    method: str = "euler_maruyama",
) -> Draws:
    """Draws given all of each series, at times after its last observation: the posterior goes on as the prior.

    **Arguments:** as of `posterior`, but for `times`, which are after the last observation of every series.

    **Returns:** `Draws`.

    **Raises:** `InputError` for times that do not increase or are not after the last observation, and for what
    `pathwise` refuses.
    """
    known, end = _increasing(times, series), float(series.end.max())
    if known[0] <= end:
        raise InputError(
            f"times begin at {known[0]}, and the last observation of a series is at {end}; a forecast is of later "
            "times. For those before it take posterior."
        )
    return _draws(model, series, known, rng, samples, method)


def _increasing(times: Any, series: Series) -> np.ndarray:
    check_series(series)
    known = array_of(times)
    if known.dtype.kind not in "fiu":
        raise InputError(
            f"times is of dtype {known.dtype}; times are real numbers, in the unit of those of the series."
        )
    known = known.astype(array_of(series.times[:0]).dtype)
    if known.ndim != 1 or not known.size or not np.isfinite(known).all() or not (np.diff(known) > 0).all():
        raise InputError(f"times is {known}; it is a vector of finite numbers that increase, (m,).")
    return known


@torch.no_grad()
def _draws(
    model: LatentSDE, series: Series, times: np.ndarray, rng: torch.Generator | None, samples: int, method: str
) -> Draws:
    check_generator(rng, "A latent SDE")
    check_count("samples", samples)
    check_way(method)
    longer = series.with_times(times)
    wanted = torch.searchsorted(
        longer.times, torch.as_tensor(times, device=longer.times.device).expand(len(longer.times), -1).contiguous()
    )
    known = encoded(model, longer)
    zs = solve_posterior(model, longer, known, draw_normals(longer, known, samples, rng))
    # (n, samples, batch, d) at the times wanted of each series, (m, samples, batch, d).
    z = zs[wanted.T, :, torch.arange(len(wanted), device=wanted.device)].movedim(2, 1)
    decoded = model.decoder(z.flatten(0, 1)).unflatten(0, z.shape[:2])
    return Draws(*(x.permute(2, 1, 0, 3) for x in (z, decoded, model.likelihood.sample(decoded, rng))))
