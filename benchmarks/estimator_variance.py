"""How noisy is the gradient that each estimator of the path KL gives, along training and at the exact posterior?

First figure 4 of Xu et al. (2021): ten observations of cos(2 pi t), a latent path dy = u dt + dB from zero whose prior
has no drift, u a network 400 wide of (sin t, cos t, y), Gaussian noise of 0.1. Each estimator trains its own posterior;
its variance is that of the gradient of single paths, summed over the parameters.

The gradient of "stl" can only lose its noise where the posterior is reached, and there the drift pulls harder towards
each observation the nearer it is, like 1 / (time to it + noise^2). Three things let solver, network and optimiser
follow: steps in proportion to the time to the next observation, hidden units that begin with slopes of that scale, and
a natural gradient for the last layer.

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
from sdebnn.plots.style import COLOURS, RED, drawing, legend, panels

PATHS, MEASURED, WIDTH = 32, 256, 400
SEEN_AT = np.concatenate([np.linspace(0.4, 0.6, 5), np.linspace(0.8, 1.0, 5)])
SEEN = np.cos(2 * np.pi * SEEN_AT)
NOISE = 0.1


def graded_times(fraction: float = 0.05) -> np.ndarray:
    """Times from 0 to 1 through every observation, in steps of that fraction of (time to the next one + noise^2)."""
    times = [0.0]
    for seen_at in SEEN_AT:
        longest = seen_at - times[-1] + NOISE**2
        steps = int(np.ceil(np.log(longest / NOISE**2) / fraction))
        times += list(seen_at + NOISE**2 - np.geomspace(longest, NOISE**2, steps + 1)[1:])
    return np.array(times)


TIMES = graded_times()
ON_GRID = np.abs(TIMES[:, None] - SEEN_AT).argmin(axis=0)


def init(seed: int = 0) -> Any:
    """Params of the drift. A hidden unit is tanh(a sin(t - t_0) + b (y - y_0)), with a of the order of 1 / (time from
    t_0 to the next observation + noise^2); the last layer starts at zero, that is at the prior.
    """
    rng = np.random.default_rng(seed)
    t0, y0 = rng.choice(TIMES[:-1], WIDTH), rng.normal(size=WIDTH)
    to_next = np.array([SEEN_AT[t + 1e-9 < SEEN_AT].min() - t for t in t0])
    a = rng.choice([-1, 1], WIDTH) * np.exp(rng.uniform(0, 3, WIDTH)) / (to_next + NOISE**2)
    b = 1.5 * rng.normal(size=WIDTH)
    params = {"w1": np.stack([a * np.cos(t0), -a * np.sin(t0), b]), "b1": -b * y0, "w2": np.zeros(WIDTH), "b2": 0.0}
    return jax.tree.map(jnp.float32, params)


def hidden(y: Any, t: Any, params: Any) -> Any:
    return jnp.tanh(jnp.stack([jnp.sin(t), jnp.cos(t), y]) @ params["w1"] + params["b1"])


def drift(y: Any, t: Any, params: Any) -> Any:
    """The posterior's drift, which is u itself: the prior has no drift and sigma is 1."""
    return hidden(y, t, params) @ params["w2"] + params["b2"]


def negative_bound(params: Any, key: Any, estimator: str) -> tuple[Any, Any]:
    """Of one path; and the path."""
    ys, kl = sdeint_ito_fixed_grid(
        drift, lambda y, t, params: jnp.ones_like(y), jnp.zeros(()), TIMES, key, params, noise="additive",
        running=running_path_kl(drift, estimator),
    )  # fmt: skip
    return kl[-1] - jax.scipy.stats.norm.logpdf(SEEN, ys[ON_GRID], NOISE).sum(), ys


def fisher_information(params: Any, ys: Any) -> Any:
    """Of the law of the paths, about the last layer: the mean of the integral of the outer square of its inputs."""
    times, steps = jnp.float32(TIMES[:-1]), jnp.float32(np.diff(TIMES))
    inputs = jax.vmap(jax.vmap(hidden, (0, 0, None)), (0, None, None))(ys[:, :-1], times, params)
    inputs = jnp.append(inputs, jnp.ones_like(inputs[..., :1]), axis=-1)
    return jnp.einsum("pti,t,ptj->ij", inputs, steps, inputs) / len(ys)


def trained(estimator: str, iterations: int, measurements: int) -> tuple[list[int], list[float], list[float], Any]:
    """Iterations, the gradient's variance and the negative bound there, and paths of the final posterior.

    The last layer goes along its natural gradient, which is bounded by the KL from one posterior to the next; the first
    layer follows Adam.
    """
    rate = optax.cosine_decay_schedule(0.3, iterations, alpha=0.01)
    adam = optax.adam(lambda count: 0.1 * rate(count))

    @jax.jit
    def some_steps(carry: Any, numbers: Any, keys: Any) -> Any:
        def step(carry: Any, number_and_key: Any) -> Any:
            params, state, fisher = carry
            number, key = number_and_key

            def loss(params: Any) -> Any:
                values, ys = jax.vmap(negative_bound, (None, 0, None))(params, jax.random.split(key, PATHS), estimator)
                return values.mean(), ys

            gradient, ys = jax.grad(loss, has_aux=True)(params)
            fisher = fisher + jnp.where(number == 0, 1.0, 0.1) * (fisher_information(params, ys) - fisher)
            last = jnp.append(gradient["w2"], gradient["b2"])
            damping = 1e-4 * jnp.trace(fisher) / len(fisher) * jnp.eye(len(fisher))
            natural = jnp.linalg.solve(fisher + damping, last)
            natural = rate(number) * natural / jnp.maximum(1.0, jnp.sqrt(natural @ fisher @ natural))
            updates, state = adam.update({name: gradient[name] for name in ("w1", "b1")}, state)
            updates |= {"w2": -natural[:-1], "b2": -natural[-1]}
            return (optax.apply_updates(params, updates), state, fisher), None

        return jax.lax.scan(step, carry, (numbers, keys))[0]

    @jax.jit
    def measure(params: Any, key: Any) -> Any:
        of_path = jax.vmap(jax.value_and_grad(negative_bound, has_aux=True), (None, 0, None))
        (values, ys), gradients = of_path(params, jax.random.split(key, MEASURED), estimator)
        return sum(jnp.var(g, axis=0).sum() for g in jax.tree.leaves(gradients)), values.mean(), ys

    params = init()
    carry = params, adam.init({name: params[name] for name in ("w1", "b1")}), jnp.zeros((WIDTH + 1, WIDTH + 1))
    variances, bounds = [], []
    at = [iterations * k // measurements for k in range(measurements + 1)]
    for number, stop in enumerate(at):
        variance, bound, ys = measure(carry[0], jax.random.fold_in(jax.random.key(1), number))
        variances.append(float(variance))
        bounds.append(float(bound))
        if stop < iterations:
            numbers = jnp.arange(stop, at[number + 1])
            keys = jax.random.split(jax.random.fold_in(jax.random.key(2), number), len(numbers))
            carry = some_steps(carry, numbers, keys)
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
    with drawing(None, path, title, width=9.6, height=3.8) as ax:
        left, right = panels(ax, 1, 2)[0]
        left.plot(TIMES, ys[:20].T, color=COLOURS[0], alpha=0.35, linewidth=0.7)
        left.scatter(SEEN_AT, SEEN, color=RED, s=22, zorder=3, label="observations")
        left.set(xlabel="Time t", ylabel="Latent path y", title="Paths of the posterior trained with stl")
        legend(left)
        for (estimator, values), colour in zip(variances.items(), COLOURS, strict=False):
            right.semilogy(at, values, color=colour, label=estimator)
        right.set(xlabel="Gradient steps", ylabel="Variance of the gradient", title="Of one path, over parameters")
        legend(right)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=200, metavar="N", help="gradient steps (default 200)")
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
