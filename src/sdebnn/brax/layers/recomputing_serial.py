"""Layers one after the other, of which few intermediate values are kept for the gradient."""

from typing import Any

import jax
from jax.example_libraries import stax

from sdebnn.brax.layers.bayesian import Hidden, Init, Layer, Params
from sdebnn.errors import InputError


def recomputing_serial(*layers: tuple[Init, Any]) -> Layer:
    """`stax.serial` of linear layers with activations between them: linear, activation, linear, and so on.

    For the gradient it keeps the input of every activation and nothing else; what the activation makes of it is
    computed again, which costs less than to store and fetch it. Outputs, params and gradients are those of
    `stax.serial`. In a loop, such as the steps of a solver, a third of the memory is left. A block whose adjoint is
    `"backprop"` does the like for any layers.

    **Arguments:**

    - `layers`: an odd number of (init, apply) pairs that draw nothing at random.

    **Raises:** `InputError` for an even number of layers.
    """
    if len(layers) % 2 == 0:
        raise InputError(
            f"recomputing_serial got {len(layers)} layers; it takes an odd number: a linear layer, an activation, a "
            "linear layer, and so on."
        )
    (_, first), *following = layers

    def apply(params: Params, inputs: Hidden, *, rng: Any = None, **kwargs: Any) -> Any:
        x = first(params[0], inputs, **kwargs)
        for number in range(0, len(following), 2):
            (_, activation), (_, linear) = following[number : number + 2]

            def activated(params: Params, x: Any, activation: Any = activation, linear: Any = linear) -> Any:
                return linear(params[1], activation(params[0], x, **kwargs), **kwargs)

            # The loop of the solver keeps the two computations apart; a barrier against merging them would cost time.
            x = jax.checkpoint(activated, prevent_cse=False)(tuple(params[number + 1 : number + 3]), x)
        return x

    return Layer(stax.serial(*layers)[0], apply)
