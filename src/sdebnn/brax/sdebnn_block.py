"""The SDEBNN block: a hidden state that moves along a random weight path."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray

from jaxsde import sdeint_ito_fixed_grid
from jaxsde.brownian import ReplayedPath
from sdebnn.brax.bayesian import BayesianLayer, Layer, Params, Shape
from sdebnn.brax.ode_block import keeps_shape
from sdebnn.brax.weight_process import WeightProcess
from sdebnn.errors import InputError


def SDEBNN(
    fx: Layer,
    process: WeightProcess,
    *,
    steps: int = 20,
    method: str = "euler_maruyama",
    kl_estimator: str = "stl",
    adjoint: str = "backprop",
) -> BayesianLayer:
    """An infinitely deep Bayesian layer (Xu et al., 2021): dx = f_x(x, t; w_t) dt, where the weights w_t follow an SDE.

    The hidden state has no noise of its own and the weights do not depend on it: one weight path is drawn for a call
    and shared by the whole batch. Several posterior samples are several calls with different keys.

    **Arguments:**

    - `fx`: the (init, apply) pair of the network that moves the hidden state; it takes depth as the keyword `t` and
      keeps the shape of its input. All its parameters become weights that follow the SDE.
    - `process`: their prior and posterior.
    - `steps`: equal steps of the solver over depth 0 to 1.
    - `method`: a solver of `jaxsde` for additive noise.
    - `kl_estimator`: `"stl"`, `"full_mc"` or `"analytic"`; see `jaxsde.path_kl`.
    - `adjoint`: how gradients are computed; see `jaxsde`.

    **Returns:** a `BayesianLayer`. Its params are `{"w0", "drift"}`: the initial weights, shaped as the params of
    `fx`, and those of the drift.

    **Raises:** `InputError` when `fx` changes the shape of its input or `steps` is not positive.
    """
    if steps < 1:
        raise InputError(f"SDEBNN got steps={steps}; the solver takes 1 step or more over depth 0 to 1.")
    ts = np.linspace(0, 1, steps + 1)

    def init(rng: PRNGKeyArray, input_shape: Shape) -> tuple[Shape, Params]:
        fx_key, drift_key = jax.random.split(rng)
        output_shape, w0 = fx.init(fx_key, input_shape)
        keeps_shape(input_shape, output_shape)
        return output_shape, process.init(drift_key, w0)

    def apply(params: Params, inputs: Any, *, rng: PRNGKeyArray, **kwargs: Any) -> tuple[Any, Float[Array, ""]]:
        w0, unravel = ravel_pytree(params["w0"])
        times = jnp.asarray(ts, w0.dtype)
        sigma = process.diffusion(params)
        increments = process.increments(rng, times, params)

        def drift(y: Any, t: Float[Array, ""], params: Params) -> Any:
            w, x = y
            return process.posterior_drift(w, t, params), fx.apply(unravel(w), x, t=t)

        def diffusion(y: Any, t: Float[Array, ""], params: Params) -> Any:
            return sigma, None

        ws, xs = sdeint_ito_fixed_grid(
            drift, diffusion, (w0, inputs), times, None, params, method,
            noise="additive", brownian=ReplayedPath((increments, None)), adjoint=adjoint,
        )  # fmt: skip
        return jax.tree.map(lambda x: x[-1], xs), process.kl(params, ws, times, increments, kl_estimator)

    return BayesianLayer(init, apply)
