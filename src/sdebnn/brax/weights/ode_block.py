"""The deterministic counterparts of the SDEBNN block: neural ODEs whose weights stand still, or follow an ODE too."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import PRNGKeyArray

from jaxsde import sdeint_ito
from jaxsde.brownian.keys import derive_key
from jaxsde.types import State
from sdebnn.brax.layers.bayesian import Depth, Hidden, Init, Layer, Params, Shape, as_layer, check_params, initialise
from sdebnn.brax.layers.precision import as_precision, check_real, precision, working
from sdebnn.brax.weights.solver import Solver, as_solver
from sdebnn.brax.weights.vector_field import init_vector_field, vector_field


def ODEBlock(fx: tuple[Init, Any], solver: Solver | None = None, **choices: Any) -> Layer:
    """Moves a hidden state along dx = f_x(x, t) dt from depth 0 to 1 (Chen et al., 2018). Its params are those of `fx`.

    **Arguments:** as those of `SDEBNN`.

    **Raises:** `InputError` as `SDEBNN`.
    """
    solver = as_solver("ODEBlock", solver, choices)
    f_x = as_layer(fx, "f_x of ODEBlock")

    def init(rng: PRNGKeyArray, input_shape: Shape) -> tuple[Shape, Params]:
        return init_vector_field(f_x, rng, input_shape)

    def apply(params: Params, inputs: Hidden, *, rng: PRNGKeyArray | None = None, **kwargs: Any) -> Any:
        dtype = precision("ODEBlock", inputs, params)
        params = as_precision(working(dtype), params)
        inputs = as_precision(working(dtype), inputs, whole=True)
        field = vector_field(f_x, params, inputs, rng)
        return _flow(lambda x, t, params: field(params, x, t), inputs, params, solver, dtype)

    return Layer(init, apply)


def HyperODEBlock(fx: tuple[Init, Any], drift: tuple[Init, Any], solver: Solver | None = None, **choices: Any) -> Layer:
    """A neural ODE whose weights follow an ODE of their own: dx = f_x(x, t; w_t) dt, dw = NN(w, t) dt.

    It is the SDEBNN block without noise and without the prior's pull, and has its params, `{"w0", "drift"}`.

    **Arguments:** `drift` is the (init, apply) pair NN(w, t), such as `drift_network()`; the others are those of
    `SDEBNN`.

    **Raises:** `InputError` as `ODEBlock`.
    """
    solver = as_solver("HyperODEBlock", solver, choices)
    f_x, nn = as_layer(fx, "f_x of HyperODEBlock"), as_layer(drift, "The drift of HyperODEBlock")

    def init(rng: PRNGKeyArray, input_shape: Shape) -> tuple[Shape, Params]:
        output_shape, w0 = init_vector_field(f_x, rng, input_shape)
        check_real("f_x of HyperODEBlock", w0)
        size = ravel_pytree(w0)[0].shape
        drift_key = derive_key(rng, "sdebnn.block.drift")
        return output_shape, {"w0": w0, "drift": initialise(nn, drift_key, size, "the drift of HyperODEBlock")[1]}

    def apply(params: Params, inputs: Hidden, *, rng: PRNGKeyArray | None = None, **kwargs: Any) -> Any:
        check_params("HyperODEBlock", params, ("w0", "drift"))
        dtype = precision("HyperODEBlock", inputs, params)
        params = as_precision(working(dtype), params)
        inputs = as_precision(working(dtype), inputs, whole=True)
        w0, unravel = ravel_pytree(params["w0"])
        moves_weights = vector_field(nn, params["drift"], w0, rng, "The drift of HyperODEBlock")
        field = vector_field(f_x, params["w0"], inputs, rng)

        def drift_of_both(y: State, t: Depth, params: Params) -> Any:
            w, x = y
            return moves_weights(params["drift"], w, t), field(unravel(w), x, t)

        return _flow(drift_of_both, (w0, inputs), params, solver, dtype)[1]

    return Layer(init, apply)


def _flow(drift: Callable[..., Any], y0: State, params: Params, solver: Solver, dtype: Any) -> Any:
    """The state at depth 1, in that precision."""
    depths = np.array([0.0, 1.0])
    ys = sdeint_ito(
        drift, None, y0, depths, None, params, solver.method,
        dt=1 / solver.steps, noise="additive", adjoint=solver.adjoint,
    )  # fmt: skip
    return jax.tree.map(lambda y: y[-1].astype(dtype), ys)
