"""What a trained model says: of the time that was observed, and of what comes after."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from jaxsde.brownian.keys import check_key, derive_key, fold_in
from jaxsde.counts import check_count
from jaxsde.latent.model import LatentSDE, check_model
from jaxsde.latent.path_bound import solve_posterior
from jaxsde.latent.series import Series, check_series
from jaxsde.times import is_known
from jaxsde.types import Key, Times


class Draws(NamedTuple):
    """Paths that are drawn, at m times.

    - `z`: (batch, samples, m, d), latent states.
    - `decoded`: (batch, samples, m, width), what the decoder says of them: the mean, of Gaussian noise.
    - `values`: (batch, samples, m, width), values that would be observed, with their noise.
    """

    z: Float[Array, "batch samples m d"]
    decoded: Float[Array, "batch samples m width"]
    values: Float[Array, "batch samples m width"]

    def interval(self, level: float = 0.95) -> Any:
        """The central intervals that hold that share of the values: lower and upper ends, (batch, m, width) each.

        **Raises:** `ValueError` for a level that is not between zero and one.
        """
        if not 0 < level < 1:
            raise ValueError(f"level is {level}; it is a share between 0 and 1, such as 0.95.")
        low, high = jnp.quantile(self.values, jnp.asarray([(1 - level) / 2, (1 + level) / 2]), axis=1)
        return low, high


def posterior(
    model: LatentSDE,
    params: PyTree,
    series: Series,
    times: Times,
    rng: Key,
    *,
    samples: int = 100,
    method: str = "euler_maruyama",
) -> Draws:
    """Draws given all of each series, at times up to its last observation.

    **Arguments:**

    - `model`, `params`, `series`: as of `pathwise`.
    - `times`: (m,), increasing, the same of all series.
    - `rng`: a JAX key.
    - `samples`: of each series.
    - `method`: of `solve`, on the grid of the series with these times.

    **Returns:** `Draws`.

    **Raises:** `ValueError` for times that do not increase or are not from a series' first time to its last
    observation; `TypeError` for traced arrays; what `pathwise` refuses.
    """
    times = _increasing(times, series, params)
    start, end = np.asarray(series.times)[:, 0].max(), np.asarray(series.end).min()
    if times[0] < start or times[-1] > end:
        raise ValueError(
            f"times go from {times[0]} to {times[-1]}; the posterior of every series is known from {start}, its first "
            f"time, to {end}, its last observation. For what comes after it take forecast."
        )
    return _draws(model, params, series, times, rng, samples, method)


def forecast(
    model: LatentSDE,
    params: PyTree,
    series: Series,
    times: Times,
    rng: Key,
    *,
    samples: int = 100,
    method: str = "euler_maruyama",
) -> Draws:
    """Draws given all of each series, at times after its last observation: the posterior goes on as the prior.

    **Arguments:** as of `posterior`, but for `times`, which are after the last observation of every series.

    **Returns:** `Draws`.

    **Raises:** `ValueError` for times that do not increase or are not after the last observation; `TypeError` for
    traced arrays; what `pathwise` refuses.
    """
    times = _increasing(times, series, params)
    end = np.asarray(series.end).max()
    if times[0] <= end:
        raise ValueError(
            f"times begin at {times[0]}, and the last observation of a series is at {end}; a forecast is of later "
            "times. For those before it take posterior."
        )
    return _draws(model, params, series, times, rng, samples, method)


def _increasing(times: Times, series: Series, params: PyTree) -> np.ndarray:
    check_series(series)
    if not is_known((times, series, params)):
        raise TypeError(
            "posterior and forecast got traced arrays; they compile what they do, so call them outside of jit, vmap "
            "and grad."
        )
    known = np.asarray(times).astype(series.times.dtype)
    if known.ndim != 1 or not known.size or not np.isfinite(known).all() or not (np.diff(known) > 0).all():
        raise ValueError(f"times is {known}; it is a vector of finite numbers that increase, (m,).")
    return known


def _draws(
    model: LatentSDE, params: PyTree, series: Series, times: np.ndarray, rng: Key, samples: int, method: str
) -> Draws:
    check_key(rng)
    check_model(model, params, series)
    check_count("samples", samples)
    longer = series.with_times(times)
    wanted = np.stack([np.searchsorted(grid, times) for grid in np.asarray(longer.times)])

    def of_series(number: Array, one: Series, at: Array, params: PyTree) -> Any:
        context = model.posterior.encode(one.times, one.values, one.mask, params)
        key = fold_in(derive_key(rng, "jaxsde.latent.draws"), number)

        def of_sample(sample: Array) -> Any:
            of_path = fold_in(key, sample)
            _, zs, _ = solve_posterior(model, params, one, context, of_path, method, "backprop")
            z = zs[at]
            decoded = jax.vmap(model.decoder, (0, None))(z, params)
            keys = jax.random.split(derive_key(of_path, "jaxsde.latent.values"), at.size)
            return z, decoded, jax.vmap(model.likelihood.sample, (0, 0, None))(keys, decoded, params)

        return jax.vmap(of_sample)(jnp.arange(samples))

    run = jax.jit(jax.vmap(of_series, (0, 0, 0, None)))
    return Draws(*run(jnp.arange(longer.times.shape[0]), longer, jnp.asarray(wanted), params))
