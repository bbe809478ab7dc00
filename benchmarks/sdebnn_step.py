"""What does a training step of an SDE-BNN cost beyond its convolutions?

The network of the CIFAR-10 command: blocks 2-2-2, width 64, two augmented channels, 32 x 32 x 3 images, batch 32, 20
Euler-Maruyama steps, posterior drift 2-64-2. Beside it a plain stack: the same residual convolutions with their biases
and activations, as many times, forward and backward, without any SDE; in a loop with this project's convolutions and
activations that are computed again, unrolled with XLA's own, and in PyTorch.

    JAX_PLATFORMS=cpu python benchmarks/sdebnn_step.py [--rounds 5] [--unrolled]
"""

import argparse
import itertools
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from jax import lax
from timing import CORES, medians, print_conditions, print_table

from sdebnn.brax.convolution import conv2d
from sdebnn.brax.model import Model, build_model
from sdebnn.brax.objective import objective
from sdebnn.data import Dataset
from sdebnn.runs import TrainConfig

BATCH, SIDE, CHANNELS, STEPS, WIDTH = 32, 32, 5, 20, 64
GROUPS, BLOCKS = 3, 2
KEY = jax.random.key(0)


def images() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (BATCH, SIDE, SIDE, 3), np.uint8)
    return x, rng.integers(0, 10, BATCH).astype(np.int32)


def network(**choices) -> Model:
    x, y = images()
    config = TrainConfig.for_data("cifar10", **{"batch_size": BATCH, "steps": STEPS} | choices)
    return build_model(config, Dataset("cifar10", "classification", x, y, x, y, 10))


def training_step(model: Model):
    """One step of Adam on the evidence lower bound, compiled, and the state it starts from."""
    loss = objective(model, kl_coef=1.0, train_size=50_000)
    optimiser = optax.adam(1e-3)

    @jax.jit
    def step(params, state, x, y, key):
        gradient = jax.grad(loss, has_aux=True)(params, x, y, jax.random.split(key, 1))[0]
        updates, state = optimiser.update(gradient, state)
        return optax.apply_updates(params, updates), state

    params = model.init(KEY)
    return step, (params, optimiser.init(params))


def stack_shapes() -> list[tuple[int, int]]:
    """Side and channels of the hidden state in every block."""
    return [(SIDE // 2**g, CHANNELS * 4**g) for g in range(GROUPS) for _ in range(BLOCKS)]


def stack_inputs() -> tuple[list, list]:
    """The hidden state and the three kernels and biases of every block."""
    xs, kernels = [], []
    for number, (side, channels) in enumerate(stack_shapes()):
        keys = jax.random.split(jax.random.fold_in(KEY, number), 4)
        widths = (channels, WIDTH, WIDTH, channels)
        xs.append(jax.random.normal(keys[0], (BATCH, side, side, channels)))
        kernels.append(
            [
                (0.05 * jax.random.normal(key, (3, 3, i, o)), jnp.zeros(o))
                for key, (i, o) in zip(keys[1:], itertools.pairwise(widths), strict=True)
            ]
        )
    return xs, kernels


def jax_stack(conv, unrolled):
    def layer(x, kernel, bias):
        return conv(x, kernel) + bias

    def activated(x, kernel, bias):
        return layer(jax.nn.swish(x), kernel, bias)

    # To compute activations again is faster than to keep them, as `recomputing_serial` knows too.
    again = activated if unrolled else jax.checkpoint(activated, prevent_cse=False)

    def move(x, kernels):
        return x + again(again(layer(x, *kernels[0]), *kernels[1]), *kernels[2]) / STEPS

    def loss(xs, kernels):
        total = jnp.zeros(())
        for x, block in zip(xs, kernels, strict=True):
            if unrolled:
                for _ in range(STEPS):
                    x = move(x, block)
            else:
                x, _ = lax.scan(lambda x, _, block=block: (move(x, block), None), x, None, STEPS)
            total += jnp.sum(x**2)
        return total

    gradient = jax.jit(jax.grad(loss, (0, 1)))
    inputs = stack_inputs()
    return lambda: jax.block_until_ready(gradient(*inputs))


def torch_stack():
    xs, kernels = jax.tree.map(np.asarray, stack_inputs())
    xs = [torch.tensor(x).permute(0, 3, 1, 2).requires_grad_() for x in xs]
    kernels = [
        [
            (torch.tensor(k).permute(3, 2, 0, 1).requires_grad_(), torch.tensor(bias).requires_grad_())
            for k, bias in block
        ]
        for block in kernels
    ]
    conv, swish = torch.nn.functional.conv2d, torch.nn.functional.silu

    def run():
        for x, (first, second, third) in zip(xs, kernels, strict=True):
            y = x
            for _ in range(STEPS):
                hidden = swish(conv(y, *first, padding=1))
                y = y + conv(swish(conv(hidden, *second, padding=1)), *third, padding=1) / STEPS
            y.square().sum().backward()
        for leaf in [*xs, *(array for block in kernels for layer in block for array in layer)]:
            leaf.grad = None

    return run


def lax_conv(x, kernel):
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each row")
    parser.add_argument("--unrolled", action="store_true", help="also the stack unrolled with XLA's own convolutions")
    options = parser.parse_args()
    torch.set_num_threads(CORES)
    x, y = images()
    x = x.astype(np.float32) / 255
    calls = {"plain stack in a loop, JAX": jax_stack(conv2d, unrolled=False)}
    if options.unrolled:
        calls["plain stack unrolled, XLA's convolutions"] = jax_stack(lax_conv, unrolled=True)
    calls["plain stack, PyTorch"] = torch_stack()
    for name, choices in {
        "SDE-BNN, backprop": {},
        "SDE-BNN, checkpoint": {"adjoint": "checkpoint"},
        "SDE-BNN, reversible Heun": {"adjoint": "reversible", "method": "reversible_heun"},
        "ODE network, backprop": {"model": "odenet"},
    }.items():
        step, state = training_step(network(**choices))
        started = time.perf_counter()
        compiled = step.lower(*state, x, y, KEY).compile()
        memory = compiled.memory_analysis().temp_size_in_bytes / 2**20
        print(f"{name}: compiled in {time.perf_counter() - started:.0f} s; temporary memory {memory:.0f} MiB")
        calls[name] = lambda compiled=compiled, state=state: jax.block_until_ready(compiled(*state, x, y, KEY))
    print_conditions("jax", "torch")
    print_table("One gradient of the 2-2-2 network", medians(calls, rounds=options.rounds))


if __name__ == "__main__":
    main()
