"""A latent SDE of one irregular series with an Ornstein-Uhlenbeck prior: the example `latent_sde` of torchsde, in JAX.

    pip install 'sdebnn[jax,plots]'
    python examples/jaxsde/latent_sde.py
    python examples/jaxsde/latent_sde.py --data irregular_sine --output runs/latent_sine.png

Of a wave between 0 and 2 a few values are observed, with Laplace noise. The prior is a process that is known; the
posterior's drift is the prior's and a network of the state and the time, trained by paths of the posterior. What comes
out is a picture: the posterior is narrow where there are observations and wide before, between and after them, where
it goes back to the prior.
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
from jax.example_libraries import stax

from jaxsde.latent import DriftPosterior, Gaussian, LatentSDE, Likelihood, Series, fit, forecast, pathwise, posterior
from sdebnn.plots.style import BLUE, drawing, legend_below

RATE, DIFFUSION = 1.0, 0.5
SCALE = 0.05  # of the Laplace noise
END = 2.0
DATA = ("segmented_cosine", "irregular_sine")


class Found(NamedTuple):
    """Paths of the latent state, (samples, m), at m times; the observations; the bound at each step of training."""

    times: np.ndarray
    paths: np.ndarray
    observed_times: np.ndarray
    observed: np.ndarray
    bounds: np.ndarray


def observations(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Times and values."""
    if name == "segmented_cosine":
        times = np.concatenate([np.linspace(0.3, 0.8, 10), np.linspace(1.2, 1.5, 10)])
        return times, np.cos(2 * np.pi * times)
    times = np.sort(np.random.default_rng(0).uniform(0.4, 1.6, 16))
    return times, 0.8 * np.sin(2 * np.pi * times)


def laplace(scale: float) -> Likelihood:
    """A likelihood that jaxsde.latent does not have: a log density, and draws."""
    return Likelihood(
        log_prob=lambda decoded, y, params: -jnp.abs(y - decoded) / scale - math.log(2 * scale),
        sample=lambda key, decoded, params: decoded + scale * jax.random.laplace(key, decoded.shape),
    )


def model_of_one_series(hidden: int, rng: Any) -> tuple[LatentSDE, dict[str, Any]]:
    """The model, and its parameters. There is one series, so nothing of it has to be encoded."""
    last = stax.Dense(1, W_init=jax.nn.initializers.zeros)  # training starts at the prior
    init, network = stax.serial(stax.Dense(hidden), stax.Tanh, stax.Dense(hidden), stax.Tanh, last)
    std = DIFFUSION / math.sqrt(2 * RATE)

    def prior_drift(z: jax.Array, t: jax.Array, params: Any) -> jax.Array:
        return -RATE * z

    def posterior_drift(z: jax.Array, t: jax.Array, context: Any, params: Any) -> jax.Array:
        return prior_drift(z, t, params) + network(params["network"], jnp.stack([jnp.sin(t), jnp.cos(t), z[0]]))

    family = DriftPosterior(
        encode=lambda times, values, mask, params: (),
        initial=lambda context, params: Gaussian(params["mean"], jnp.exp(params["log_std"])),
        drift=posterior_drift,
    )
    model = LatentSDE(
        initial=lambda params: Gaussian(jnp.zeros(1), jnp.full(1, std)),
        drift=prior_drift,
        diffusion=lambda z, t, params: jnp.full(1, DIFFUSION),
        posterior=family,
        decoder=lambda z, params: z,
        likelihood=laplace(SCALE),
    )
    return model, {"network": init(rng, (3,))[1], "mean": jnp.zeros(1), "log_std": jnp.full(1, math.log(std))}


def picture(found: Found, path: Path) -> None:
    with drawing(None, path, "A latent SDE of one series", width=6.4, height=3.2) as ax:
        for level, alpha in ((0.95, 0.2), (0.5, 0.4)):
            ends = np.quantile(found.paths, [(1 - level) / 2, (1 + level) / 2], axis=0)
            label = f"{100 * level:.0f} % of paths"
            ax.fill_between(found.times, *ends, color=BLUE, alpha=alpha, linewidth=0, label=label)
        ax.plot(found.times, found.paths[:3].T, color=BLUE, linewidth=0.8)
        ax.plot(found.observed_times, found.observed, "x", color="black", label="observed")
        ax.set(xlabel="t", xlim=(0, END))
        legend_below(3, ax)
    print(f"The picture is {path}.")


def main(arguments: Sequence[str] | None = None) -> Found:
    """Trains, draws the picture, and returns what is in it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", choices=DATA, default=DATA[0])
    parser.add_argument("--steps", type=int, default=2000, help="of the optimiser")
    parser.add_argument("--paths", type=int, default=32, help="of the posterior in each step")
    parser.add_argument("--hidden", type=int, default=64, help="units of each hidden layer")
    parser.add_argument("--dt", type=float, default=0.02, help="the longest step of a path")
    parser.add_argument("--output", type=Path, default=Path("runs/latent_sde.png"), help="PNG to write")
    options = parser.parse_args(arguments)

    init_key, fit_key, past_key, future_key = jax.random.split(jax.random.key(0), 4)
    times, values = observations(options.data)
    # The process begins at 0, where nothing is observed.
    grid, seen = np.append(0.0, times), np.append(False, np.ones(times.size, bool))
    series = Series.of(grid, np.append(0.0, values)[None, :, None], seen[None], dt=options.dt)
    model, params = model_of_one_series(options.hidden, init_key)
    fitted = fit(
        model,
        params,
        series,
        optax.adam(optax.exponential_decay(1e-2, 1, 0.999)),
        fit_key,
        steps=options.steps,
        objective=functools.partial(pathwise, paths=options.paths),
        kl_weight=lambda step: jnp.minimum(1.0, (step + 1) / 100),
    )

    end = float(series.end[0])
    before, after = np.linspace(0, end, 150), np.linspace(end, END, 51)[1:]
    past = posterior(model, fitted.params, series, before, past_key, samples=1000).z
    future = forecast(model, fitted.params, series, after, future_key, samples=1000).z
    paths = np.concatenate([past, future], axis=2)[0, ..., 0]
    found = Found(np.append(before, after), paths, times, values, np.asarray(fitted.bounds))
    print(f"The bound is {found.bounds[-50:].mean():.1f} nats after {options.steps} steps.")
    picture(found, options.output)
    return found


if __name__ == "__main__":
    main()
