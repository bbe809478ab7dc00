"""Is the default gradient right wherever the forward solve is stable?

Relative error of the gradient with respect to y0, the rate L and the size of the noise, in single precision, beside
backpropagation through the same solve: 64 steps of length h, with h L from 0.01 to 1.9, where an explicit step of a
linear equation is just stable. Backwards such equations expand, so an adjoint that runs the state backwards loses it.

    JAX_PLATFORMS=cpu python benchmarks/gradient_stiff.py
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from timing import print_conditions, print_rows

from jaxsde import sdeint_ito, sdeint_strat
from jaxsde.types import Noise

STEPS = 64
PRODUCTS = (0.01, 0.1, 0.5, 1.0, 1.9)
SOLVES = {"ito": sdeint_ito, "stratonovich": sdeint_strat}


class Problem(NamedTuple):
    """dy = f(y, L) dt + sigma g(y) dB from y0."""

    f: Callable[[Any, Any], Any]
    g: Callable[[Any], Any]
    y0: list[float]
    sigma: float
    sde_type: str
    method: str
    noise: Noise = "diagonal"


def relaxation(y: Any, rate: Any) -> Any:
    return -rate * (y - 1.0)


def double_well(y: Any, rate: Any) -> Any:
    return -0.5 * rate * (y**3 - y)


def pair(y: Any, rate: Any) -> Any:
    return jnp.stack([-y[0] + 0.5 * y[1], -rate * (y[1] - jnp.sin(y[0]))])


def decay(y: Any, rate: Any) -> Any:
    return -rate * y


def columns(y: Any) -> Any:
    return jnp.stack([jnp.cos(y), jnp.sin(y[::-1])], -1)


PROBLEMS = {
    "relaxation, additive, euler_maruyama": Problem(
        relaxation, jnp.ones_like, [2.0], 0.1, "ito", "euler_maruyama", "additive"
    ),
    "relaxation, additive, sra1": Problem(relaxation, jnp.ones_like, [2.0], 0.1, "ito", "sra1", "additive"),
    "double well, diagonal, milstein": Problem(double_well, jnp.cos, [0.5], 0.3, "ito", "milstein"),
    "double well, diagonal, midpoint": Problem(double_well, jnp.cos, [0.5], 0.3, "stratonovich", "midpoint"),
    "stiff pair, scalar, heun": Problem(pair, jnp.sin, [0.5, -0.3], 0.5, "stratonovich", "heun", "scalar"),
    "stiff pair, general, euler_maruyama": Problem(pair, columns, [0.5, -0.3], 0.3, "ito", "euler_maruyama", "general"),
    "stiff pair, general, midpoint": Problem(pair, columns, [0.5, -0.3], 0.3, "stratonovich", "midpoint", "general"),
    "GBM, sigma 0.1, milstein": Problem(decay, lambda y: y, [1.0], 0.1, "ito", "milstein"),
    "GBM, sigma 1, euler_heun": Problem(decay, lambda y: y, [1.0], 1.0, "stratonovich", "euler_heun"),
    "GBM, sigma 3, euler_maruyama": Problem(decay, lambda y: y, [1.0], 3.0, "ito", "euler_maruyama"),
}


def gradient(problem: Problem, product: float, adjoint: str) -> Any:
    def loss(y0: Any, rate: Any, sigma: Any) -> Any:
        ys = SOLVES[problem.sde_type](
            lambda y, t, args: problem.f(y, args[0]),
            lambda y, t, args: args[1] * problem.g(y),
            y0,
            np.array([0.0, 1.0]),
            jax.random.key(0),
            (rate, sigma),
            problem.method,
            dt=1 / STEPS,
            noise=problem.noise,
            adjoint=adjoint,
        )
        return jnp.sum(jnp.sin(ys[-1]))

    inputs = jnp.array(problem.y0), jnp.asarray(product * STEPS), jnp.asarray(problem.sigma)
    # In double precision: what has decayed has no square in single.
    return np.asarray(ravel_pytree(jax.jit(jax.grad(loss, (0, 1, 2)))(*inputs))[0], np.float64)


def error(found: Any, exact: Any) -> float:
    return 0.0 if np.array_equal(found, exact) else float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


def main() -> None:
    print_conditions("jax")
    rows, worst = {}, 0.0
    for name, problem in PROBLEMS.items():
        errors = [
            error(gradient(problem, product, "stochastic"), gradient(problem, product, "backprop"))
            for product in PRODUCTS
        ]
        rows[name] = [f"{found:.0e}" for found in errors]
        worst = max(worst, *errors)
    print_rows("Relative error of the default gradient", [f"h L = {product}" for product in PRODUCTS], rows)
    print(f"\nThe largest of {len(PROBLEMS) * len(PRODUCTS)}: {worst:.1e}.")


if __name__ == "__main__":
    main()
