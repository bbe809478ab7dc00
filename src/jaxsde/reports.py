"""What can only be said at run time, said as a warning."""

import functools
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def report_nonfinite(ys: Any, ts: Any) -> None:
    """Warns when the solution stops being finite, and says when. Works under jit, vmap and grad."""
    finite = [jnp.isfinite(y.reshape(ts.size, -1)).all(1) for y in jax.tree.leaves(ys)]
    jax.debug.callback(_warn_nonfinite, functools.reduce(jnp.logical_and, finite), ts)


def _warn_nonfinite(finite: Any, ts: Any) -> None:
    if not np.all(finite):
        first = int(np.argmin(finite))
        since = f"between t = {ts[first - 1]} and t = {ts[first]}" if first else f"at its start, t = {ts[0]}"
        warnings.warn(
            f"The solution stops being finite {since}. Where f and g are finite there, take smaller steps.",
            RuntimeWarning,
            stacklevel=2,
        )


def report_unfinished(outputs: Any, ts: Any, max_steps: int) -> None:
    """Warns when adaptive steps did not arrive at all output times."""
    jax.debug.callback(functools.partial(_warn_unfinished, max_steps), outputs, ts)


def _warn_unfinished(max_steps: int, outputs: Any, ts: Any) -> None:
    if np.any(outputs < 0):
        reached = ts[int(np.argmin(outputs)) - 1]
        warnings.warn(
            f"max_steps={max_steps} adaptive steps came no further than the output time {reached}; the solution after "
            "it is NaN. Raise max_steps, or rtol and atol.",
            RuntimeWarning,
            stacklevel=2,
        )


def report_coarse(coarse: Any, shortest: Any) -> None:
    """Warns when adaptive steps came down to the shortest length that there is."""
    jax.debug.callback(_warn_coarse, coarse, shortest)


def _warn_coarse(coarse: Any, shortest: Any) -> None:
    if coarse > 0:
        warnings.warn(
            f"{coarse} adaptive steps came down to a length of {shortest:.2g}, the shortest that the Brownian path "
            "(twice its tol) and the precision of the times allow: their error is above rtol and atol, or output times "
            "are nearer to each other. Raise rtol and atol, or take a VirtualTree of smaller tol, or double precision.",
            RuntimeWarning,
            stacklevel=2,
        )
