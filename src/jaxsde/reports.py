"""What can only be said at run time, said as a warning.

Python is called only where there is something to say, once for all solutions that `vmap` batches, and with a few
numbers: JAX hands larger arrays over by threads that may be waiting for this very call, and anything that Python
computed with them in JAX could wait for ever.
"""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Num

from jaxsde.types import State


def report_nonfinite(
    ys: State, ts: Float[Array, " n"], implicit: bool = False, last: Int[Array, ""] | None = None
) -> None:
    """Warns when the solution, of an implicit method or not, stops being finite up to `ts[last]`, and says when.

    Works under jit, vmap and grad.
    """
    finite = functools.reduce(
        jnp.logical_and, [jnp.isfinite(y.reshape(ts.size, -1)).all(1) for y in jax.tree.leaves(ys)]
    )
    if last is not None:
        finite |= jnp.arange(ts.size) > last
    first = jnp.argmin(finite).astype(jnp.int32)
    _report(
        functools.partial(_warn_nonfinite, implicit),
        jnp.logical_not(finite.all()),
        first,
        ts[jnp.maximum(first - 1, 0)],
        ts[first],
    )


def _warn_nonfinite(implicit: bool, which: str, first: np.number, before: np.number, after: np.number) -> None:
    since = f"between t = {before} and t = {after}" if first else f"at its start, t = {after}"
    why = "Newton's method did not find the end of a step: " if implicit else ""
    _warn(
        f"The solution stops being finite {since}{which}. Where f and g are finite there, {why}take smaller steps.",
    )


def report_jumps(wrong: Float[Array, " n"], ts: Float[Array, " n"]) -> None:
    """Warns when a rate of jumps was out of its bound, or there were more than there is room for, and says when."""
    first = jnp.argmax(wrong > 0).astype(jnp.int32)
    _report(_warn_jumps, wrong[-1] > 0, first, wrong[first], ts[first])


def _warn_jumps(which: str, first: np.number, wrong: np.number, t: np.number) -> None:
    why = (
        "the rate of jumps is below zero, above its bound or NaN; see to it, or pass a larger bound"
        if wrong == 1
        else "there are more jumps than there is room for; pass a larger most"
    )
    _warn(f"The solution is NaN from some time before t = {t}{which}: {why}.")


def report_parted(parted: Float[Array, " n"], ts: Float[Array, " n"], method: str) -> None:
    """Warns when the two solutions of the coupled form of a method parted, and says when."""
    first = jnp.argmax(parted > 0).astype(jnp.int32)
    _report(functools.partial(_warn_parted, method), parted[-1] > 0, first, ts[first])


def _warn_parted(method: str, which: str, first: np.number, t: np.number) -> None:
    _warn(
        f"The solution is NaN from some time before t = {t}{which}, and so are gradients: the two solutions of the "
        f"coupled form of {method!r}, which adjoint='reversible' takes, parted, since the drift decays too fast over "
        f"the time of the solve, or in a step. Take adjoint='stochastic' with method={method!r}, shorter steps or "
        "double precision.",
    )


def report_unfinished(reached: Int[Array, ""], ts: Float[Array, " n"], tried: Int[Array, ""], max_steps: int) -> None:
    """Warns when adaptive steps came no further than `ts[reached]`, not the last output time: there were too few, or
    one was not finite however short.
    """
    _report(functools.partial(_warn_unfinished, max_steps), reached < ts.size - 1, reached, ts[reached], tried)


def _warn_unfinished(max_steps: int, which: str, reached: np.number, t: np.number, tried: np.number) -> None:
    if tried < max_steps:
        _warn(
            f"Adaptive steps came no further than the output time {t}{which}: after it a step of the shortest length "
            "that the Brownian path (twice its tol) and the precision of times allow is not finite. The solution is "
            "NaN, and so are gradients. Where f and g are finite there, also a little beyond what the solution itself "
            "takes, as below zero of a square root, take a VirtualTree of smaller tol.",
        )
        return
    _warn(
        f"max_steps={max_steps} adaptive steps came no further than the output time {t}{which}; the solution after it "
        "is NaN, and so are gradients. Where the solution is finite there, raise max_steps, or rtol and atol.",
    )


def report_coarse(coarse: Int[Array, ""], shortest: Float[Array, ""]) -> None:
    """Warns when `coarse` adaptive steps, one or more, came down to the shortest length that there is."""
    _report(_warn_coarse, coarse > 0, -coarse, jnp.asarray(shortest))


def _warn_coarse(which: str, coarse: np.number, shortest: np.number) -> None:
    _warn(
        f"{-coarse} adaptive steps came down to a length of {shortest:.2g}, the shortest that the Brownian path (twice "
        f"its tol) and the precision of the times allow{which}: their error is above rtol and atol, or output times "
        "are nearer to each other. Raise rtol and atol, or take a VirtualTree of smaller tol, or double precision.",
    )


def report_unrecovered(wrong: Bool[Array, ""]) -> None:
    """Warns when a walk backwards did not come back to where the solve began."""
    _report(_warn_unrecovered, wrong, jnp.zeros((), jnp.int32))


def _warn_unrecovered(which: str, _: np.number) -> None:
    _warn(
        "adjoint='reversible' lost the solution on its way back, since steps contract and rounding grows backwards, or "
        f"since they are too long to be undone{which}; the gradient is NaN. Take adjoint='stochastic', shorter steps "
        "or double precision.",
    )


def _warn(sentence: str) -> None:
    warnings.warn(sentence, RuntimeWarning, stacklevel=2)


def _report(warn: Callable[..., None], wrong: Bool[Array, ""], order: Int[Array, ""], *values: Num[Array, ""]) -> None:
    """Calls `warn(which, order, *values)` where `wrong`; of a batch once, with the values of its first in `order`."""
    order = jnp.where(wrong, order, jnp.iinfo(order.dtype).max)
    inputs = (wrong.astype(jnp.int32), jnp.ones((), jnp.int32), order, *values)
    count, lanes, *first = _worst(*jax.lax.stop_gradient(inputs))

    def call(*given: Array | np.ndarray) -> None:
        count, lanes, *first = (np.asarray(x)[()] for x in given)
        warn(f" (the first of {count} solutions of {lanes} in a batch)" if lanes > 1 else "", *first)

    if not isinstance(count, jax.core.Tracer):
        # Outside of jit a branch would be compiled in every call.
        if count > 0:
            call(count, lanes, *first)
        return
    jax.lax.cond(count > 0, lambda *x: jax.debug.callback(call, *x), lambda *x: None, count, lanes, *first)


@jax.custom_batching.custom_vmap
def _worst(count: Array, lanes: Array, order: Array, *values: Array) -> tuple[Any, ...]:
    return count, lanes, order, *values


@_worst.def_vmap
def _worst_of_batch(axis_size: int, in_batched: list[bool], *inputs: Array) -> tuple[Any, Any]:
    # JAX's own rule for callbacks is one call a lane, and a program that grows with the batch.
    whole = [
        x if batched else jnp.broadcast_to(x, (axis_size, *x.shape))
        for x, batched in zip(inputs, in_batched, strict=True)
    ]
    count, lanes, order, *values = whole
    at = jnp.argmin(order)
    outputs = _worst(count.sum(dtype=count.dtype), lanes.sum(dtype=lanes.dtype), *(x[at] for x in (order, *values)))
    return outputs, (False,) * len(inputs)
