"""How noisy is the gradient that each estimator of the path KL gives, along training and at the exact posterior?

First figure 4 of Xu et al. (2021): ten observations of cos(2 pi t), a latent path dy = u dt + dB from zero whose prior
has no drift, u a network 400 wide of (sin t, cos t, y), Gaussian noise of 0.1. Each estimator trains its own posterior;
its variance is that of the gradient of single paths, summed over the parameters.

Then a model whose posterior is known: w follows s dB from zero and w_1 is seen with Gaussian noise. There the gradient
of "stl" is zero path by path, up to the discretisation, which vanishes with the step.

    JAX_PLATFORMS=cpu python benchmarks/estimator_variance.py
"""

import argparse
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from timing import print_conditions, print_rows

from jaxsde import running_path_kl, sdeint_ito_fixed_grid
from jaxsde.path_kl import ESTIMATORS
from sdebnn.plots.style import COLOURS, RED, picture

STEPS, PATHS, MEASURED = 200, 64, 256
TIMES = np.linspace(0.0, 1.0, STEPS + 1)
SEEN_AT = np.concatenate([np.linspace(0.4, 0.6, 5), np.linspace(0.8, 1.0, 5)])
SEEN = np.cos(2 * np.pi * SEEN_AT)
ON_GRID = np.rint(SEEN_AT * STEPS).astype(int)
NOISE = 0.1


def init(key: Any, width: int = 400) -> Any:
    """Params of the drift; its last layer starts at zero, that is at the prior."""
    return {
        "w1": jax.random.normal(key, (3, width)) / 3**0.5,
        "b1": jnp.zeros(width),
        "w2": jnp.zeros(width),
        "b2": jnp.zeros(()),
    }


def drift(y: Any, t: Any, params: Any) -> Any:
    """The posterior's drift, which is u itself: the prior has no drift and sigma is 1."""
    inputs = jnp.stack([jnp.sin(t), jnp.cos(t), y])
    return jnp.tanh(inputs @ params["w1"] + params["b1"]) @ params["w2"] + params["b2"]


def negative_bound(params: Any, key: Any, estimator: str) -> tuple[Any, Any]:
    """Of one path; and the path."""
    ys, kl = sdeint_ito_fixed_grid(
        drift, lambda y, t, params: jnp.ones_like(y), jnp.zeros(()), TIMES, key, params, noise="additive",
        running=running_path_kl(drift, estimator),
    )  # fmt: skip
    return kl[-1] - jax.scipy.stats.norm.logpdf(SEEN, ys[ON_GRID], NOISE).sum(), ys


def trained(estimator: str, iterations: int, measurements: int) -> tuple[list[int], list[float], list[float], Any]:
    """Iterations, the gradient's variance and the negative bound there, and paths of the final posterior."""
    optimiser = optax.adam(optax.cosine_decay_schedule(1e-2, iterations))

    @jax.jit
    def some_steps(params: Any, state: Any, keys: Any) -> Any:
        def step(carry: Any, key: Any) -> Any:
            params, state = carry

            def loss(params: Any) -> Any:
                of_paths = jax.vmap(negative_bound, (None, 0, None))
                return of_paths(params, jax.random.split(key, PATHS), estimator)[0].mean()

            updates, state = optimiser.update(jax.grad(loss)(params), state)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, state), keys)[0]

    @jax.jit
    def measure(params: Any, key: Any) -> Any:
        of_path = jax.vmap(jax.value_and_grad(negative_bound, has_aux=True), (None, 0, None))
        (values, ys), gradients = of_path(params, jax.random.split(key, MEASURED), estimator)
        return sum(jnp.var(g, axis=0).sum() for g in jax.tree.leaves(gradients)), values.mean(), ys

    params = init(jax.random.key(0))
    state = optimiser.init(params)
    variances, bounds = [], []
    at = [iterations * k // measurements for k in range(measurements + 1)]
    for number, stop in enumerate(at):
        variance, bound, ys = measure(params, jax.random.fold_in(jax.random.key(1), number))
        variances.append(float(variance))
        bounds.append(float(bound))
        if stop < iterations:
            keys = jax.random.split(jax.random.fold_in(jax.random.key(2), number), at[number + 1] - stop)
            params, state = some_steps(params, state, keys)
    return at, variances, bounds, np.asarray(ys)


def exact_posterior(estimator: str, steps: int, paths: int = 200) -> float:
    """Root mean square of the gradient of single paths, in double precision, at the exact posterior.

    By Doob's transform it has u = s (y - w) / (r^2 + s^2 (1 - t)); its parameters here are a factor and y.
    """
    s, r, seen = 0.8, 0.5, 1.3
    ts = np.linspace(0.0, 1.0, steps + 1)

    def u(w: Any, t: Any, params: Any) -> Any:
        return params[0] * s * (params[1] - w) / (r**2 + s**2 * (1 - t))

    def negative_bound(params: Any, key: Any) -> Any:
        ws, kl = sdeint_ito_fixed_grid(
            lambda w, t, params: s * u(w, t, params), lambda w, t, params: jnp.full_like(w, s), jnp.zeros(()), ts, key,
            params, noise="additive", running=running_path_kl(u, estimator),
        )  # fmt: skip
        return kl[-1] - jax.scipy.stats.norm.logpdf(seen, ws[-1], r)

    gradients = jax.jit(jax.vmap(jax.grad(negative_bound), (None, 0)))
    found = gradients(jnp.array([1.0, seen]), jax.random.split(jax.random.key(0), paths))
    return float(jnp.sqrt(jnp.square(found).sum(1).mean()))


def draw(at: list[int], variances: dict[str, list[float]], ys: Any, path: Path) -> None:
    title = "Sticking the landing: its gradient loses its noise as the posterior is reached"
    with picture(path, title, width=9.6, height=3.8) as figure:
        left, right = figure.subplots(1, 2)
        left.plot(TIMES, ys[:20].T, color=COLOURS[0], alpha=0.35, linewidth=0.7)
        left.scatter(SEEN_AT, SEEN, color=RED, s=22, zorder=3, label="observations")
        left.set(xlabel="Time t", ylabel="Latent path y", title="Paths of the posterior trained with stl")
        left.legend()
        for (estimator, values), colour in zip(variances.items(), COLOURS, strict=False):
            right.semilogy(at, values, color=colour, label=estimator)
        right.set(xlabel="Gradient steps", ylabel="Variance of the gradient", title="Of one path, over parameters")
        right.legend()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=4000, metavar="N", help="gradient steps (default 4000)")
    parser.add_argument(
        "--picture", type=Path, default=Path("runs/estimator_variance.png"), metavar="PNG", help="where to draw"
    )
    options = parser.parse_args()
    print_conditions("jax")
    found = {estimator: trained(estimator, options.iterations, 20) for estimator in ESTIMATORS}
    at = found["stl"][0]
    for title, column in (("Variance of the gradient", 1), ("Negative bound, nats", 2)):
        rows = {
            f"{n} steps": [f"{found[e][column][k]:.3g}" for e in ESTIMATORS] for k, n in enumerate(at) if k % 4 == 0
        }
        print_rows(title, ESTIMATORS, rows)
    draw(at, {estimator: found[estimator][1] for estimator in ESTIMATORS}, found["stl"][3], options.picture)
    with jax.enable_x64(True):
        rows = {
            f"{n} steps": [f"{exact_posterior(estimator, n):.2e}" for estimator in ESTIMATORS]
            for n in (25, 100, 400, 1600, 6400)
        }
    print_rows("Root mean square of the gradient at the exact posterior", ESTIMATORS, rows)


if __name__ == "__main__":
    main()
