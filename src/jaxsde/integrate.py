"""The entry points: dy = f dt + g dB (Ito) and dy = f dt + g o dB (Stratonovich)."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxsde.adjoints import ADJOINTS
from jaxsde.brownian import CounterPath
from jaxsde.engine import intervals, scheme
from jaxsde.problem import (
    check_equation,
    check_key,
    check_method,
    check_path,
    check_state,
    check_times,
    one_of,
)

Function = Callable[..., Any]


def sdeint_ito_fixed_grid(
    f: Function,
    g: Function | None,
    y0: Any,
    ts: Any,
    rng: Any,
    args: Any = None,
    method: str = "euler_maruyama",
    *,
    noise: str = "diagonal",
    noise_shape: tuple[int, ...] | None = None,
    brownian: Any = None,
    adjoint: str = "backprop",
    save: Function | None = None,
) -> Any:
    """Solves dy = f dt + g dB in the sense of Ito, with one step between each two of the times `ts`.

    **Arguments:**

    - `f`, `g`: drift and diffusion, called as `f(y, t, args)`. The drift is like y. The diffusion too, with diagonal,
      additive (g does not depend on y) and scalar noise (one Brownian motion drives all of y); with general noise each
      of its leaves has one more axis, last, for the m Brownian motions, or `g` returns the function v -> g v and
      `noise_shape` is the shape of v. `g=None` is an ODE. In a pytree, g may give `None` in place of a leaf or a
      subtree: that part has no noise of its own, and none is drawn for it.
    - `y0`: a pytree of floating-point arrays.
    - `ts`: the times, increasing or decreasing, (n + 1,); `ts[0]` is the time of `y0`.
    - `rng`: a JAX key. Same key, same path, whatever the method and the gradient.
    - `args`: any pytree, handed to f and g.
    - `method`: see `jaxsde.METHODS`; a method that does not converge for this SDE type and noise is refused.
    - `noise`: `"diagonal"`, `"additive"`, `"scalar"` or `"general"`.
    - `brownian`: the path: `CounterPath(rng)` unless given; see `jaxsde.brownian`.
    - `adjoint`: how gradients are computed; see `jaxsde.ADJOINTS`.
    - `save`: a function of y; what to keep at every time. All of y unless given.

    **Returns:** the solution at all of `ts`: a pytree like y0 (or like `save(y0)`) with a leading axis of n + 1, the
    first entry being y0.

    **Raises:** `ValueError` or `TypeError`, before any integration, for what is said above and does not hold.
    """
    return _solve("ito", f, g, y0, ts, rng, args, method, noise, noise_shape, brownian, adjoint, save)


def sdeint_strat_fixed_grid(
    f: Function,
    g: Function | None,
    y0: Any,
    ts: Any,
    rng: Any,
    args: Any = None,
    method: str = "midpoint",
    *,
    noise: str = "diagonal",
    noise_shape: tuple[int, ...] | None = None,
    brownian: Any = None,
    adjoint: str = "backprop",
    save: Function | None = None,
) -> Any:
    """Solves dy = f dt + g o dB in the sense of Stratonovich; otherwise as `sdeint_ito_fixed_grid`."""
    return _solve("stratonovich", f, g, y0, ts, rng, args, method, noise, noise_shape, brownian, adjoint, save)


def sdeint_ito(
    f: Function,
    g: Function | None,
    y0: Any,
    ts: Any,
    rng: Any,
    args: Any = None,
    method: str = "euler_maruyama",
    *,
    dt: float | None = None,
    noise: str = "diagonal",
    noise_shape: tuple[int, ...] | None = None,
    brownian: Any = None,
    adjoint: str = "backprop",
    save: Function | None = None,
) -> Any:
    """Solves dy = f dt + g dB in the sense of Ito, by steps of at most `dt`; otherwise as `sdeint_ito_fixed_grid`.

    **Arguments:** those of `sdeint_ito_fixed_grid`, and

    - `dt`: the longest step; a hundredth of the span unless given. All intervals of `ts` are divided into the same
      number of equal steps, which has to be known: `ts` and `dt` are concrete (numpy arrays, say), not traced.
    """
    return _solve(
        "ito",
        f,
        g,
        y0,
        ts,
        rng,
        args,
        method,
        noise,
        noise_shape,
        brownian,
        adjoint,
        save,
        functools.partial(_substeps, dt=dt),
    )


def sdeint_strat(
    f: Function,
    g: Function | None,
    y0: Any,
    ts: Any,
    rng: Any,
    args: Any = None,
    method: str = "midpoint",
    *,
    dt: float | None = None,
    noise: str = "diagonal",
    noise_shape: tuple[int, ...] | None = None,
    brownian: Any = None,
    adjoint: str = "backprop",
    save: Function | None = None,
) -> Any:
    """Solves dy = f dt + g o dB in the sense of Stratonovich, by steps of at most `dt`; otherwise as `sdeint_ito`."""
    return _solve(
        "stratonovich",
        f,
        g,
        y0,
        ts,
        rng,
        args,
        method,
        noise,
        noise_shape,
        brownian,
        adjoint,
        save,
        functools.partial(_substeps, dt=dt),
    )


def _substeps(ts: Any, dt: Any) -> int:
    """Steps an interval, so that none is longer than dt."""
    if isinstance(ts, jax.core.Tracer) or isinstance(dt, jax.core.Tracer):
        raise TypeError(
            "ts or dt is traced, so the number of steps is not known; pass concrete numbers (numpy), or step exactly "
            "on ts with the fixed-grid solver."
        )
    times = np.asarray(ts, np.float64)
    dt = np.abs(times[-1] - times[0]) / 100 if dt is None else float(dt)
    if not dt > 0 or not np.isfinite(dt):
        raise ValueError(f"dt is {dt}; it is the longest step, a positive, finite number, also where ts decreases.")
    # A ratio such as 0.1 / 0.01 is a rounding error above a whole number.
    return max(1, int(np.ceil(np.abs(np.diff(times)).max() / dt * (1 - 1e-6))))


def _solve(
    sde_type: str, f: Any, g: Any, y0: Any, ts: Any, rng: Any, args: Any, method: str,
    noise: str, noise_shape: Any, brownian: Any, adjoint: str, save: Any, divide: Any = None,
) -> Any:  # fmt: skip
    chosen = check_method(method, sde_type, noise)
    one_of("adjoint", adjoint, ADJOINTS)
    y0 = check_state(y0)
    times = check_times(ts, y0)
    substeps = divide(ts) if divide else 1
    sde = check_equation(f, g, y0, times, args, sde_type, noise, noise_shape)
    if brownian is None:
        if g is not None:
            check_key(rng)
        brownian = CounterPath(rng)
    path = check_path(brownian, sde, chosen, (times.shape[0] - 1) * substeps)
    carry = chosen.init(sde, tuple(jax.tree.leaves(y0)), times[0], args)
    xs, path = intervals(times, substeps, path)
    return ADJOINTS[adjoint](scheme(sde, chosen, substeps, save), carry, args, path, xs)
