"""The network that corrects the prior's drift."""

from collections.abc import Callable
from typing import Any

import jax
from jax.example_libraries import stax
from jaxtyping import Array, Float, PRNGKeyArray

from sdebnn.brax.layers import diffeq_layers
from sdebnn.brax.layers.bayesian import Depth, Layer, Params, Shape


def drift_network(widths: tuple[int, ...] = (2, 64, 2), activation: str = "softplus") -> Layer:
    """NN(w, t): a multilayer perceptron of the weights and of depth, whose last layer starts at zero, as the posterior
    then starts at the prior.

    **Arguments:**

    - `widths`: of the hidden layers. A narrow first and last one keep the number of parameters at a few times that of
      the weights.
    - `activation`: by its name in `diffeq_layers.Activation`.

    **Returns:** an (init, apply) pair; `apply(params, w, t=...)` maps a vector of weights to one of the same length.
    """

    def network(size: int) -> tuple[Callable[..., Any], Callable[..., Any]]:
        hidden = [
            layer
            for width in widths
            for layer in (diffeq_layers.dense("concat", width), diffeq_layers.Activation(activation))
        ]
        return stax.serial(*hidden, diffeq_layers.dense("ignore", size, w_init=jax.nn.initializers.zeros))

    def init(rng: PRNGKeyArray, input_shape: Shape) -> tuple[Shape, Params]:
        return network(int(input_shape[-1]))[0](rng, input_shape)

    def apply(params: Params, w: Float[Array, " p"], *, t: Depth, **kwargs: Any) -> Float[Array, " p"]:
        return network(w.shape[-1])[1](params, w, t=t)

    return Layer(init, apply)
