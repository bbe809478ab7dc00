"""The KL divergence between two SDEs that share a diffusion, read off a solved path.

q: dy = f_q dt + g dB and p: dy = f_p dt + g dB, from the same start. With u = (f_q - f_p) / g, Girsanov's theorem gives
log dq/dp = ∫ 1/2 |u|^2 dt + ∫ u . dB along a path of q. The second integral is Ito's: u at the left end of each step,
with the very increment that moved the path. On the grid of an Euler-Maruyama solve the sum is exactly the log ratio of
the two discrete chains.
"""

from collections.abc import Callable
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from jaxsde.flat_sde import precision
from jaxsde.signatures import check_takes
from jaxsde.times import known_times, lengths
from jaxsde.types import Args, State, Time, Times

Estimator = Literal["analytic", "full_mc", "stl"]
ESTIMATORS = get_args(Estimator)
BY_HAND = (
    "With scalar noise and noise by columns write u, the solution of g u = f_q - f_p, as "
    "jnp.linalg.solve(g(y, t, args), f_q(y, t, args) - f_p(y, t, args)) of a square matrix."
)


def path_kl(
    u: Callable[[Any, Any, Any], Any],
    ys: State,
    ts: Times,
    increments: PyTree = None,
    args: Args = None,
    *,
    estimator: str = "analytic",
) -> Float[Array, ""]:
    """An unbiased estimate of KL(q || p), in nats, from one path of q.

    **Arguments:**

    - `u`: `u(y, t, args)`, the difference of the drifts in units of the diffusion, like the noise; a `None` in it is a
      part without noise. See `relative_drift`.
    - `ys`: the path at all of `ts`: a pytree with a leading axis of n + 1 times.
    - `ts`: the grid that the path was solved on, (n + 1,), as it was given to `solve`: a `Solution.ts` is rounded to
      the precision of the state.
    - `increments`: the Brownian increments that moved the path, a pytree like `u` with a leading axis of n steps; see
      `brownian_increments`. `"analytic"` does not need them.
    - `args`: the parameters of `u`.
    - `estimator`: `"analytic"`: ∫ 1/2 |u|^2 dt; `"full_mc"`: that plus ∫ u . dB; `"stl"`, sticking the landing: the
      same value as `"full_mc"`, with the gradient stopped at `args` in ∫ u . dB. Its gradient flows through the path
      all the same, and its variance vanishes as q approaches the posterior (Xu et al., 2021).

    **Returns:** a scalar.

    **Raises:** `ValueError` for an unknown estimator, increments that are missing or do not fit, a path that is not on
    `ts`, or times that `solve` refuses; `TypeError` for times that are no numbers.
    """
    of_step = running_path_kl(u, estimator)
    if increments is None and estimator != "analytic":
        raise ValueError(
            f"path_kl with estimator={estimator!r} needs the Brownian increments that moved the path; draw them with "
            "brownian_increments, solve with ReplayedPath(increments), and pass them here."
        )
    ts = known_times(ts)
    times = {leaf.shape[0] for leaf in jax.tree.leaves(ys)}
    if times != {np.shape(ts)[0]}:
        raise ValueError(
            f"path_kl got a path of {sorted(times)} times on a grid of {np.shape(ts)[0]}; it needs the solution at "
            "every step of the grid."
        )
    left = jax.tree.map(lambda y: y[:-1], ys)
    h, ts = lengths(ts, precision(ys)), jnp.asarray(ts, precision(ys))
    if estimator != "analytic":
        needed = jax.tree.map(jnp.shape, jax.eval_shape(jax.vmap(u, (0, 0, None)), left, ts[:-1], args))
        found = jax.tree.map(jnp.shape, increments)
        if found != needed:
            raise ValueError(
                f"path_kl got increments of shape {found}; u has shape {needed}, and they have to be alike."
            )
    return jnp.sum(jax.vmap(of_step, (0, 0, 0, 0, None))(left, ts[:-1], h, increments, args))


def running_path_kl(u: Callable[[Any, Any, Any], Any], estimator: str = "analytic") -> Callable[..., Float[Array, ""]]:
    """What `path_kl` adds up, as the `running` of a solve: the same number without the path being kept.

        ys, kl = sdeint_ito(f_q, g, y0, ts, rng, args, running=running_path_kl(u, "stl"))

    **Arguments:** `u` and `estimator` of `path_kl`.

    **Returns:** `(y, t, h, dW, args) -> kl` of one step, in nats.
    """
    if estimator not in ESTIMATORS:
        raise ValueError(f"The path KL got estimator={estimator!r}; it takes {', '.join(map(repr, ESTIMATORS))}.")
    check_takes("u", u, "y", "t", "args")

    def of_step(y: State, t: Time, h: Time, dW: PyTree, args: Args) -> Float[Array, ""]:
        drift = u(y, t, args)
        of_u, of_noise = ([jnp.shape(x) for x in jax.tree.leaves(tree)] for tree in (drift, dW))
        if dW is not None and of_u != of_noise:
            raise ValueError(f"u gives shapes {of_u}, and the noise has {of_noise}; they are alike. {BY_HAND}")
        if any(jnp.iscomplexobj(x) for x in jax.tree.leaves(drift)):
            raise TypeError("u gives complex numbers; the KL between two SDEs is of real drifts and real noise.")
        kl = 0.5 * jnp.abs(h) * _dot(drift, drift, h.dtype)
        if estimator == "analytic":
            return kl
        if estimator == "stl":
            drift = u(y, t, jax.lax.stop_gradient(args))
        return kl + jnp.sign(h) * _dot(drift, dW, h.dtype)

    return of_step


def _dot(a: PyTree, b: PyTree, dtype: np.dtype[Any]) -> Float[Array, ""]:
    products = [jnp.sum(x * y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)]
    return sum((jnp.asarray(x, dtype) for x in products), start=jnp.zeros((), dtype))


def relative_drift(
    f_q: Callable[[Any, Any, Any], Any], f_p: Callable[[Any, Any, Any], Any], g: Callable[[Any, Any, Any], Any]
) -> Callable[[Any, Any, Any], Any]:
    """`u = (f_q - f_p) / g` for `path_kl`, with diagonal or additive noise; all three functions share `args`.

    Where g is zero the drifts have to agree: u is zero there if they do, and infinite if they do not. Where g gives
    `None` the state has no noise and u is `None`.

    **Raises:** `ValueError`, where u is called, for a g that is not like y.
    """

    for name, function in (("f_q", f_q), ("f_p", f_p), ("g", g)):
        check_takes(name, function, "y", "t", "args")

    def ratio(sigma: Array | None, q: Array, p: Array) -> Any:
        if sigma is None:
            return None
        difference = q - p
        of_g, of_drifts = np.shape(sigma), np.shape(difference)
        if len(of_g) > len(of_drifts) or any(
            a not in (1, b) for a, b in zip(of_g[::-1], of_drifts[::-1], strict=False)
        ):
            raise ValueError(
                f"g has shape {of_g}, and the drifts {of_drifts}; relative_drift is for diagonal and "
                f"additive noise, with g like y. {BY_HAND}"
            )
        # Infinity comes of the division alone, so that where all is well jax_debug_infs finds none on the way.
        agree = (sigma == 0) & (difference == 0)
        return jnp.where(agree, jnp.zeros_like(difference), difference / jnp.where(agree, jnp.ones_like(sigma), sigma))

    def u(y: State, t: Time, args: Args) -> Any:
        sigma = g(y, t, args)
        return jax.tree.map(ratio, sigma, f_q(y, t, args), f_p(y, t, args), is_leaf=lambda x: x is None)

    return u
