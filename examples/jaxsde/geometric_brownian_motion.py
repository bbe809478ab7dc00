"""Prices by geometric Brownian motion, of which quotes with errors are seen on some days: what the volatility is, where
the price was between the quotes, and where it may go.

    pip install 'sdebnn[jax,plots]'
    python examples/jaxsde/geometric_brownian_motion.py

The price is dS = mu S dt + sigma S dB, and a quote is the price and an error. The drift mu, the volatility sigma and
the size of the errors are learned from the quotes of many shares, by SDE Matching, which solves nothing. The latent
state is the logarithm of the price, a Brownian motion with a drift; so the posterior needs no network. It is what
Gaussian process regression says of the logarithm, by the parameters that are being learned: exact, up to errors that
are Gaussian of a quote and not of its logarithm. A network that has to learn how narrow paths are between irregular
quotes leaves the bound loose, and the volatility wrong, for long. Quotes must be well above their errors, as their
logarithms are taken. What comes out is how good the forecasts are of other shares, and a picture of one: its quotes,
its price, and the fan of the forecast beside what came.
"""

import argparse
import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxsde.latent import Gaussian, LatentSDE, MarginalPosterior, Series, fit, forecast, gaussian, matching, posterior
from sdebnn.plots.style import BLUE, GREY, drawing, legend_below

# The truth, a year of 252 days; the error of a quote, of prices that begin near 1, with logarithms of the deviation
# `FIRST`, which the model is told.
MU, SIGMA, ERROR, FIRST = 0.1, 0.3, 0.02, 0.1
DAYS, QUOTED, LATER = 252, 20, 126


class Found(NamedTuple):
    """What was learned, a year and of a quote; and of shares that were not learned from the share of later quotes that
    the central 95 % of their forecasts hold.
    """

    mu: float
    sigma: float
    error: float
    covered: float


class Shares(NamedTuple):
    """Times in years and prices of all days, (days,) and (shares, days); times of the quotes, (shares, n), where the
    first is the beginning, without a quote, and the quotes; later times, (m,), and quotes then, (shares, m).
    """

    every: np.ndarray
    prices: np.ndarray
    times: np.ndarray
    quotes: np.ndarray
    later_times: np.ndarray
    later: np.ndarray

    def series(self, dt: float) -> Series:
        return Series.of(self.times, self.quotes[..., None], np.isfinite(self.quotes), dt=dt)


def draw_shares(count: int, seed: int) -> Shares:
    rng = np.random.default_rng(seed)
    steps = (MU - SIGMA**2 / 2) / DAYS + SIGMA / math.sqrt(DAYS) * rng.normal(size=(count, DAYS + LATER))
    steps = np.column_stack([FIRST * rng.normal(size=count), steps])
    prices = np.exp(np.cumsum(steps, axis=1))
    quotes = prices + ERROR * rng.normal(size=prices.shape)
    quotes[:, 0] = np.nan
    every = np.arange(1 + DAYS + LATER) / DAYS
    days = np.stack([np.sort(np.append(0, 1 + rng.permutation(DAYS)[:QUOTED])) for _ in range(count)])
    later = [DAYS + LATER // 2, DAYS + LATER]
    return Shares(every, prices, every[days], np.take_along_axis(quotes, days, 1), every[later], quotes[:, later])


class Regression(NamedTuple):
    """Of one share: the times of its rows, (n,), what whitens their log quotes, (n, n), and these whitened, (n,)."""

    times: jax.Array
    whiten: jax.Array
    whitened: jax.Array


def log_drift(params: Any) -> jax.Array:
    """That of the log price, by Ito's formula."""
    return params["mu"] - jnp.exp(2 * params["log_sigma"]) / 2


def covariance(t: jax.Array, other: jax.Array, params: Any) -> jax.Array:
    """Of the log price at two times. At a quote its slope is that of the time after, on which a path goes on."""
    return FIRST**2 + jnp.exp(2 * params["log_sigma"]) * jnp.where(t < other, t, other)


def encode(times: jax.Array, values: jax.Array, mask: jax.Array, params: Any) -> Regression:
    seen = mask[:, 0]
    quotes = jnp.where(seen, values[:, 0], 1.0)
    variance = jnp.where(seen, (jnp.exp(params["log_noise"]) / quotes) ** 2, 1e6)  # of the error of the logarithm
    root = jnp.linalg.cholesky(covariance(times[:, None], times[None], params) + jnp.diag(variance))
    whiten = jax.scipy.linalg.solve_triangular(root, jnp.eye(times.size), lower=True)
    return Regression(times, whiten, whiten @ (jnp.log(quotes) - log_drift(params) * times))


def marginal(t: jax.Array, context: Regression, params: Any) -> Gaussian:
    """The log price at t, given all quotes."""
    k = context.whiten @ covariance(t, context.times, params)
    mean = log_drift(params) * t + k @ context.whitened
    return Gaussian(mean[None], jnp.sqrt(covariance(t, t, params) - k @ k)[None])


MODEL = LatentSDE(
    initial=lambda params: Gaussian(jnp.zeros(1), jnp.full(1, FIRST)),
    drift=lambda z, t, params: log_drift(params)[None],
    diffusion=lambda z, t, params: jnp.exp(params["log_sigma"])[None],
    posterior=MarginalPosterior(encode, marginal),
    decoder=lambda z, params: jnp.exp(z),
    likelihood=gaussian(),
)


def picture(shares: Shares, params: Any, path: Path) -> None:
    """Of the first share."""
    one = jax.tree.map(lambda x: x[:1], shares.series(dt=1 / DAYS))
    end, (past_key, future_key) = shares.times[0, -1], jax.random.split(jax.random.key(1))
    before, after = (shares.every[side] for side in (shares.every <= end, shares.every > end))
    past = posterior(MODEL, params, one, before, past_key, samples=1000).decoded
    future = forecast(MODEL, params, one, after, future_key, samples=1000).decoded
    paths = np.concatenate([past, future], axis=2)[0, ..., 0]
    with drawing(None, path, "A price between its quotes, and its forecast", width=6.4, height=3.4) as ax:
        for level, alpha in ((0.95, 0.2), (0.5, 0.4)):
            ends = np.quantile(paths, [(1 - level) / 2, (1 + level) / 2], axis=0)
            label = f"{100 * level:.0f} % of paths"
            ax.fill_between(shares.every, *ends, color=BLUE, alpha=alpha, linewidth=0, label=label)
        ax.plot(shares.every, shares.prices[0], color=GREY, linewidth=0.8, label="price")
        ax.plot(shares.times[0], shares.quotes[0], "x", color="black", label="quotes")
        ax.plot(
            shares.later_times, shares.later[0], "o", color="black", mfc="white", clip_on=False, label="later quotes"
        )
        ax.axvline(end, color=GREY, linestyle=":")
        ax.set(xlabel="years", ylabel="price", xlim=(0, shares.every[-1]))
        legend_below(5, ax)
    print(f"The picture is {path}.")


def main(arguments: Sequence[str] | None = None) -> Found:
    """Learns, forecasts, draws the picture, and returns what was found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--shares", type=int, default=256, help="to learn from")
    parser.add_argument("--new-shares", type=int, default=1000, help="to forecast")
    parser.add_argument("--steps", type=int, default=300, help="of the optimiser")
    parser.add_argument("--output", type=Path, default=Path("runs/prices.png"), help="PNG to write")
    options = parser.parse_args(arguments)

    fit_key, forecast_key = jax.random.split(jax.random.key(0))
    params = {"mu": jnp.zeros(()), "log_sigma": jnp.asarray(-2.0), "log_noise": jnp.asarray(-3.0)}
    fitted = fit(
        MODEL,
        params,
        draw_shares(options.shares, seed=0).series(dt=np.inf),
        optax.adam(optax.cosine_decay_schedule(0.05, options.steps)),
        fit_key,
        steps=options.steps,
        objective=functools.partial(matching, draws=64),
    )
    new = draw_shares(options.new_shares, seed=1)
    draws = forecast(MODEL, fitted.params, new.series(dt=0.02), new.later_times, forecast_key, samples=400)
    low, high = (np.asarray(x)[..., 0] for x in draws.interval(0.95))
    covered = float(np.mean((low <= new.later) & (new.later <= high)))
    learned = {name: float(x) for name, x in fitted.params.items()}
    found = Found(learned["mu"], math.exp(learned["log_sigma"]), math.exp(learned["log_noise"]), covered)
    print(
        f"Drift {found.mu:.3f} for {MU}, volatility {found.sigma:.3f} for {SIGMA}, error {found.error:.4f} for {ERROR}."
    )
    print(f"The forecasts' central 95 % hold {100 * found.covered:.1f} % of later quotes.")
    picture(new, fitted.params, options.output)
    return found


if __name__ == "__main__":
    main()
