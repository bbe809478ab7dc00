"""A layer that gates its own outputs."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from sdebnn.brax.layers.bayesian import Depth, Hidden, Layer, Params, Shape
from sdebnn.brax.layers.diffeq_layers.concat import Concat
from sdebnn.brax.layers.diffeq_layers.initializers import Initializer, fan_in_normal
from sdebnn.brax.layers.diffeq_layers.linear_map import LinearMap


def Gated(linear: LinearMap, *, w_init: Initializer = fan_in_normal) -> Layer:
    """f(x, t) sigmoid(g(x, t)), where f and g are `Concat` layers (van den Oord et al., 2016).

    Params: `{"weight", "bias"}` of both, f's output channels before g's.
    """
    both = Concat(dataclasses.replace(linear, channels=2 * linear.channels), w_init=w_init)

    def init(rng: PRNGKeyArray, input_shape: Shape) -> tuple[Shape, Params]:
        _, params = both.init(rng, input_shape)
        return linear.output_shape(input_shape), params

    def apply(params: Params, inputs: Hidden, *, t: Depth, **kwargs: Any) -> Any:
        values, gates = jnp.split(both.apply(params, inputs, t=t), 2, axis=-1)
        return values * jax.nn.sigmoid(gates)

    return Layer(init, apply)
