"""Depth and position as input channels."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from sdebnn.brax.layers.bayesian import Depth, Hidden, Layer, Params, Shape
from sdebnn.brax.layers.diffeq_layers.concat import Concat
from sdebnn.brax.layers.diffeq_layers.initializers import Initializer, fan_in_normal
from sdebnn.brax.layers.diffeq_layers.linear_map import LinearMap


def ConcatCoord(linear: LinearMap, *, w_init: Initializer = fan_in_normal) -> Layer:
    """W [x, position, t] + b: a layer that knows depth and place (CoordConv, Liu et al., 2018).

    Each axis between the first and the last adds one channel, which goes from -1 to 1 along it: two for images, none
    for vectors, where this is `Concat`. Params: `{"weight", "bias"}`.
    """
    layer = Concat(linear, w_init=w_init)

    def init(rng: PRNGKeyArray, input_shape: Shape) -> tuple[Shape, Params]:
        linear.output_shape(input_shape)
        axes = len(input_shape[1:-1])
        return layer.init(rng, (*input_shape[:-1], input_shape[-1] + axes))

    def apply(params: Params, inputs: Hidden, *, t: Depth, **kwargs: Any) -> Any:
        sides = inputs.shape[1:-1]
        positions = np.meshgrid(
            *(np.linspace(-1, 1, side) if side > 1 else np.zeros(1) for side in sides), indexing="ij"
        )
        channels = [
            jnp.broadcast_to(jnp.asarray(p[None, ..., None], inputs.dtype), (*inputs.shape[:-1], 1)) for p in positions
        ]
        return layer.apply(params, jnp.concatenate([inputs, *channels], axis=-1), t=t)

    return Layer(init, apply)
