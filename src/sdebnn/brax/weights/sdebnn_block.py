"""The SDEBNN block: a hidden state that moves along a random weight path."""

from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from jaxsde.brownian.keys import check_key
from jaxsde.methods import METHODS, named_methods
from sdebnn.brax.layers.bayesian import (
    DrawnFirstLayer,
    Hidden,
    Init,
    Output,
    Params,
    Shape,
    as_layer,
    check_params,
)
from sdebnn.brax.layers.precision import as_precision, check_real, precision, working
from sdebnn.brax.weights.solver import Solver, as_solver
from sdebnn.brax.weights.vector_field import init_vector_field, vector_field
from sdebnn.brax.weights.weight_path import check_method, draw_path
from sdebnn.brax.weights.weight_process import WeightProcess
from sdebnn.errors import InputError
from sdebnn.kl_estimators import check_estimator
from sdebnn.priors import Prior

DEPTHS = np.array([0.0, 1.0])


class WeightPathLayer(DrawnFirstLayer):
    """A layer whose weights follow an SDE: `weight_path(params, ts, *, rng, prior=False)` draws a path of the weights
    alone, from the posterior or from the prior: at increasing depths `ts` from 0 to 1; (times, p). It raises
    `InputError` for other depths.
    """

    weight_path: Callable[..., Float[Array, "times p"]]

    def __new__(
        cls,
        init: Init,
        apply: Callable[..., Any],
        draw: Callable[[Params, PRNGKeyArray], Any],
        run: Callable[[Params, Any, Any], Any],
        weight_path: Callable[..., Any],
    ) -> "WeightPathLayer":
        layer = cast(WeightPathLayer, super().__new__(cls, init, apply, draw, run))
        layer.weight_path = weight_path
        return layer


def SDEBNN(
    fx: tuple[Init, Any],
    process: WeightProcess,
    solver: Solver | None = None,
    *,
    kl_estimator: str = "stl",
    **choices: Any,
) -> WeightPathLayer:
    """An infinitely deep Bayesian layer (Xu et al., 2021): dx = f_x(x, t; w_t) dt, where the weights w_t follow an SDE.

    The hidden state has no noise of its own and the weights do not depend on it: one weight path is drawn for a call
    and shared by the whole batch. Several posterior samples are several calls with different keys; for a path an
    example, see `independent_paths`.

    **Arguments:**

    - `fx`: the (init, apply) pair of the network that moves the hidden state; it takes depth as the keyword `t` and
      keeps the shape of its input. All its parameters become weights that follow the SDE.
    - `process`: their prior and posterior.
    - `solver`: steps, method and gradients.
    - `kl_estimator`: one of `sdebnn.kl_estimators.KL_ESTIMATORS`; see `jaxsde.path_kl`.
    - `choices`: of the `Solver`, such as `steps` and `method`, in place of `solver`.

    **Returns:** a `BayesianLayer`, whose `apply` also takes `prior=True` to draw from the prior. Its params are those
    of the process: `{"w0", "drift"}`, the initial weights, shaped as the params of `fx`, and those of the drift. Its
    `weight_path(params, ts, rng=..., prior=False)` draws a path of the weights alone, at increasing depths `ts` from 0
    to 1: (times, p).

    Outputs are of the highest precision of inputs and parameters; the block is solved in that of single or above.

    **Raises:** `InputError` for an `fx` that is no deterministic (init, apply) pair, `steps` that are not positive,
    anything but a `WeightProcess`, a method that asks for a drift where it is infinite, and an unknown estimator; when
    `init` is called, for an `fx` that changes the shape of its input, whose outputs for an example depend on the others
    of the batch (batch normalisation), or whose parameters are not real.
    """
    solver = as_solver("SDEBNN", solver, choices)
    f_x = as_layer(fx, "f_x of SDEBNN")
    if not isinstance(process, WeightProcess):
        raise InputError(
            f"SDEBNN got process={type(process).__name__}; it takes a WeightProcess, such as "
            "WeightProcess(drift_network())."
        )
    check_method(process, solver.method, solver.adjoint)
    check_estimator(kl_estimator)

    def init(rng: PRNGKeyArray, input_shape: Shape) -> tuple[Shape, Params]:
        output_shape, w0 = init_vector_field(f_x, rng, input_shape)
        check_real("f_x of SDEBNN", w0)
        return output_shape, process.init(rng, w0)

    def apply(params: Params, inputs: Hidden, *, rng: PRNGKeyArray, prior: bool = False, **kwargs: Any) -> Output:
        check_key(rng)
        params, inputs, dtype = as_computed(params, inputs)
        field = vector_field(f_x, params["w0"], inputs, rng)
        unravel = ravel_pytree(params["w0"])[1]
        _, xs, kl = draw_path(
            process, params, rng, DEPTHS, steps=solver.steps, hidden=inputs,
            hidden_drift=lambda w, x, t: field(unravel(w), x, t),
            method=solver.method, adjoint=solver.adjoint, kl_estimator=kl_estimator, prior=prior,
        )  # fmt: skip
        return Output(jax.tree.map(lambda x: x[-1].astype(dtype), xs), kl)

    def as_computed(params: Params, inputs: Hidden) -> tuple[Params, Any, Any]:
        check_params("SDEBNN", params, ("w0", "drift"))
        check_real("f_x of SDEBNN", params["w0"])
        dtype = precision("SDEBNN", inputs, params)
        return as_precision(working(dtype), params), as_precision(working(dtype), inputs, whole=True), dtype

    def weight_path(
        params: Params, ts: Float[np.ndarray, " times"], *, rng: PRNGKeyArray, prior: bool = False
    ) -> Float[Array, "times p"]:
        check_key(rng)
        params, _, _ = as_computed(params, ())
        return draw_path(process, params, rng, ts, steps=solver.steps, method=solver.method, prior=prior)[0]

    def draw(params: Params, rng: PRNGKeyArray) -> Any:
        params, _, _ = as_computed(params, ())
        return draw_path(process, params, rng, known_at, steps=solver.steps)[0][:-1], rng

    def run(params: Params, drawn: PyTree, inputs: Hidden) -> Any:
        params, inputs, dtype = as_computed(params, inputs)
        weights, rng = drawn
        field = vector_field(f_x, params["w0"], inputs, rng)
        unravel = ravel_pytree(params["w0"])[1]

        def step(x: Hidden, here: Any) -> tuple[Any, None]:
            w, t, h = here
            return jax.tree.map(lambda x, dx: x + h.astype(x.dtype) * dx, x, field(unravel(w), x, t)), None

        depths = jnp.asarray(known_at[:-1], weights.dtype), jnp.asarray(np.diff(known_at), weights.dtype)
        x, _ = jax.lax.scan(step, inputs, (weights.astype(working(dtype)), *depths))
        return jax.tree.map(lambda x: x.astype(dtype), x)

    # Euler's step of the hidden state asks for the weights where steps begin and nowhere else, and never of those of
    # other inputs: so a path can be drawn once and followed by many. Other methods ask between.
    if named_methods("additive").get(solver.method) is not METHODS["euler_maruyama"]:
        return WeightPathLayer(
            init, apply, lambda params, rng: rng, lambda params, rng, inputs: apply(params, inputs, rng=rng)[0],
            weight_path,
        )  # fmt: skip
    known_at = step_depths(process.prior, solver.steps)
    return WeightPathLayer(init, apply, draw, run, weight_path)


def step_depths(prior: Prior, steps: int) -> Float[np.ndarray, " depths"]:
    """The depths from 0 to 1 between which `draw_path` takes one step each."""
    ends = [
        np.linspace(section.start, section.end, max(1, round(steps * (section.end - section.start))) + 1)[1:]
        for section in prior.sections()
    ]
    return np.concatenate([[0.0], *ends])
