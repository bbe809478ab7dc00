"""What does a solve of a very small equation cost, step by step in Python and compiled? torchsde's own first examples.

    JAX_PLATFORMS=cpu python benchmarks/readme_example.py

Four geometric Brownian motions over 19 steps, with which torchsde's README began and which Rackauckas timed a hundred
times in a loop in torchsde and in Julia (https://gist.github.com/ChrisRackauckas/6a03e7b151c86b32d74b41af54d495c6), by
the method that torchsde takes by default; and the example with which its README begins today, 1,000 steps of 32 paths
with general noise. On one core, forward.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torchsde
from timing import medians, print_conditions, print_rows

from jaxsde import sdeint_ito, sdeint_ito_fixed_grid


class Example(NamedTuple):
    """`torchsde()` and `jaxsde(key)` give one solution at all output times; `solves` are timed together."""

    title: str
    solves: int
    torchsde: Callable[[], Any]
    jaxsde: Callable[[Any], Any]


class GeometricBrownianMotion(torch.nn.Module):
    noise_type, sde_type = "diagonal", "ito"

    def f(self, t: Any, y: Any) -> Any:
        return 0.5 * y

    def g(self, t: Any, y: Any) -> Any:
        return 1.0 * y


class LinearLayers(torch.nn.Module):
    noise_type, sde_type = "general", "ito"

    def __init__(self) -> None:
        super().__init__()
        self.mu, self.sigma = torch.nn.Linear(3, 3), torch.nn.Linear(3, 6)

    def f(self, t: Any, y: Any) -> Any:
        return self.mu(y)

    def g(self, t: Any, y: Any) -> Any:
        return self.sigma(y).view(32, 3, 2)


def of_the_claim() -> Example:
    ts, sde, y0 = torch.linspace(0, 1, 20), GeometricBrownianMotion(), torch.full((4, 1), 0.1)
    times, start = ts.numpy(), jnp.full((4, 1), 0.1)
    return Example(
        "Four geometric Brownian motions, 19 steps",
        100,
        lambda: torchsde.sdeint(sde, y0, ts, dt=ts[1]),
        lambda key: sdeint_ito_fixed_grid(
            lambda y, t, args: 0.5 * y, lambda y, t, args: 1.0 * y, start, times, key, method="sriw1"
        ),
    )


def of_today() -> Example:
    ts, sde, y0 = torch.linspace(0, 1, 20), LinearLayers(), torch.full((32, 3), 0.1)
    times, start = ts.numpy(), jnp.full((32, 3), 0.1)
    mu, sigma = ([jnp.asarray(p.detach().numpy()) for p in layer.parameters()] for layer in (sde.mu, sde.sigma))

    def f(y: Any, t: Any, args: Any) -> Any:
        return mu[0] @ y + mu[1]

    def g(y: Any, t: Any, args: Any) -> Any:
        return (sigma[0] @ y + sigma[1]).reshape(3, 2)

    def one(y0: Any, key: Any) -> Any:
        return sdeint_ito(f, g, y0, times, key, method="euler", noise="general", dt=1e-3)

    return Example(
        "The README's example of today, 1,000 steps",
        10,
        lambda: torchsde.sdeint(sde, y0, ts),
        lambda key: jax.vmap(one, out_axes=1)(start, jax.random.split(key, 32)),
    )


def compare(example: Example, rounds: int) -> None:
    keys = jax.random.split(jax.random.key(0), example.solves)
    listed, compiled, at_once = list(keys), jax.jit(example.jaxsde), jax.jit(jax.vmap(example.jaxsde))

    def each(solve: Callable[[Any], Any]) -> Callable[[], None]:
        def run() -> None:
            for key in listed:
                jax.block_until_ready(solve(key))

        return run

    # The first call of each, and what is timed.
    calls = {
        "torchsde": (example.torchsde, each(lambda key: example.torchsde())),
        "jaxsde, as it is called": (lambda: jax.block_until_ready(example.jaxsde(listed[0])), each(example.jaxsde)),
        "jaxsde, under jax.jit": (lambda: jax.block_until_ready(compiled(listed[0])), each(compiled)),
        "jaxsde, all solves in one program": (lambda: jax.block_until_ready(at_once(keys)),) * 2,
    }
    first = {}
    for name, (once, _) in calls.items():
        started = time.perf_counter()
        once()
        first[name] = time.perf_counter() - started
    assert np.shape(compiled(listed[0])) == tuple(example.torchsde().shape)
    whole = medians({name: call for name, (_, call) in calls.items()}, rounds=rounds)
    seconds = {name: value / example.solves for name, value in whole.items()}
    rows = {
        name: [f"{1000 * s:.3g}", f"{seconds['torchsde'] / s:,.0f}", f"{1000 * first[name]:,.0f}"]
        for name, s in seconds.items()
    }
    print_rows(example.title, ("ms a solve", "times as fast", "ms of the first call"), rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each row")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print_conditions("jax", "torch", "torchsde")
    for example in (of_the_claim(), of_today()):
        compare(example, rounds)
