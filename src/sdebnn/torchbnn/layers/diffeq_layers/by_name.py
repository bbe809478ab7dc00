"""Time-dependent layers by the name of their family."""

from collections.abc import Callable
from typing import Any

from sdebnn.errors import InputError
from sdebnn.torchbnn.layers.diffeq_layers.blend import Blend
from sdebnn.torchbnn.layers.diffeq_layers.concat import Concat
from sdebnn.torchbnn.layers.diffeq_layers.concat_coord import ConcatCoord
from sdebnn.torchbnn.layers.diffeq_layers.concat_squash import ConcatSquash
from sdebnn.torchbnn.layers.diffeq_layers.gated import Gated
from sdebnn.torchbnn.layers.diffeq_layers.hyper import Hyper
from sdebnn.torchbnn.layers.diffeq_layers.ignore import DepthLayer, Ignore
from sdebnn.torchbnn.layers.diffeq_layers.linear_map import ConvMap, ConvTransposeMap, DenseMap

FAMILIES: dict[str, Callable[..., DepthLayer]] = {
    "ignore": Ignore,
    "concat": Concat,
    "concat_squash": ConcatSquash,
    "concat_coord": ConcatCoord,
    "hyper": Hyper,
    "gated": Gated,
    "blend": Blend,
}
"""Constructors by name; each takes a linear map and how weights start."""


def dense(family: str, inputs: int, channels: int, **options: Any) -> DepthLayer:
    """A dense layer on the last axis.

    **Arguments:**

    - `family`: how the layer depends on t: a name among `FAMILIES`.
    - `inputs`, `channels`: of the inputs and of the outputs.
    - `options`: of the family's constructor, for instance `w_init=torch.zeros` for a last layer.

    **Raises:** `InputError` for an unknown family or sizes that are not positive.
    """
    return _family(family)(DenseMap(inputs, channels), **options)


def conv(
    family: str,
    inputs: int,
    channels: int,
    filter_shape: tuple[int, int] = (3, 3),
    stride: int = 1,
    padding: str = "SAME",
    **options: Any,
) -> DepthLayer:
    """A convolutional layer for NCHW images. Arguments and errors: those of `dense`."""
    return _family(family)(ConvMap(inputs, channels, filter_shape, stride, padding), **options)


def conv_transpose(
    family: str,
    inputs: int,
    channels: int,
    filter_shape: tuple[int, int] = (3, 3),
    stride: int = 1,
    padding: str = "SAME",
    **options: Any,
) -> DepthLayer:
    """A transposed convolutional layer for NCHW images. Arguments and errors: those of `dense`."""
    return _family(family)(ConvTransposeMap(inputs, channels, filter_shape, stride, padding), **options)


def _family(name: str) -> Callable[..., DepthLayer]:
    if name not in FAMILIES:
        raise InputError(f"{name!r} is not a family of time-dependent layers; there are {', '.join(FAMILIES)}.")
    return FAMILIES[name]
