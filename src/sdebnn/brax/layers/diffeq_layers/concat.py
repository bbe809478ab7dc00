"""Depth as one more input channel."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from sdebnn.brax.layers.bayesian import Depth, Hidden, Layer, Params, Shape
from sdebnn.brax.layers.diffeq_layers.ignore import Ignore
from sdebnn.brax.layers.diffeq_layers.initializers import Initializer, fan_in_normal
from sdebnn.brax.layers.diffeq_layers.linear_map import LinearMap


def Concat(linear: LinearMap, *, w_init: Initializer = fan_in_normal) -> Layer:
    """W [x, t] + b: behind the channels of the inputs comes one that is t everywhere.

    Params: `{"weight", "bias"}`.
    """
    layer = Ignore(linear, w_init=w_init)

    def init(rng: PRNGKeyArray, input_shape: Shape) -> tuple[Shape, Params]:
        linear.output_shape(input_shape)
        return layer.init(rng, (*input_shape[:-1], input_shape[-1] + 1))

    def apply(params: Params, inputs: Hidden, *, t: Depth, **kwargs: Any) -> Any:
        depth = jnp.full((*inputs.shape[:-1], 1), t, inputs.dtype)
        return layer.apply(params, jnp.concatenate([inputs, depth], axis=-1))

    return Layer(init, apply)
