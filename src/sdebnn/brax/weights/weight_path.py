"""One draw of the weights over depth, the hidden state that moves along it, and the KL of the draw."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from jaxsde import running_path_kl, sdeint_ito
from jaxsde.brownian.keys import derive_key
from jaxsde.methods import named_methods
from jaxsde.methods.coupled import COUPLED
from jaxsde.types import State
from sdebnn.brax.layers.bayesian import Hidden, Params
from sdebnn.brax.weights.weight_process import WeightProcess
from sdebnn.priors.prior import check_end
from sdebnn.priors.sections import Section, check_depths


def draw_path(
    process: WeightProcess,
    params: Params,
    rng: PRNGKeyArray,
    ts: Float[np.ndarray, " times"],
    *,
    steps: int,
    hidden: Hidden = None,
    hidden_drift: Callable[..., Any] | None = None,
    method: str = "euler_maruyama",
    adjoint: str = "backprop",
    kl_estimator: str = "stl",
    prior: bool = False,
    keep: Int[np.ndarray, " k"] | None = None,
) -> tuple[Float[Array, "times p"], Any, Float[Array, ""]]:
    """Draws one weight path, from the posterior or from the prior.

    **Arguments:**

    - `params`: of `process.init`.
    - `ts`: increasing depths from 0 to 1 at which the path is wanted; what lies within 1e-6 of the depth where noise
      begins or ends is taken to lie there.
    - `steps`: of the solver over depth 0 to 1: equal steps, at least one between each two of `ts` and a whole number
      on each stretch of depth with and without noise.
    - `hidden`, `hidden_drift`: the hidden state at depth 0, and the function `(w, x, t) -> dx/dt` that moves it.
    - `method`, `adjoint`: of `jaxsde`, for additive noise. `kl_estimator`: see `jaxsde.path_kl`.
    - `keep`: numbers of the weights to return; all unless given. The others are not kept at `ts`, but where weights
      have noise on a part of the depth alone: there the whole path is kept before the last cut.

    **Returns:** the weights at `ts`; the hidden state there; and the KL of the posterior from the prior on this draw,
    in nats, which is zero for a draw from the prior.

    **Raises:** `InputError` for other depths, and for a method that asks for a drift where it is infinite.
    """
    check_method(process, method, adjoint)
    sections = process.prior.sections()
    ts = _on_cuts(ts, sections)
    check_depths(ts)
    state, kl = process.draw_start(rng, params, prior=prior)
    y = (*process.split(state), hidden)

    def kept(y: State) -> Any:
        return process.weights(jnp.concatenate(y[:2]))[keep], None, y[2]

    pieces = [jax.tree.map(lambda leaf: leaf[None], y if keep is None else kept(y))]
    for number, section in enumerate(sections):
        key = derive_key(rng, f"sdebnn.draw_path.{number}")
        within = ts[(ts > section.start) & (ts < section.end)]
        depths = np.array([section.start, *within, section.end])
        save = kept if keep is not None and section is sections[-1] else None
        ys, section_kl = _solve(
            process, section, params, key, y, depths, steps, hidden_drift, method, adjoint, kl_estimator, prior, save
        )
        if save is None:
            y = jax.tree.map(lambda leaf: leaf[-1], ys)
            ys = ys if keep is None else jax.vmap(kept)(ys)
        inside = slice(1, None) if section.end in ts else slice(1, -1)
        pieces.append(jax.tree.map(lambda leaf, inside=inside: leaf[inside], ys))
        kl = kl + section_kl
    noisy, still, xs = jax.tree.map(lambda *parts: jnp.concatenate(parts), *pieces)
    return noisy if still is None else process.weights(jnp.concatenate([noisy, still], axis=1)), xs, kl


def check_method(process: WeightProcess, method: str, adjoint: str) -> None:
    """**Raises:** `InputError` where method or adjoint ask for the drift at depth 1 and the prior's is infinite."""
    known = named_methods("additive").get(method)
    if method.startswith(COUPLED) or (known and known.nodes[-1] == 1):
        check_end(process.prior, f"method={method!r}")
    elif adjoint == "reversible":
        # The step back begins there.
        check_end(process.prior, "adjoint='reversible'")


def _on_cuts(ts: Float[np.ndarray, " times"], sections: list[Section]) -> Float[np.ndarray, " times"]:
    # Depths that numpy computes miss a cut by a rounding error, a step too short for the solver.
    for section in sections[:-1]:
        ts = np.where(np.abs(ts - section.end) < 1e-6, section.end, ts)
    return ts


def _solve(
    process: WeightProcess, section: Section, params: Params, key: PRNGKeyArray, y: State, depths: Any, steps: int,
    hidden_drift: Callable[..., Any] | None, method: str, adjoint: str, kl_estimator: str, prior: bool,
    save: Callable[[Any], Any] | None,
) -> tuple[Any, Float[Array, ""]]:  # fmt: skip
    if not section.noisy:
        weight_drift = process.correction
    else:
        weight_drift = process.prior_drift if prior else process.posterior_drift
    sigma = process.diffusion(params)

    def drift(y: State, t: Array, params: Params) -> Any:
        state = jnp.concatenate(y[:2])
        moves_weights = process.split(weight_drift(state, t, params))
        return *moves_weights, hidden_drift and hidden_drift(process.weights(state), y[2], t)

    def diffusion(y: State, t: Array, params: Params) -> Any:
        return sigma, None, None

    def u(y: State, t: Array, params: Params) -> Any:
        return process.split(process.correction(jnp.concatenate(y[:2]), t, params))[0] / sigma, None, None

    length = section.end - section.start
    counts_kl = section.noisy and not prior
    solved = sdeint_ito(
        drift, diffusion if section.noisy else None, y, depths, key, params, method,
        dt=length / max(1, round(steps * length)), noise="additive", adjoint=adjoint, save=save,
        running=running_path_kl(u, kl_estimator) if counts_kl else None,
    )  # fmt: skip
    return (solved[0], solved[1][-1]) if counts_kl else (solved, jnp.zeros((), y[0].dtype))
