"""What does Milstein's method cost beyond Euler-Maruyama, where noise is diagonal?

The correction is one derivative along one direction, so the ratio should not grow with the dimension. A peer that takes
whole Jacobians is beside it as far as that is affordable. 100 steps in float32, forward.

    JAX_PLATFORMS=cpu python benchmarks/milstein_cost.py
"""

import argparse
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
from solvers import Equation
from timing import medians, print_conditions, print_table


def equation(dimension: int) -> Equation:
    def drift(y: Any, params: Any) -> Any:
        return -params * y

    def diffusion(y: Any, params: Any) -> Any:
        return 0.1 + 0.1 * jnp.tanh(params * y)

    return Equation(drift, diffusion, drift, diffusion, jnp.linspace(0.5, 1.5, dimension), jnp.ones(dimension), 100)


def compare(dimension: int, rounds: int) -> None:
    sde, key = equation(dimension), jax.random.key(0)
    rows = {
        "jaxsde euler_maruyama": sde.jaxsde("euler_maruyama", "backprop"),
        "jaxsde milstein": sde.jaxsde("milstein", "backprop"),
    }
    if dimension <= 100:
        rows |= {
            "diffrax Euler": sde.diffrax(diffrax.Euler()),
            "diffrax ItoMilstein": sde.diffrax(diffrax.ItoMilstein()),
        }
    compiled = {name: jax.jit(solve) for name, solve in rows.items()}
    calls = {name: lambda f=f: jax.block_until_ready(f(sde.y0, key, sde.params)) for name, f in compiled.items()}
    print_table(f"Dimension {dimension:,}", medians(calls, rounds=rounds))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=31, help="measurements of each row")
    rounds = parser.parse_args().rounds
    print_conditions("jax", "diffrax")
    for dimension in (10, 100, 1000, 100_000):
        compare(dimension, rounds)
