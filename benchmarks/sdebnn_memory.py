"""How does the memory of an SDE-BNN's training step grow with the number of solver steps?

XLA's temporary memory of the compiled step of `sdebnn_step.py`, in MiB. Nothing runs and nothing is timed.

    JAX_PLATFORMS=cpu python benchmarks/sdebnn_memory.py
"""

from typing import Any

import jax
import numpy as np
from sdebnn_step import KEY, images, network, training_step
from timing import print_conditions, print_rows

STEPS = (10, 20, 40, 80)
ROWS: dict[str, dict[str, Any]] = {
    "backprop": {},
    "checkpoint": {"adjoint": "checkpoint"},
    "stochastic": {"adjoint": "stochastic"},
    "reversible (reversible Heun)": {"adjoint": "reversible", "method": "reversible_heun"},
}


def main() -> None:
    x, y = images()
    x = x.astype(np.float32) / 255

    def mebibytes(**choices: Any) -> str:
        step, state = training_step(network(**choices))
        jax.clear_caches()
        return f"{step.lower(*state, x, y, KEY).compile().memory_analysis().temp_size_in_bytes / 2**20:.0f}"

    print_conditions("jax")
    table = {name: [mebibytes(**choices, steps=n) for n in STEPS] for name, choices in ROWS.items()}
    print_rows("Temporary memory, MiB", [f"{n} steps" for n in STEPS], table)


if __name__ == "__main__":
    main()
