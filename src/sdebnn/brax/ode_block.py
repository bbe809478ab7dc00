"""The deterministic counterpart of the SDEBNN block: a neural ODE whose weights are the same at every depth."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from jaxsde import sdeint_ito_fixed_grid
from sdebnn.brax.bayesian import Layer, Params, Shape
from sdebnn.errors import InputError


def ODEBlock(fx: Layer, *, steps: int = 20, method: str = "euler_maruyama") -> Layer:
    """Moves a hidden state along dx = f_x(x, t) dt from depth 0 to 1 (Chen et al., 2018). Its params are those of `fx`.

    **Arguments:** as those of `SDEBNN`. Without noise Euler-Maruyama is Euler's method.

    **Raises:** `InputError` when `fx` changes the shape of its input or `steps` is not positive.
    """
    if steps < 1:
        raise InputError(f"ODEBlock got steps={steps}; the solver takes 1 step or more over depth 0 to 1.")

    def init(rng: PRNGKeyArray, input_shape: Shape) -> tuple[Shape, Params]:
        output_shape, params = fx.init(rng, input_shape)
        keeps_shape(input_shape, output_shape)
        return output_shape, params

    def apply(params: Params, inputs: Any, **kwargs: Any) -> Any:
        def drift(x: Any, t: Float[Array, ""], params: Params) -> Any:
            return fx.apply(params, x, t=t)

        ts = jnp.asarray(np.linspace(0, 1, steps + 1), jnp.result_type(inputs))
        xs = sdeint_ito_fixed_grid(drift, None, inputs, ts, None, params, method)
        return jax.tree.map(lambda x: x[-1], xs)

    return Layer(init, apply)


def keeps_shape(input_shape: Shape, output_shape: Shape) -> None:
    """Refuses an f_x that changes the shape of the hidden state."""
    if tuple(output_shape) != tuple(input_shape):
        raise InputError(
            f"f_x maps inputs of shape {input_shape} to {output_shape}; it moves the hidden state through depth, "
            "so it must keep its shape."
        )
