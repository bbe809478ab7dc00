"""A layer whose weights are computed from depth by a small network."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from sdebnn.brax.layers.bayesian import Depth, Hidden, Layer, Params, Shape
from sdebnn.brax.layers.diffeq_layers.ignore import Ignore
from sdebnn.brax.layers.diffeq_layers.initializers import Initializer, fan_in_normal
from sdebnn.brax.layers.diffeq_layers.linear_map import LinearMap
from sdebnn.errors import InputError


def Hyper(linear: LinearMap, *, w_init: Initializer = fan_in_normal, width: int = 2) -> Layer:
    """W(t) x + b(t), where (W, b)(t) is the output of a network of t with one hidden layer of tanh (Ha et al., 2017).

    Params: `{"base", "hidden", "modes"}`: (W, b)(t) = base + sum over k of tanh(u t + v)_k modes_k, where `hidden` is u
    and v. It has `width` + 1 times the weights of the layer itself.

    **Raises:** `InputError` unless `width`, the number of hidden units, is positive.
    """
    if width < 1:
        raise InputError(f"A hyper layer got width={width}; its network of t takes 1 hidden unit or more.")
    layer = Ignore(linear, w_init=w_init)

    def init(rng: PRNGKeyArray, input_shape: Shape) -> tuple[Shape, Params]:
        base_key, hidden_key, *mode_keys = jax.random.split(rng, 2 + width)
        output_shape, base = layer.init(base_key, input_shape)
        modes = [layer.init(key, input_shape)[1] for key in mode_keys]
        hidden = {"weight": w_init(hidden_key, (1, width)), "bias": jnp.zeros(width, base["bias"].dtype)}
        return output_shape, {"base": base, "hidden": hidden, "modes": modes}

    def apply(params: Params, inputs: Hidden, *, t: Depth, **kwargs: Any) -> Any:
        hidden = params["hidden"]
        units = jnp.tanh(hidden["weight"][0] * jnp.asarray(t, inputs.dtype) + hidden["bias"])

        def weights(base: Any, *modes: Any) -> Any:
            return base + sum(unit * mode for unit, mode in zip(units, modes, strict=True))

        return layer.apply(jax.tree.map(weights, params["base"], *params["modes"]), inputs)

    return Layer(init, apply)
