"""Does a solve stay as cheap as a plain scan where the state is large and the drift is cheap?

100,000 entries, each with its own rates, diagonal noise, 64 steps in float32: the Brownian path is most of the work.

    JAX_PLATFORMS=cpu python benchmarks/large_state.py
"""

import argparse

import jax.numpy as jnp
import torch
from solvers import Equation, compare

STATE, STEPS = 100_000, 64


def large_state() -> Equation:
    return Equation(
        lambda y, params: params["centre"] - params["rate"] * y,
        lambda y, params: 0.1 + 0.1 * jnp.tanh(y),
        lambda y, params: params["centre"] - params["rate"] * y,
        lambda y, params: 0.1 + 0.1 * torch.tanh(y),
        {"centre": jnp.linspace(-1, 1, STATE), "rate": jnp.linspace(0.5, 1.5, STATE)},
        jnp.ones(STATE),
        STEPS,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each row")
    compare(large_state(), parser.parse_args().rounds)
