"""One convolution whose gradients are convolutions of the same form, so that all of them are fast inside loops.

XLA on the CPU has a fast convolution for NHWC * HWIO -> NHWC alone. It rewrites other layouts to this one outside of
loops only, and an ODE or SDE solver is a loop: the weight gradient that JAX derives takes some thirty times longer
there. Here both gradients are stated in the fast form, with stride and dilations trading places:

    y     = x * k            stride s, x dilated by p, k dilated by q
    x_bar = g * flipped k    stride p, g dilated by s, k dilated by q
    k_bar = x * g            stride q, x dilated by p, g dilated by s
          = flipped (g * x)  stride q, g dilated by s, x dilated by p

In k_bar channels take the place of images, and images that of channels. Of its two ways the one is taken that dilates
the kernel and not the images, which XLA does some ten times faster; where nothing is dilated, the one whose outputs
have more channels, as XLA multiplies by few slowly: five times faster from 64 to 5 channels. It is summed up over a few
images at a time: then what is multiplied stays in the processor's cache, which makes it up to five times faster.
"""

import dataclasses
import functools
from typing import Any

import jax
from jax import lax
from jax import numpy as jnp
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Float

# Of which a CPU computes the weight gradient at once. Measured for 14 x 14 to 32 x 32 pixels, 5 to 64 channels.
IMAGES = 8
# So many pixels make it worth while to choose by channels. Small images take little time either way, and keep the
# numbers that a seed gave them.
PIXELS = 14 * 14

Images = Float[Array, "n h w c"]
Kernel = Float[Array, "kh kw c d"]
Outputs = Float[Array, "n h2 w2 d"]


@dataclasses.dataclass(frozen=True)
class Window:
    """How a kernel moves over images: zeros before and after each side (negative: pixels cut), stride, dilations."""

    pads: tuple[tuple[int, int], tuple[int, int]]
    stride: int = 1
    x_dilation: int = 1
    k_dilation: int = 1


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve(
    x: Float[Array, "n h w c"], kernel: Float[Array, "kh kw c d"], window: Window
) -> Float[Array, "n h2 w2 d"]:
    """NHWC images * HWIO kernel -> NHWC images."""
    return _batchable(window)(x, kernel)


def _forward(x: Images, kernel: Kernel, window: Window) -> tuple[Outputs, tuple[Images, Kernel]]:
    return convolve(x, kernel, window), (x, kernel)


def _backward(window: Window, residuals: tuple[Images, Kernel], g: Outputs) -> tuple[Images, Kernel]:
    x, kernel = residuals
    s, p, q = window.stride, window.x_dilation, window.k_dilation
    around, inside = [], []
    for axis, (before, _) in enumerate(window.pads):
        x_side = (x.shape[1 + axis] - 1) * p + 1
        k_side = (kernel.shape[axis] - 1) * q + 1
        g_side = (g.shape[1 + axis] - 1) * s + 1
        around.append((k_side - 1 - before, x_side - g_side + before))
        inside.append((before, k_side + g_side - 1 - x_side - before))
    window_x, window_k = Window((around[0], around[1]), p, s, q), Window((inside[0], inside[1]), q, p, s)
    window_flipped = Window((around[0], around[1]), q, s, p)
    x_bar = convolve(g, kernel[::-1, ::-1].swapaxes(2, 3), window_x)

    few_outputs = p == s and g.shape[-1] < x.shape[-1] and x.shape[1] * x.shape[2] >= PIXELS

    def of_images(x: Images, g: Outputs) -> Kernel:
        if p > s or few_outputs:
            k_bar = convolve(g.transpose(3, 1, 2, 0), x.transpose(1, 2, 0, 3), window_flipped)
            return k_bar[:, ::-1, ::-1].transpose(1, 2, 3, 0)
        return convolve(x.transpose(3, 1, 2, 0), g.transpose(1, 2, 0, 3), window_k).transpose(1, 2, 0, 3)

    def as_convolution(x: Images, g: Outputs) -> Kernel:
        n = x.shape[0]
        if n <= IMAGES:
            return of_images(x, g)
        together = max(number for number in range(1, IMAGES + 1) if n % number == 0)
        parts = [array.reshape(-1, together, *array.shape[1:]) for array in (x, g)]
        precise = jnp.float64 if kernel.dtype == jnp.float64 else jnp.float32
        zeros = jnp.zeros(kernel.shape, precise)
        total, _ = lax.scan(lambda total, part: (total + of_images(*part).astype(precise), None), zeros, parts)
        return total.astype(kernel.dtype)

    def as_derived(x: Images, g: Outputs) -> Kernel:
        return jax.vjp(lambda kernel: _lax(x, kernel, window), kernel)[1](g)[0]

    # Chosen when the program is lowered: right for the device that runs it, whatever the default device is.
    return x_bar, lax.platform_dependent(x, g, cpu=as_convolution, default=as_derived)


convolve.defvjp(_forward, _backward)


def _lax(x: Images, kernel: Kernel, window: Window) -> Outputs:
    pads, dilation = window.pads, window.x_dilation
    if min(min(pads)) < 0:
        # A negative pad takes the slow path too.
        config = [(min(before, 0), min(after, 0), dilation - 1) for before, after in pads]
        x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *config, (0, 0, 0)])
        pads, dilation = tuple((max(before, 0), max(after, 0)) for before, after in pads), 1  # type: ignore[assignment]
    return lax.conv_general_dilated(
        x,
        kernel,
        (window.stride, window.stride),
        pads,
        (dilation, dilation),
        (window.k_dilation, window.k_dilation),
        ("NHWC", "HWIO", "NHWC"),
    )


def _batchable(window: Window) -> Any:
    @custom_vmap
    def convolution(x: Images, kernel: Kernel) -> Outputs:
        return _lax(x, kernel, window)

    def one_by_one(xs: Float[Array, "b n h w c"], kernels: Float[Array, "b kh kw c d"]) -> Float[Array, "b n h2 w2 d"]:
        return lax.map(lambda pair: convolution(*pair), (xs, kernels))

    def at_once(xs: Float[Array, "b n h w c"], kernels: Float[Array, "b kh kw c d"]) -> Float[Array, "b n h2 w2 d"]:
        return jax.vmap(lambda x, kernel: _lax(x, kernel, window))(xs, kernels)

    @convolution.def_vmap
    def _(size: int, batched: Any, x: Array, kernel: Array) -> tuple[Float[Array, "b n h2 w2 d"], bool]:
        x_batched, kernel_batched = batched
        if x_batched and kernel_batched:
            # Batching both makes a grouped convolution, on the CPU some three times slower than one after the other.
            return lax.platform_dependent(x, kernel, cpu=one_by_one, default=at_once), True
        if x_batched:
            y = convolution(x.reshape(-1, *x.shape[2:]), kernel)
            return y.reshape(size, -1, *y.shape[1:]), True
        _, kh, kw, c, d = kernel.shape
        y = convolution(x, jnp.moveaxis(kernel, 0, 3).reshape(kh, kw, c, size * d))
        return jnp.moveaxis(y.reshape(*y.shape[:3], size, d), 3, 0), True

    return convolution
