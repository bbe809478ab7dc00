"""A layer that does not depend on depth."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from sdebnn.brax.layers.bayesian import Hidden, Layer, Params, Shape
from sdebnn.brax.layers.diffeq_layers.initializers import Initializer, fan_in_normal
from sdebnn.brax.layers.diffeq_layers.linear_map import LinearMap


def Ignore(linear: LinearMap, *, w_init: Initializer = fan_in_normal) -> Layer:
    """W x + b, whatever t is. Params: `{"weight", "bias"}`."""

    def init(rng: PRNGKeyArray, input_shape: Shape) -> tuple[Shape, Params]:
        output_shape = linear.output_shape(input_shape)
        weight = w_init(rng, linear.weight_shape(input_shape))
        return output_shape, {"weight": weight, "bias": jnp.zeros(linear.channels, weight.dtype)}

    def apply(params: Params, inputs: Hidden, **kwargs: Any) -> Any:
        outputs = linear(params["weight"], inputs)
        return outputs + jnp.expand_dims(params["bias"], tuple(range(outputs.ndim - 1)))

    return Layer(init, apply)
