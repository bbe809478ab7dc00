"""Layers without parameters that change an array's shape: augmentation with zeros, and space-to-depth."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from sdebnn.brax.layers.bayesian import Layer, Shape
from sdebnn.errors import InputError


def Augment(channels: int) -> Layer:
    """Appends `channels` channels of zeros to the last axis, so that trajectories of the hidden state may cross
    (Dupont et al., 2019).
    """
    if channels < 0:
        raise InputError(f"Augment got {channels} channels; the number of zero channels must be 0 or more.")

    def init(rng: PRNGKeyArray, input_shape: Shape) -> tuple[Shape, tuple[()]]:
        return (*input_shape[:-1], input_shape[-1] + channels), ()

    def apply(params: tuple[()], inputs: Float[Array, "*axes c"], **kwargs: Any) -> Float[Array, "*axes d"]:
        return jnp.pad(inputs, [(0, 0)] * (inputs.ndim - 1) + [(0, channels)])

    return Layer(init, apply)


def Squeeze(factor: int = 2) -> Layer:
    """Space-to-depth: every `factor` x `factor` patch of pixels becomes one pixel with `factor^2` times the channels.

    It halves the sides (for the default factor) without losing a number. Images are NHWC.

    **Raises:** `InputError` when a side is not divisible by the factor.
    """

    def init(rng: PRNGKeyArray, input_shape: Shape) -> tuple[Shape, tuple[()]]:
        if len(input_shape) != 4 or input_shape[1] % factor or input_shape[2] % factor:
            raise InputError(
                f"Squeeze got inputs of shape {input_shape}; it takes NHWC images whose height and "
                f"width are divisible by {factor}: "
                "pad the images or use fewer downsamplings."
            )
        n, h, w, c = input_shape
        return (n, h // factor, w // factor, c * factor**2), ()

    def apply(params: tuple[()], inputs: Float[Array, "n h w c"], **kwargs: Any) -> Float[Array, "n h2 w2 c4"]:
        n, h, w, c = inputs.shape
        patches = inputs.reshape(n, h // factor, factor, w // factor, factor, c)
        return patches.transpose(0, 1, 3, 2, 4, 5).reshape(n, h // factor, w // factor, c * factor**2)

    return Layer(init, apply)
