"""A latent SDE of a stochastic Lorenz attractor (Li et al., 2020, section 7.2): the example `latent_sde_lorenz` of
torchsde, in JAX.

    pip install 'sdebnn[jax,plots]'
    python examples/jaxsde/latent_sde_lorenz.py

Many noisy series of three values are observed; drift and diffusion of a latent process of four entries are networks,
and so is a posterior that reads a series. Where the example of torchsde solves for paths of the posterior, this one
learns by SDE Matching, which solves nothing and takes many more steps in the same time. What comes out is how far the
posterior's mean is from paths without noise that it has not seen, and a picture: data, and paths that the learned prior
draws.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxsde import SDE, FixedSteps, solve
from jaxsde.latent import LatentSDE, Series, fit, matching, neural, posterior
from sdebnn.plots.style import BLUE, drawing, panels

NOISE = 0.01  # of what is observed, in deviations of the data
LATENT = 4


class Found(NamedTuple):
    """Paths without noise and those of the learned prior, (series, n, 3); the RMSE of the posterior's mean to new paths
    without noise, and the bound at each step of training.
    """

    data: np.ndarray
    prior: np.ndarray
    rmse: float
    bounds: np.ndarray


def lorenz_drift(y: jax.Array, t: jax.Array, args: Any) -> jax.Array:
    return jnp.stack([10 * (y[1] - y[0]), y[0] * (28 - y[2]) - y[1], y[0] * y[1] - 8 / 3 * y[2]])


def lorenz_diffusion(y: jax.Array, t: jax.Array, args: Any) -> jax.Array:
    return jnp.array([0.1, 0.28, 0.3]) * y


def draw_paths(drift: Any, diffusion: Any, starts: jax.Array, times: np.ndarray, rng: Any, args: Any = None) -> Any:
    """One path from each start, (series, n, d)."""
    sde, steps = SDE(drift, diffusion), FixedSteps(dt=float(times[1] - times[0]) / 8)
    keys = jax.random.split(rng, len(starts))
    return jax.jit(jax.vmap(lambda y0, key: solve(sde, y0, times, key, args, steps=steps).ys))(starts, keys)


def entrywise_diffusion(z: jax.Array, t: jax.Array, params: Any) -> jax.Array:
    """A network for each entry, which reads that entry alone, and is not near zero: noise is what a posterior moves."""
    into, bias, out = params["diffusion"]
    hidden = jax.nn.softplus(z[:, None] * into + bias)
    return 0.05 + jax.nn.sigmoid((hidden * out).mean(1))


def make_model(options: argparse.Namespace, rng: Any) -> tuple[LatentSDE, dict[str, Any]]:
    net_key, *keys = jax.random.split(rng, 4)
    model, params = neural(
        net_key,
        width=3,
        latent=LATENT,
        hidden=options.hidden,
        context=options.hidden // 2,
        posterior="marginals",
        diffusion=entrywise_diffusion,
        noise="diagonal",
    )
    shape = (LATENT, options.hidden)
    return model, params | {"diffusion": [jax.random.normal(key, shape) for key in keys]}


def prior_paths(model: LatentSDE, params: Any, count: int, times: np.ndarray, rng: Any) -> np.ndarray:
    """What the decoder says of paths of the prior, (count, n, 3)."""
    start_key, path_key = jax.random.split(rng)
    starts = jax.vmap(model.initial(params).at)(jax.random.normal(start_key, (count, LATENT)))
    zs = draw_paths(model.drift, model.diffusion, starts, times, path_key, params)
    return np.asarray(jax.vmap(jax.vmap(model.decoder, (0, None)), (0, None))(zs, params))


def picture(found: Found, path: Path) -> None:
    with drawing(None, path, "A stochastic Lorenz attractor", width=7.0, height=3.4) as ax:
        axes = panels(ax, 1, 2, sharex=True, sharey=True)[0]
        for panel, title, paths in zip(axes, ("Data", "The learned prior"), (found.data, found.prior), strict=True):
            panel.plot(paths[..., 0].T, paths[..., 2].T, color=BLUE, linewidth=0.6)
            panel.plot(paths[:, 0, 0], paths[:, 0, 2], "x", color="black", markersize=4)
            panel.set(title=title, xlabel="first value", ylabel="third value")
    print(f"The picture is {path}.")


def main(arguments: Sequence[str] | None = None) -> Found:
    """Trains, draws the picture, and returns what is in it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=3000, help="of the optimiser")
    parser.add_argument("--series", type=int, default=512, help="to learn from")
    parser.add_argument("--times", type=int, default=100, help="of observations of each, on [0, 2]")
    parser.add_argument("--hidden", type=int, default=64, help="units of each hidden layer")
    parser.add_argument("--batch", type=int, default=32, help="series of each step")
    parser.add_argument("--output", type=Path, default=Path("runs/latent_sde_lorenz.png"), help="PNG to write")
    options = parser.parse_args(arguments)

    data_key, path_key, init_key, fit_key, test_key, prior_key = jax.random.split(jax.random.key(0), 6)
    times = np.linspace(0, 2, options.times)
    count, new = options.series, 32
    starts = jax.random.normal(data_key, (count + new, 3))
    paths = np.asarray(draw_paths(lorenz_drift, lorenz_diffusion, starts, times, path_key))
    paths = (paths - paths.mean((0, 1))) / paths.std((0, 1))
    values = paths + NOISE * np.random.default_rng(0).normal(size=paths.shape)

    model, params = make_model(options, init_key)
    optimiser = optax.chain(
        optax.clip_by_global_norm(100.0), optax.adam(optax.cosine_decay_schedule(3e-3, options.steps))
    )
    # Learning reads the observations alone; paths of the posterior take shorter steps.
    series, unseen = Series.of(times, values[:count], dt=np.inf), Series.of(times, values[count:], dt=times[1] / 4)
    fitted = fit(
        model, params, series, optimiser, fit_key, steps=options.steps, objective=matching, batch=options.batch
    )

    mean = posterior(model, fitted.params, unseen, times, test_key, samples=32).decoded.mean(1)
    rmse = float(np.sqrt(np.mean((np.asarray(mean) - paths[count:]) ** 2)))
    print(f"The posterior's mean is {rmse:.3f} deviations from the path without noise, of {new} new series.")
    shown = 10
    found = Found(
        paths[:shown], prior_paths(model, fitted.params, shown, times, prior_key), rmse, np.asarray(fitted.bounds)
    )
    picture(found, options.output)
    return found


if __name__ == "__main__":
    main()
