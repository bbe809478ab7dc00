"""Can a drift alone turn one Gaussian start into a posterior of two modes?

Figure 2 of Xu et al. (2021): an Ornstein-Uhlenbeck path of one dimension on [0, 3] starts at z_0 ~ N(0, 9), and its end
z_T is seen twice with Cauchy noise of scale 1, at +5 and at -5. The posterior's drift and its Gaussian start are
trained on the importance-weighted bound with 20 samples (Burda et al., 2016). The exact posterior of z_T, a density of
one variable, is beside it.

    JAX_PLATFORMS=cpu python benchmarks/multimodal_posterior.py
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
from sdebnn.plots.style import COLOURS, RED, drawing, legend, panels

TIMES = np.linspace(0.0, 3.0, 101)
RATE, SIGMA, START = 0.1, 2**0.5, 3.0
SEEN = np.array([5.0, -5.0])
SAMPLES, BATCH, WIDTH = 20, 16, 64
norm = jax.scipy.stats.norm


def init(key: Any) -> Any:
    """Params of the posterior, which starts at the prior."""
    return {
        "w1": jax.random.normal(key, (2, WIDTH)),
        "b1": jnp.zeros(WIDTH),
        "w2": jnp.zeros(WIDTH),
        "b2": jnp.zeros(()),
        "mean": jnp.zeros(()),
        "log_std": jnp.log(START),
    }


def u(z: Any, t: Any, params: Any) -> Any:
    """The correction to the prior's drift, in units of sigma."""
    inputs = jnp.stack([z / START, t / TIMES[-1]])
    return jnp.tanh(inputs @ params["w1"] + params["b1"]) @ params["w2"] + params["b2"]


def draw(params: Any, key: Any, estimator: str = "full_mc") -> tuple[Any, Any]:
    """One path of the posterior, and its log weight: log p(z, seen) - log q(z)."""
    start_key, path_key = jax.random.split(key)
    z0 = params["mean"] + jnp.exp(params["log_std"]) * jax.random.normal(start_key)
    zs, kl = sdeint_ito_fixed_grid(
        lambda z, t, params: SIGMA * u(z, t, params) - RATE * z, lambda z, t, params: jnp.full_like(z, SIGMA),
        z0, TIMES, path_key, params, noise="additive", running=running_path_kl(u, estimator),
    )  # fmt: skip
    log_likelihood = jax.scipy.stats.cauchy.logpdf(SEEN, zs[-1]).sum()
    log_ratio = norm.logpdf(z0, 0.0, START) - norm.logpdf(z0, params["mean"], jnp.exp(params["log_std"]))
    return zs, log_likelihood + log_ratio - kl[-1]


def bound(params: Any, key: Any) -> Any:
    """The importance-weighted lower bound of log p(seen), in nats."""
    _, log_weights = jax.vmap(draw, (None, 0))(params, jax.random.split(key, SAMPLES))
    return jax.nn.logsumexp(log_weights) - jnp.log(SAMPLES)


@jax.jit
def draws(params: Any, keys: Any) -> Any:
    return jax.vmap(draw, (None, 0))(params, keys)


def train(iterations: int) -> tuple[Any, float]:
    """Params, and the mean bound over the last tenth of training."""
    params = init(jax.random.key(0))
    optimiser = optax.adam(optax.cosine_decay_schedule(1e-2, iterations))

    def step(carry: Any, key: Any) -> Any:
        params, state = carry

        def loss(params: Any) -> Any:
            return -jax.vmap(bound, (None, 0))(params, jax.random.split(key, BATCH)).mean()

        value, gradient = jax.value_and_grad(loss)(params)
        updates, state = optimiser.update(gradient, state)
        return (optax.apply_updates(params, updates), state), -value

    keys = jax.random.split(jax.random.key(1), iterations)
    (params, _), bounds = jax.jit(lambda carry: jax.lax.scan(step, carry, keys))((params, optimiser.init(params)))
    return params, float(bounds[-(iterations // 10) :].mean())


def exact(z: Any) -> tuple[Any, float]:
    """The posterior density of z_T on the grid `z`, and log p(seen), of the chain that the solver steps."""
    h, steps = TIMES[1], len(TIMES) - 1
    decay = (1 - RATE * h) ** (2 * np.arange(steps + 1))
    std = np.sqrt(START**2 * decay[steps] + SIGMA**2 * h * decay[:steps].sum())
    joint = np.exp(norm.logpdf(z, 0.0, std) + sum(jax.scipy.stats.cauchy.logpdf(seen, z) for seen in SEEN))
    evidence = np.trapezoid(joint, z)
    return joint / evidence, float(np.log(evidence))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=2000, metavar="N", help="gradient steps (default 2000)")
    parser.add_argument(
        "--picture", type=Path, default=Path("runs/multimodal_posterior.png"), metavar="PNG", help="where to draw"
    )
    options = parser.parse_args()
    print_conditions("jax")
    params, iwae = train(options.iterations)
    zs, log_weights = draws(params, jax.random.split(jax.random.key(2), 20_000))
    ends, weights = np.asarray(zs[:, -1]), np.asarray(jax.nn.softmax(log_weights))
    grid = np.linspace(-15, 15, 3001)
    density, log_evidence = exact(grid)
    masks = {"z_T < -2": lambda z: z < -2, "-2 to 2": lambda z: abs(z) <= 2, "z_T > 2": lambda z: z > 2}
    rows = {
        "trained drift": [f"{np.mean(mask(ends)):.3f}" for mask in masks.values()],
        "trained, importance-weighted": [f"{weights[mask(ends)].sum():.3f}" for mask in masks.values()],
        "exact": [f"{np.trapezoid(density * mask(grid), grid):.3f}" for mask in masks.values()],
    }
    print_rows("Mass of the posterior", list(masks), rows)
    print_rows("log p(seen), nats", ["nats"], {"bound, 20 samples": [f"{iwae:.3f}"], "exact": [f"{log_evidence:.3f}"]})
    title = "One Gaussian start, two modes at the end"
    with drawing(None, options.picture, title, width=9.6, height=3.8) as ax:
        left, right = panels(ax, 1, 2, width_ratios=[2, 1], sharey=True)[0]
        left.plot(TIMES, zs[:60].T, color=COLOURS[0], alpha=0.35, linewidth=0.7)
        left.scatter([TIMES[-1]] * 2, SEEN, color=RED, s=28, zorder=3, clip_on=False, label="observations")
        left.set(xlabel="Time t", ylabel="State z", xlim=(0, 3), ylim=(-12, 12))
        legend(left, loc="upper left")
        sideways: dict[str, Any] = {"density": True, "orientation": "horizontal", "color": COLOURS[0]}
        right.hist(ends, grid[::50], alpha=0.4, label="trained drift", **sideways)
        right.hist(ends, grid[::50], weights=weights, histtype="step", label="importance-weighted", **sideways)
        right.plot(density, grid, color="black", label="exact")
        right.set(xlabel="Density of the last state")
        legend(right)


if __name__ == "__main__":
    main()
