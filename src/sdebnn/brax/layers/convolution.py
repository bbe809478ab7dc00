"""Convolutions of images, fast on every platform and inside loops; see `fast_convolution` for how."""

from jaxtyping import Array, Float

from sdebnn.brax.layers.bayesian import Shape
from sdebnn.brax.layers.fast_convolution import Window, convolve
from sdebnn.errors import InputError


def conv2d(
    x: Float[Array, "n h w c"], kernel: Float[Array, "kh kw c d"], *, stride: int = 1, padding: str = "SAME"
) -> Float[Array, "n h2 w2 d"]:
    """The two-dimensional convolution of neural networks: `jax.lax.conv_general_dilated`, with gradients fast in loops.

    It takes `jit`, `vmap` over images, kernels or both (posterior samples, each with weights of its own), and reverse
    mode of any order. JAX refuses forward mode (`jax.jvp`) of it, as of every function with a stated gradient.

    **Arguments:**

    - `x`: images, NHWC.
    - `kernel`: (height, width, input channels, output channels).
    - `stride`: in both directions.
    - `padding`: `"SAME"`: zeros such that the output's sides are the input's divided by the stride, rounded up;
      `"VALID"`: none.

    **Returns:** images, NHWC, of the same dtype.

    **Raises:** `InputError` when shapes or dtypes do not fit, the stride is not positive, the padding is unknown, or
    the kernel does not fit into the image.
    """
    _check_dtypes(x, kernel)
    output_shape = conv2d_shape(x.shape, kernel.shape, stride=stride, padding=padding)
    pads = []
    for side, size, output in zip(x.shape[1:3], kernel.shape[:2], output_shape[1:3], strict=True):
        total = max((output - 1) * stride + size - side, 0) if padding == "SAME" else 0
        pads.append((total // 2, total - total // 2))
    return convolve(x, kernel, Window((pads[0], pads[1]), stride))


def conv2d_transpose(
    x: Float[Array, "n h w c"], kernel: Float[Array, "kh kw c d"], *, stride: int = 1, padding: str = "SAME"
) -> Float[Array, "n h2 w2 d"]:
    """The transposed convolution, `jax.lax.conv_transpose`: a convolution of the image spread out by the stride.

    **Arguments and errors:** those of `conv2d`.

    **Returns:** images, NHWC, of the same dtype: their sides are the input's times the stride for `"SAME"`, and larger
    by the part of the kernel that exceeds the stride for `"VALID"`.
    """
    _check_dtypes(x, kernel)
    output_shape = conv2d_transpose_shape(x.shape, kernel.shape, stride=stride, padding=padding)
    pads = []
    for side, size, output in zip(x.shape[1:3], kernel.shape[:2], output_shape[1:3], strict=True):
        total = output + size - 2 - (side - 1) * stride
        before = size - 1 if padding == "VALID" or stride > size - 1 else (total + 1) // 2
        pads.append((before, total - before))
    return convolve(x, kernel, Window((pads[0], pads[1]), x_dilation=stride))


def conv2d_shape(x: Shape, kernel: Shape, *, stride: int, padding: str) -> Shape:
    """The shape that `conv2d` gives for these shapes. **Raises:** `InputError` when they do not fit."""
    _check_shapes(x, kernel, stride, padding)
    if padding == "SAME":
        return (x[0], -(-x[1] // stride), -(-x[2] // stride), kernel[3])
    if kernel[0] > x[1] or kernel[1] > x[2]:
        raise InputError(
            f"A convolution without padding got a kernel of {kernel[0]} x {kernel[1]} and images of {x[1]} x {x[2]} "
            "pixels; the kernel must fit into the image: use a smaller kernel or padding='SAME'."
        )
    return (x[0], (x[1] - kernel[0]) // stride + 1, (x[2] - kernel[1]) // stride + 1, kernel[3])


def conv2d_transpose_shape(x: Shape, kernel: Shape, *, stride: int, padding: str) -> Shape:
    """The shape that `conv2d_transpose` gives for these shapes. **Raises:** `InputError` when they do not fit."""
    _check_shapes(x, kernel, stride, padding)
    extra = [max(size - stride, 0) if padding == "VALID" else 0 for size in kernel[:2]]
    return (x[0], x[1] * stride + extra[0], x[2] * stride + extra[1], kernel[3])


def _check_shapes(x: Shape, kernel: Shape, stride: int, padding: str) -> None:
    if len(x) != 4 or len(kernel) != 4:
        raise InputError(
            f"A convolution got images of shape {tuple(x)} and a kernel of shape {tuple(kernel)}; it takes images "
            "(batch, height, width, channels) and a kernel (height, width, input channels, output channels)."
        )
    if x[3] != kernel[2]:
        raise InputError(
            f"A convolution got images with {x[3]} channels and a kernel for {kernel[2]}; the two must be equal."
        )
    if min(kernel) < 1 or min(x[1:]) < 1:
        raise InputError(
            f"A convolution got images of shape {tuple(x)} and a kernel of shape {tuple(kernel)}; sides and channels "
            "must be positive."
        )
    if stride < 1:
        raise InputError(f"A convolution got stride={stride}; it takes 1 or more.")
    if padding not in ("SAME", "VALID"):
        raise InputError(f"A convolution got padding={padding!r}; it takes 'SAME' or 'VALID'.")


def _check_dtypes(x: Float[Array, "n h w c"], kernel: Float[Array, "kh kw c2 d"]) -> None:
    if x.dtype != kernel.dtype:
        raise InputError(
            f"A convolution got images of {x.dtype} and a kernel of {kernel.dtype}; the two must be equal: cast one."
        )
