"""How long do ten 3x3 convolutions in a loop take, forward and backward, against lax's, unrolled ones and PyTorch's?

A tanh follows each, and all ten share a kernel. `down and up` are five pairs of a convolution with stride 2 and a
transposed one. Threads as JAX takes them, and as many for PyTorch.

    JAX_PLATFORMS=cpu python benchmarks/convolution_in_a_loop.py [--all] [--naive]
"""

import argparse
import functools
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import torch
from jax import lax
from timing import medians, print_table

from sdebnn.brax.layers.convolution import conv2d, conv2d_transpose

FORM = ("NHWC", "HWIO", "NHWC")
Step = Callable[[jax.Array, jax.Array], jax.Array]


def lax_conv2d(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    return lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=FORM)


def lax_conv2d_transpose(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    return lax.conv_transpose(x, kernel, (stride, stride), "SAME", dimension_numbers=FORM)


def same(conv: Callable[..., jax.Array]) -> Step:
    return lambda x, kernel: jnp.tanh(conv(x, kernel))


def down_and_up(conv: Callable[..., jax.Array], transpose: Callable[..., jax.Array]) -> Step:
    return lambda x, kernel: jnp.tanh(transpose(jnp.tanh(conv(x, kernel, stride=2)), kernel, stride=2))


def jax_gradient(step: Step, times: int, loop: bool) -> Callable[..., Any]:
    def loss(x: jax.Array, kernel: jax.Array) -> jax.Array:
        if loop:
            x, _ = lax.scan(lambda x, _: (step(x, kernel), None), x, None, length=times)
        else:
            for _ in range(times):
                x = step(x, kernel)
        return jnp.sum(x**2)

    return jax.jit(jax.grad(loss, (0, 1)))


def torch_step(strided: bool, x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    if not strided:
        return torch.tanh(torch.nn.functional.conv2d(x, kernel, padding=1))
    x = torch.tanh(torch.nn.functional.conv2d(x, kernel, stride=2, padding=1))
    return torch.tanh(torch.nn.functional.conv_transpose2d(x, kernel, stride=2, padding=1, output_padding=1))


def torch_gradient(step: Callable[..., torch.Tensor], times: int) -> Callable[..., Any]:
    def run(x: torch.Tensor, kernel: torch.Tensor) -> tuple[torch.Tensor, ...]:
        y = x
        for _ in range(times):
            y = step(y, kernel)
        return torch.autograd.grad((y**2).sum(), (x, kernel))

    return run


def compare(batch: int, side: int, channels: int, strided: bool, naive: bool) -> None:
    key_x, key_k = jax.random.split(jax.random.key(0))
    x = jax.random.normal(key_x, (batch, side, side, channels))
    kernel = jax.random.normal(key_k, (3, 3, channels, channels)) / (9 * channels) ** 0.5
    ours = down_and_up(conv2d, conv2d_transpose) if strided else same(conv2d)
    theirs = down_and_up(lax_conv2d, lax_conv2d_transpose) if strided else same(lax_conv2d)
    times = 5 if strided else 10
    in_jax = {
        "conv2d in a loop": jax_gradient(ours, times, loop=True),
        "conv2d unrolled": jax_gradient(ours, times, loop=False),
        "lax unrolled": jax_gradient(theirs, times, loop=False),
    }
    calls = {name: lambda f=f: jax.block_until_ready(f(x, kernel)) for name, f in in_jax.items()}
    torch_x = torch.randn(batch, channels, side, side, requires_grad=True)
    torch_kernel = (torch.randn(channels, channels, 3, 3) / (9 * channels) ** 0.5).requires_grad_()
    step = torch_gradient(functools.partial(torch_step, strided), times)
    seconds = medians({**calls, "PyTorch": lambda: step(torch_x, torch_kernel)}, rounds=7)
    if naive:
        slow = jax_gradient(theirs, times, loop=True)
        seconds |= medians({"lax in a loop": lambda: jax.block_until_ready(slow(x, kernel))}, rounds=1)
    print_table(f"{batch} x {side} x {side} x {channels}{', down and up' if strided else ''}", seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="every batch, side and number of channels")
    parser.add_argument("--naive", action="store_true", help="lax's convolution in the loop as well: minutes")
    options = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    sizes = [(128, 14, 16), (128, 14, 32), (32, 28, 32), (32, 32, 64)]
    if options.all:
        sizes = [(b, s, c) for b in (32, 128) for s in (14, 28, 32) for c in (8, 16, 32, 64)]
    for size in sizes:
        compare(*size, strided=False, naive=options.naive)
    compare(32, 28, 32, strided=True, naive=options.naive)


if __name__ == "__main__":
    main()
