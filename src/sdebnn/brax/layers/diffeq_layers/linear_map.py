"""What a time-dependent layer is built around: a linear map of the channels, dense or convolutional."""

import abc
import dataclasses
from typing import Any

import jax.numpy as jnp
from jaxtyping import PyTree

from sdebnn.brax.layers.bayesian import Hidden, Shape
from sdebnn.brax.layers.convolution import conv2d, conv2d_shape, conv2d_transpose, conv2d_transpose_shape
from sdebnn.errors import InputError


@dataclasses.dataclass(frozen=True)
class LinearMap(abc.ABC):
    """A map to so many channels, on the last axis, that is linear in the weights as well as in the inputs."""

    channels: int

    @abc.abstractmethod
    def weight_shape(self, input_shape: Shape) -> Shape:
        """The shape of the weights for inputs of that shape."""

    @abc.abstractmethod
    def output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the outputs. **Raises:** `InputError` for inputs that the map does not take."""

    @abc.abstractmethod
    def __call__(self, weights: PyTree, inputs: Hidden) -> Any:
        """The outputs."""


@dataclasses.dataclass(frozen=True)
class DenseMap(LinearMap):
    """A matrix on the last axis. **Raises:** `InputError` unless there is a positive number of channels."""

    def __post_init__(self) -> None:
        _check_positive("dense", self.channels)

    def weight_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[-1], self.channels)

    def output_shape(self, input_shape: Shape) -> Shape:
        if not input_shape or input_shape[-1] < 1:
            raise InputError(
                f"A dense layer got inputs of shape {tuple(input_shape)}; their last axis must hold 1 channel or more."
            )
        return (*input_shape[:-1], self.channels)

    def __call__(self, weights: PyTree, inputs: Hidden) -> Any:
        return jnp.dot(inputs, weights)


@dataclasses.dataclass(frozen=True)
class ConvMap(LinearMap):
    """The convolution `conv2d` of NHWC images. **Raises:** `InputError` for sizes that are not positive."""

    filter_shape: tuple[int, int] = (3, 3)
    stride: int = 1
    padding: str = "SAME"

    def __post_init__(self) -> None:
        _check_positive("convolutional", self.channels, *self.filter_shape, self.stride)

    def weight_shape(self, input_shape: Shape) -> Shape:
        return (*self.filter_shape, input_shape[-1], self.channels)

    def output_shape(self, input_shape: Shape) -> Shape:
        _check_images(input_shape)
        return conv2d_shape(input_shape, self.weight_shape(input_shape), stride=self.stride, padding=self.padding)

    def __call__(self, weights: PyTree, inputs: Hidden) -> Any:
        return conv2d(inputs, weights, stride=self.stride, padding=self.padding)


@dataclasses.dataclass(frozen=True)
class ConvTransposeMap(ConvMap):
    """The transposed convolution `conv2d_transpose` of NHWC images; with a stride it enlarges them."""

    def output_shape(self, input_shape: Shape) -> Shape:
        _check_images(input_shape)
        return conv2d_transpose_shape(
            input_shape, self.weight_shape(input_shape), stride=self.stride, padding=self.padding
        )

    def __call__(self, weights: PyTree, inputs: Hidden) -> Any:
        return conv2d_transpose(inputs, weights, stride=self.stride, padding=self.padding)


def _check_positive(kind: str, *sizes: int) -> None:
    if min(sizes) < 1:
        raise InputError(f"A {kind} layer got the sizes {sizes}; channels, filter sides and stride must be positive.")


def _check_images(input_shape: Shape) -> None:
    if len(input_shape) != 4:
        raise InputError(
            f"A convolutional layer got inputs of shape {tuple(input_shape)}; it takes images "
            "(batch, height, width, channels)."
        )
