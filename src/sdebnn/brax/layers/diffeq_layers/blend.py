"""A layer whose weights move on a straight line through depth."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from sdebnn.brax.layers.bayesian import Depth, Hidden, Layer, Params, Shape
from sdebnn.brax.layers.diffeq_layers.ignore import Ignore
from sdebnn.brax.layers.diffeq_layers.initializers import Initializer, fan_in_normal
from sdebnn.brax.layers.diffeq_layers.linear_map import LinearMap


def Blend(linear: LinearMap, *, w_init: Initializer = fan_in_normal) -> Layer:
    """(1 - t) (A x + a) + t (B x + b): one layer at depth 0, another at depth 1, a blend between.

    Params: `{"start", "end"}`, each `{"weight", "bias"}`. The map is linear in them, so they are blended and it is
    applied once.
    """
    layer = Ignore(linear, w_init=w_init)

    def init(rng: PRNGKeyArray, input_shape: Shape) -> tuple[Shape, Params]:
        start_key, end_key = jax.random.split(rng)
        output_shape, start = layer.init(start_key, input_shape)
        return output_shape, {"start": start, "end": layer.init(end_key, input_shape)[1]}

    def apply(params: Params, inputs: Hidden, *, t: Depth, **kwargs: Any) -> Any:
        depth = jnp.asarray(t, inputs.dtype)
        weights = jax.tree.map(lambda a, b: (1 - depth) * a + depth * b, params["start"], params["end"])
        return layer.apply(weights, inputs)

    return Layer(init, apply)
