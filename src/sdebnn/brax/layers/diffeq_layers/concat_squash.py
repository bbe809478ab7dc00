"""A layer whose outputs are scaled and shifted by functions of depth."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from sdebnn.brax.layers.bayesian import Depth, Hidden, Layer, Params, Shape
from sdebnn.brax.layers.diffeq_layers.ignore import Ignore
from sdebnn.brax.layers.diffeq_layers.initializers import Initializer, fan_in_normal
from sdebnn.brax.layers.diffeq_layers.linear_map import LinearMap


def ConcatSquash(linear: LinearMap, *, w_init: Initializer = fan_in_normal) -> Layer:
    """(W x + b) sigmoid(g t + c) + s t, one gate and one shift a channel (Grathwohl et al., 2019).

    Params: `{"weight", "bias", "gate", "gate_bias", "shift"}`; the gate g and the shift s are matrices (1, channels).
    """
    layer = Ignore(linear, w_init=w_init)

    def init(rng: PRNGKeyArray, input_shape: Shape) -> tuple[Shape, Params]:
        layer_key, gate_key, shift_key = jax.random.split(rng, 3)
        output_shape, params = layer.init(layer_key, input_shape)
        row = (1, linear.channels)
        return output_shape, {
            **params,
            "gate": w_init(gate_key, row),
            "gate_bias": jnp.zeros_like(params["bias"]),
            "shift": w_init(shift_key, row),
        }

    def apply(params: Params, inputs: Hidden, *, t: Depth, **kwargs: Any) -> Any:
        outputs = layer.apply(params, inputs)
        depth = jnp.asarray(t, inputs.dtype)
        gate = jax.nn.sigmoid(params["gate"][0] * depth + params["gate_bias"])
        axes = tuple(range(outputs.ndim - 1))
        return outputs * jnp.expand_dims(gate, axes) + jnp.expand_dims(params["shift"][0] * depth, axes)

    return Layer(init, apply)
