"""What does a neural SDE cost beyond a plain scan, and what do other libraries take for it?

The drift is an MLP of 64-64 (tanh), noise is diagonal, the state has 32 entries, the batch 256, and there are 100 steps
in float32. With `--width 512` the drift's matrix products are the work, and the noise is not.

    JAX_PLATFORMS=cpu python benchmarks/neural_sde.py [--width 512]
"""

import argparse
from typing import Any

import jax
import jax.numpy as jnp
import torch
from solvers import Equation, compare

BATCH, STATE, STEPS = 256, 32, 100


def neural_sde(width: int = 64) -> Equation:
    keys = jax.random.split(jax.random.key(0), 3)
    sizes = [(STATE, width), (width, width), (width, STATE)]
    params = [(jax.random.normal(k, s) / s[0] ** 0.5, jnp.zeros(s[1])) for k, s in zip(keys, sizes, strict=True)]
    return Equation(
        lambda y, params: mlp(jnp.tanh, y, params),
        lambda y, params: 0.1 + 0.1 * jnp.tanh(y),
        lambda y, params: mlp(torch.tanh, y, params),
        lambda y, params: 0.1 + 0.1 * torch.tanh(y),
        params,
        jnp.ones((BATCH, STATE)),
        STEPS,
    )


def mlp(tanh: Any, y: Any, params: Any) -> Any:
    (w1, b1), (w2, b2), (w3, b3) = params
    return tanh(tanh(y @ w1 + b1) @ w2 + b2) @ w3 + b3


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="measurements of each row")
    parser.add_argument("--width", type=int, default=64, help="hidden units a layer of the drift")
    options = parser.parse_args()
    compare(neural_sde(options.width), options.rounds)
