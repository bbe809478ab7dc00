"""Activations as layers, by name."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from sdebnn.brax.layers.bayesian import Hidden, Layer, Params, Shape
from sdebnn.brax.layers.precision import strong_types
from sdebnn.errors import InputError

FIXED = {
    "elu": jax.nn.elu,
    "gaussian": lambda x: jnp.exp(-0.5 * jnp.square(x)),
    "gelu": jax.nn.gelu,
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "softplus": jax.nn.softplus,
    "tanh": jnp.tanh,
}
"""Activations without parameters, by name."""


def activation(name: str) -> Layer:
    """The activation of that name: `"swish"`, which is trainable, or one of `FIXED`.

    **Raises:** `InputError` for another name.
    """
    if name == "swish":
        return Swish()
    if name not in FIXED:
        raise InputError(f"{name!r} is not an activation; there are {', '.join(sorted([*FIXED, 'swish']))}.")
    function = FIXED[name]

    def init(rng: PRNGKeyArray, input_shape: Shape) -> tuple[Shape, Params]:
        return input_shape, ()

    def apply(params: Params, inputs: Hidden, **kwargs: Any) -> Any:
        return function(inputs)

    return Layer(init, apply)


# As layers are called, and as it was called before PyTorch had both.
Activation = activation


def Swish() -> Layer:
    """x sigmoid(softplus(beta) x), with a trainable beta that starts at softplus(beta) = 1 (Ramachandran et al., 2017).

    Params: `{"beta"}`, a scalar.
    """

    def init(rng: PRNGKeyArray, input_shape: Shape) -> tuple[Shape, Params]:
        return input_shape, {"beta": strong_types(math.log(math.expm1(1)))}

    def apply(params: Params, inputs: Hidden, **kwargs: Any) -> Any:
        return inputs * jax.nn.sigmoid(jax.nn.softplus(params["beta"]) * inputs)

    return Layer(init, apply)
