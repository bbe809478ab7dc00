"""How does the memory of a gradient grow with the number of steps?

XLA's temporary memory of the compiled gradient, in MiB, for the neural SDE of `neural_sde.py` (batch 256). Nothing runs
and nothing is timed.

    JAX_PLATFORMS=cpu python benchmarks/gradient_memory.py
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
from neural_sde import neural_sde
from timing import print_conditions, print_rows

STEPS = (64, 256, 1024, 4096)


def main() -> None:
    key, equation = jax.random.key(0), neural_sde()

    def mebibytes(solve: Callable[..., Any]) -> float:
        gradient = jax.jit(jax.grad(lambda y0, params: jnp.sum(solve(y0, key, params) ** 2), argnums=(0, 1)))
        compiled = gradient.lower(equation.y0, equation.params).compile()
        return compiled.memory_analysis().temp_size_in_bytes / 2**20  # type: ignore[union-attr]

    rows = {
        "plain lax.scan": lambda e: e.plain_scan,
        "jaxsde euler_maruyama, backprop": lambda e: e.jaxsde("euler_maruyama", "backprop"),
        "jaxsde euler_maruyama, checkpoint": lambda e: e.jaxsde("euler_maruyama", "checkpoint"),
        "jaxsde euler_maruyama, stochastic": lambda e: e.jaxsde("euler_maruyama", "stochastic"),
        "jaxsde midpoint, stochastic": lambda e: e.jaxsde("midpoint", "stochastic"),
        "jaxsde coupled_midpoint, reversible": lambda e: e.jaxsde("coupled_midpoint", "reversible"),
        "jaxsde ees25, reversible": lambda e: e.jaxsde("ees25", "reversible"),
        "jaxsde reversible_heun, reversible": lambda e: e.jaxsde("reversible_heun", "reversible"),
        "diffrax Euler, recursive checkpoints": lambda e: e.diffrax(diffrax.Euler()),
    }
    print_conditions("jax", "diffrax")
    table = {
        name: [f"{mebibytes(solver(dataclasses.replace(equation, steps=n))):.2f}" for n in STEPS]
        for name, solver in rows.items()
    }
    print_rows("Temporary memory, MiB", [f"{n} steps" for n in STEPS], table)


if __name__ == "__main__":
    main()
