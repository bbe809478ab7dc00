"""What does a training step of an SDE-BNN cost beyond its convolutions?

The network of the CIFAR-10 command: blocks 2-2-2, width 64, two augmented channels, 32 x 32 x 3 images, batch 32, 20
Euler-Maruyama steps, posterior drift 2-64-2. Beside it a plain stack: the same residual convolutions with their biases
and activations, as many times, forward and backward, without any SDE: in PyTorch, in a process of its own, and with
`--all` in JAX, in a loop with this project's convolutions and activations that are computed again.

    JAX_PLATFORMS=cpu python benchmarks/sdebnn_step.py [--rounds 3] [--devices 1 2] [--all]

`--torch-python` names another interpreter for PyTorch, where the one of JAX has none.
"""

import argparse
import functools
import itertools
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from timing import CORES, medians, print_conditions, print_table
from torch_process import torch_stack

from sdebnn.brax import build_learner, devices
from sdebnn.brax.layers.convolution import conv2d
from sdebnn.data import Dataset
from sdebnn.runs import TrainConfig

BATCH, SIDE, CHANNELS, STEPS, WIDTH = 32, 32, 5, 20, 64
GROUPS, BLOCKS = 3, 2
ROWS: dict[str, dict[str, Any]] = {
    "SDE-BNN, backprop": {},
    "SDE-BNN, checkpoint": {"adjoint": "checkpoint"},
    "SDE-BNN, reversible Heun": {"adjoint": "reversible", "method": "reversible_heun"},
    "ODE network, backprop": {"model": "odenet"},
}


def training_step(number: int, **choices: Any) -> tuple[Callable[[], Any], float]:
    """One gradient step of the network, compiled, on so many devices; and the MiB that it takes for a time."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (BATCH, SIDE, SIDE, 3), np.uint8)
    y = rng.integers(0, 10, BATCH).astype(np.int32)
    config = TrainConfig.for_data("cifar10", **{"batch_size": BATCH, "steps": STEPS} | choices)
    learner = build_learner(config, Dataset("cifar10", "classification", x, y, x, y, 10), devices=number)
    batch = devices.place(learner._mesh, ((x.astype(np.float32) / 255)[None], y[None]), devices.EXAMPLES)
    arguments = (learner._state, learner._step_key, *batch, np.uint32(0), 0.01, 1.0, 0.9)
    compiled = learner._step.lower(*arguments).compile()
    memory = compiled.memory_analysis().temp_size_in_bytes / 2**20
    return lambda: jax.block_until_ready(compiled(*arguments)), memory


def stack_shapes() -> list[tuple[int, int]]:
    """Side and channels of the hidden state in every block."""
    return [(SIDE // 2**g, CHANNELS * 4**g) for g in range(GROUPS) for _ in range(BLOCKS)]


def stack_inputs() -> tuple[list, list]:
    """The hidden state and the three kernels and biases of every block."""
    xs, kernels, key = [], [], jax.random.key(0)
    for number, (side, channels) in enumerate(stack_shapes()):
        keys = jax.random.split(jax.random.fold_in(key, number), 4)
        widths = (channels, WIDTH, WIDTH, channels)
        xs.append(jax.random.normal(keys[0], (BATCH, side, side, channels)))
        kernels.append(
            [
                (0.05 * jax.random.normal(key, (3, 3, i, o)), jnp.zeros(o))
                for key, (i, o) in zip(keys[1:], itertools.pairwise(widths), strict=True)
            ]
        )
    return xs, kernels


def jax_stack(number: int) -> Callable[[], Any]:
    """Its gradient, on so many devices."""

    def layer(x: Any, kernel: Any, bias: Any) -> Any:
        return conv2d(x, kernel) + bias

    # To compute activations again is faster than to keep them, as `recomputing_serial` knows too.
    again = jax.checkpoint(lambda x, kernel, bias: layer(jax.nn.swish(x), kernel, bias), prevent_cse=False)

    def move(kernels: Any, x: Any, _: None) -> tuple[Any, None]:
        return x + again(again(layer(x, *kernels[0]), *kernels[1]), *kernels[2]) / STEPS, None

    def loss(xs: Any, kernels: Any) -> Any:
        total = jnp.zeros(())
        for x, block in zip(xs, kernels, strict=True):
            x, _ = lax.scan(functools.partial(move, block), x, None, STEPS)
            total += jnp.sum(x**2)
        return total

    def of_shard(xs: Any, kernels: Any) -> tuple[Any, Any]:
        of_xs, of_kernels = jax.grad(loss, (0, 1))(xs, kernels)
        return of_xs, lax.psum(of_kernels, "batch")

    mesh = Mesh(np.array(jax.devices()[:number]), ("batch",))
    specs = (P("batch"), P())
    gradient = jax.jit(jax.shard_map(of_shard, mesh=mesh, in_specs=specs, out_specs=specs, check_vma=False))
    xs, kernels = stack_inputs()
    inputs = devices.place(mesh, xs, specs[0]), devices.place(mesh, kernels)
    return lambda: jax.block_until_ready(gradient(*inputs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each row (default 3)")
    parser.add_argument(
        "--devices",
        type=int,
        nargs="+",
        default=sorted({1, CORES}),
        help="host devices of JAX (default 1 and a core each)",
    )
    parser.add_argument("--all", action="store_true", help="the other gradients, and the plain stack in JAX, too")
    parser.add_argument("--torch-python", default=sys.executable, metavar="PYTHON", help="the interpreter of PyTorch")
    options = parser.parse_args()
    devices.offer(max(options.devices))
    print_conditions("jax")
    with torch_stack(options.torch_python, STEPS, CORES) as run:
        calls = {"plain stack, PyTorch": run}
        for number in options.devices:
            on = f", {number} device{'s' * (number > 1)}"
            if options.all:
                calls["plain stack, JAX" + on] = jax_stack(number)
            for name, choices in ROWS.items() if options.all else list(ROWS.items())[:1]:
                started = time.perf_counter()
                calls[name + on], memory = training_step(number, **choices)
                seconds = time.perf_counter() - started
                print(f"{name}{on}: built and compiled in {seconds:.0f} s; temporary memory {memory:.0f} MiB")
        print_table("One gradient of the 2-2-2 network", medians(calls, rounds=options.rounds))


if __name__ == "__main__":
    main()
