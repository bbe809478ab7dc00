"""Time-dependent layers by the name of their family."""

from collections.abc import Callable
from typing import Any

from sdebnn.brax.layers.bayesian import Layer
from sdebnn.brax.layers.diffeq_layers.blend import Blend
from sdebnn.brax.layers.diffeq_layers.concat import Concat
from sdebnn.brax.layers.diffeq_layers.concat_coord import ConcatCoord
from sdebnn.brax.layers.diffeq_layers.concat_squash import ConcatSquash
from sdebnn.brax.layers.diffeq_layers.gated import Gated
from sdebnn.brax.layers.diffeq_layers.hyper import Hyper
from sdebnn.brax.layers.diffeq_layers.ignore import Ignore
from sdebnn.brax.layers.diffeq_layers.linear_map import ConvMap, ConvTransposeMap, DenseMap
from sdebnn.errors import InputError

FAMILIES: dict[str, Callable[..., Layer]] = {
    "ignore": Ignore,
    "concat": Concat,
    "concat_squash": ConcatSquash,
    "concat_coord": ConcatCoord,
    "hyper": Hyper,
    "gated": Gated,
    "blend": Blend,
}
"""Constructors by name; each takes a linear map and how weights start."""


def dense(family: str, channels: int, **options: Any) -> Layer:
    """A dense layer on the last axis.

    **Arguments:**

    - `family`: how the layer depends on t: a name among `FAMILIES`.
    - `channels`: of the outputs.
    - `options`: of the family's constructor, for instance `w_init=jax.nn.initializers.zeros` for a last layer.

    **Returns:** `(init, apply)`; `apply(params, inputs, t=...)` returns the outputs.

    **Raises:** `InputError` for an unknown family or sizes that are not positive; `init` for inputs that do not fit.
    """
    return _family(family)(DenseMap(channels), **options)


def conv(
    family: str,
    channels: int,
    filter_shape: tuple[int, int] = (3, 3),
    stride: int = 1,
    padding: str = "SAME",
    **options: Any,
) -> Layer:
    """A convolutional layer for NHWC images. Arguments, returns and errors: those of `dense` and of `conv2d`."""
    return _family(family)(ConvMap(channels, filter_shape, stride, padding), **options)


def conv_transpose(
    family: str,
    channels: int,
    filter_shape: tuple[int, int] = (3, 3),
    stride: int = 1,
    padding: str = "SAME",
    **options: Any,
) -> Layer:
    """A transposed convolutional layer for NHWC images.

    Arguments, returns and errors: those of `dense` and of `conv2d_transpose`.
    """
    return _family(family)(ConvTransposeMap(channels, filter_shape, stride, padding), **options)


def _family(name: str) -> Callable[..., Layer]:
    if name not in FAMILIES:
        raise InputError(f"{name!r} is not a family of time-dependent layers; there are {', '.join(FAMILIES)}.")
    return FAMILIES[name]
