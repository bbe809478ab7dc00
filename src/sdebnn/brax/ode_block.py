"""The deterministic counterparts of the SDEBNN block: neural ODEs whose weights stand still, or follow an ODE too."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import PRNGKeyArray

from jaxsde import sdeint_ito
from jaxsde.brownian.keys import derive_key
from sdebnn.brax.bayesian import Init, Layer, Params, Shape
from sdebnn.errors import InputError


def ODEBlock(
    fx: tuple[Init, Any], *, steps: int = 20, method: str = "euler_maruyama", adjoint: str = "backprop"
) -> Layer:
    """Moves a hidden state along dx = f_x(x, t) dt from depth 0 to 1 (Chen et al., 2018). Its params are those of `fx`.

    **Arguments:** as those of `SDEBNN`. Without noise Euler-Maruyama is Euler's method.

    **Raises:** `InputError` when `fx` changes the shape of its input or `steps` is not positive.
    """
    check_steps("ODEBlock", steps)
    f_x = Layer(*fx)

    def init(rng: PRNGKeyArray, input_shape: Shape) -> tuple[Shape, Params]:
        output_shape, params = f_x.init(derive_key(rng, "sdebnn.block.w0"), input_shape)
        keeps_shape(input_shape, output_shape)
        return output_shape, params

    def apply(params: Params, inputs: Any, **kwargs: Any) -> Any:
        return _flow(lambda x, t, params: f_x.apply(params, x, t=t), inputs, params, steps, method, adjoint)

    return Layer(init, apply)


def HyperODEBlock(
    fx: tuple[Init, Any],
    drift: tuple[Init, Any],
    *,
    steps: int = 20,
    method: str = "euler_maruyama",
    adjoint: str = "backprop",
) -> Layer:
    """A neural ODE whose weights follow an ODE of their own: dx = f_x(x, t; w_t) dt, dw = NN(w, t) dt.

    It is the SDEBNN block without noise and without the prior's pull, and has its params, `{"w0", "drift"}`.

    **Arguments:** `drift` is the (init, apply) pair NN(w, t), such as `drift_network()`; the others are those of
    `SDEBNN`.

    **Raises:** `InputError` as `ODEBlock`.
    """
    check_steps("HyperODEBlock", steps)
    f_x, nn = Layer(*fx), Layer(*drift)

    def init(rng: PRNGKeyArray, input_shape: Shape) -> tuple[Shape, Params]:
        output_shape, w0 = f_x.init(derive_key(rng, "sdebnn.block.w0"), input_shape)
        keeps_shape(input_shape, output_shape)
        drift_key = derive_key(rng, "sdebnn.block.drift")
        return output_shape, {"w0": w0, "drift": nn.init(drift_key, ravel_pytree(w0)[0].shape)[1]}

    def apply(params: Params, inputs: Any, **kwargs: Any) -> Any:
        w0, unravel = ravel_pytree(params["w0"])

        def drift_of_both(y: Any, t: Any, params: Params) -> Any:
            w, x = y
            return nn.apply(params["drift"], w, t=t), f_x.apply(unravel(w), x, t=t)

        return _flow(drift_of_both, (w0, inputs), params, steps, method, adjoint)[1]

    return Layer(init, apply)


def _flow(drift: Callable[..., Any], y0: Any, params: Params, steps: int, method: str, adjoint: str) -> Any:
    """The state at depth 1."""
    depths = np.array([0.0, 1.0])
    ys = sdeint_ito(drift, None, y0, depths, None, params, method, dt=1 / steps, noise="additive", adjoint=adjoint)
    return jax.tree.map(lambda y: y[-1], ys)


def check_steps(block: str, steps: int) -> None:
    """Refuses a solver without steps."""
    if steps < 1:
        raise InputError(f"{block} got steps={steps}; the solver takes 1 step or more over depth 0 to 1.")


def keeps_shape(input_shape: Shape, output_shape: Shape) -> None:
    """Refuses an f_x that changes the shape of the hidden state."""
    if tuple(output_shape) != tuple(input_shape):
        raise InputError(
            f"f_x maps inputs of shape {input_shape} to {output_shape}; it moves the hidden state through depth, "
            "so it must keep its shape."
        )
