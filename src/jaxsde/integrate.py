"""The entry points: dy = f dt + g dB (Ito) and dy = f dt + g o dB (Stratonovich)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsde import loops
from jaxsde.adaptive import Tolerance, find_grid
from jaxsde.adjoints import ADJOINTS
from jaxsde.brownian import CounterPath, VirtualTree
from jaxsde.brownian.keys import check_key
from jaxsde.compiled import Same, once
from jaxsde.engine import intervals, scheme, without_padding
from jaxsde.forks import refuse_fork
from jaxsde.methods import Method
from jaxsde.problem import (
    check_adaptive,
    check_adaptive_clock,
    check_clock,
    check_equation,
    check_method,
    check_noise,
    check_path,
    check_state,
    one_of,
)
from jaxsde.reports import report_nonfinite, report_unfinished
from jaxsde.running import add_running, noise_of_user
from jaxsde.sde import SDE, precision
from jaxsde.times import Steps, divide, is_known, known_times, one_each, resolution

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
    running: Function | None = None,
    check_finite: bool = False,
) -> Any:
    """Solves dy = f dt + g dB in the sense of Ito, with one step between each two of the times `ts`.

    **Arguments:**

    - `f`, `g`: drift and diffusion, called as `f(y, t, args)`. The drift is like y. The diffusion too, with diagonal,
      additive (g does not depend on y) and scalar noise (one Brownian motion drives all of y); with general noise each
      of its leaves has one more axis, last, for the m Brownian motions, or `g` returns the function v -> g v and
      `noise_shape` is the shape of v. `g=None` is an ODE. In a pytree, g may give `None` in place of a leaf or a
      subtree: that part has no noise of its own, and none is drawn for it.
    - `y0`: a pytree of floating-point arrays.
    - `ts`: the times, increasing or decreasing, (n + 1,); `ts[0]` is the time of `y0`. Numbers that are known are taken
      in double precision, so that lengths of time are right far from zero too; f and g get t in the precision of y0.
      Traced ones that their precision has lost, to a thousandth of the span, give NaN.
    - `rng`: a JAX key. Same key, same path, whatever the method and the gradient.
    - `args`: any pytree, handed to f and g.
    - `method`: see `jaxsde.METHODS`; `euler` is `euler_maruyama`. A method that does not
      converge for this SDE type and noise is refused.
    - `noise`: `"diagonal"`, `"additive"`, `"scalar"` or `"general"`. A diffusion that depends on y is refused as
      additive, and one whose entries depend on others as diagonal where the method or adaptive steps need that they do
      not.
    - `brownian`: the path: `CounterPath(rng)` unless given; see `jaxsde.brownian`.
    - `adjoint`: how gradients are computed; see `jaxsde.ADJOINTS`.
    - `save`: a function of y; what to keep at every time. All of y unless given.
    - `running`: a function `running(y, t, h, dW, args)` of the start of a step, its length (negative where ts
      decreases) and its Brownian increment, to be added up over the steps. Unlike `ys` it sees every step, and no
      state is kept for it; see `running_path_kl`.
    - `check_finite`: whether to warn at run time when the solution stops being finite, and to say when that was.

    **Returns:** the solution at all of `ts`: a pytree like y0 (or like `save(y0)`) with a leading axis of n + 1, the
    first entry being y0. With `running`, `(ys, sums)`: the sums from `ts[0]` to every one of `ts`, the first being 0.

    **Raises:** `ValueError` or `TypeError`, before any integration, for what is said above and does not hold.
    """
    posed = _pose("ito", f, g, y0, ts, args, method, noise, noise_shape, adjoint)
    return _on_grid(
        posed,
        _path(posed, rng, brownian, CounterPath),
        one_each(ts, posed.times.dtype),
        adjoint,
        save,
        running,
        check_finite,
    )


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
    running: Function | None = None,
    check_finite: bool = False,
) -> Any:
    """Solves dy = f dt + g o dB in the sense of Stratonovich; otherwise as `sdeint_ito_fixed_grid`."""
    posed = _pose("stratonovich", f, g, y0, ts, args, method, noise, noise_shape, adjoint)
    return _on_grid(
        posed,
        _path(posed, rng, brownian, CounterPath),
        one_each(ts, posed.times.dtype),
        adjoint,
        save,
        running,
        check_finite,
    )


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
    adjoint: str = "stochastic",
    save: Function | None = None,
    running: Function | None = None,
    check_finite: bool = False,
    adaptive: bool = False,
    rtol: float = 1e-3,
    atol: float = 1e-5,
    max_steps: int = 4096,
    stats: bool = False,
) -> Any:
    """Solves dy = f dt + g dB in the sense of Ito, by steps of at most `dt`; otherwise as `sdeint_ito_fixed_grid`.

    **Arguments:** those of `sdeint_ito_fixed_grid`, and

    - `dt`: the longest step; a hundredth of the span unless given. Each interval of `ts` is divided into the fewest
      equal steps, and their number has to be known: `ts` and `dt` are concrete (numpy arrays, say), not traced.
    - `adjoint`: the stochastic adjoint unless given: exact, in the memory of 13 states. It has no forward mode and no
      second derivative: for those take `"backprop"`.
    - `adaptive`: whether to choose steps so that each has an error of at most `atol + rtol |y|`, starting from `dt`.
      The noise is then a `VirtualTree`, and the method of strong order one at least: one of lower order may converge to
      another equation's solution (Gaines and Lyons, 1997).
    - `max_steps`: the most adaptive steps tried. Memory is that of `2 max_steps` states. If they do not suffice, a
      warning says so and the solution is NaN after the last output time that was reached, and so are all gradients.
    - `stats`: whether to return `(ys, stats)`, where stats has `steps` and `tried_steps`, and `evaluations` of the
      drift to find the grid and to step on it once.
    """
    tolerance = Tolerance(float(rtol), float(atol), int(max_steps)) if adaptive else None
    posed = _pose("ito", f, g, y0, ts, args, method, noise, noise_shape, adjoint)
    return _by_steps(posed, dt, resolution(ts), rng, brownian, adjoint, save, running, check_finite, tolerance, stats)


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
    adjoint: str = "stochastic",
    save: Function | None = None,
    running: Function | None = None,
    check_finite: bool = False,
    adaptive: bool = False,
    rtol: float = 1e-3,
    atol: float = 1e-5,
    max_steps: int = 4096,
    stats: bool = False,
) -> Any:
    """Solves dy = f dt + g o dB in the sense of Stratonovich, by steps of at most `dt`; otherwise as `sdeint_ito`."""
    tolerance = Tolerance(float(rtol), float(atol), int(max_steps)) if adaptive else None
    posed = _pose("stratonovich", f, g, y0, ts, args, method, noise, noise_shape, adjoint)
    return _by_steps(posed, dt, resolution(ts), rng, brownian, adjoint, save, running, check_finite, tolerance, stats)


def _check_known(ts: Any, dt: Any) -> None:
    if not (is_known(ts) and is_known(dt)):
        raise TypeError(
            "ts or dt is traced, so the number of steps is not known; pass concrete numbers (numpy), or step exactly "
            "on ts with the fixed-grid solver."
        )
    if dt is not None and not 0 < float(dt) < np.inf:
        raise ValueError(f"dt is {dt}; it is the longest step, a positive, finite number, also where ts decreases.")


class _Posed(NamedTuple):
    """A problem that passed the contract check: `ts` in double precision where known, `times` in that of the state."""

    sde: SDE
    method: Method
    y0: Any
    ts: Any
    times: Any
    args: Any
    noisy: bool


def _pose(
    sde_type: str, f: Any, g: Any, y0: Any, ts: Any, args: Any, method: str, noise: str, noise_shape: Any, adjoint: str
) -> _Posed:
    refuse_fork()
    chosen = check_method(method, sde_type, noise)
    one_of("adjoint", adjoint, ADJOINTS)
    y0 = check_state(y0)
    ts = known_times(ts)
    times = jnp.asarray(ts, precision(y0))
    sde = check_equation(f, g, y0, times, args, sde_type, noise, noise_shape)
    return _Posed(sde, chosen, tuple(jax.tree.leaves(y0)), ts, times, args, g is not None)


def _path(posed: _Posed, rng: Any, brownian: Any, default: Callable[[Any], Any]) -> Any:
    if brownian is not None:
        return brownian
    if not posed.noisy:
        return CounterPath(None)
    check_key(rng)
    return default(rng)


def _on_grid(
    posed: _Posed, brownian: Any, grid: Steps, adjoint: str, save: Any, running: Any, check_finite: bool
) -> Any:
    sde, method, y0, ts, times, *_ = posed
    path = check_path(brownian, sde, method, ts, grid.total)
    check_clock(grid, sde, posed.args, times.dtype, running)
    check_noise(sde, method, y0, times[0], posed.args)
    xs, path = intervals(grid, path, times.dtype)
    kind, substeps, padded = sde.without_functions(), grid.substeps, grid.count is not None

    def run(functions: Any, args: Any, y0: Any, t0: Any, path: Any, xs: Any, outputs: Any) -> Any:
        sde, save, running = kind.of(functions), functions["save"], functions["running"]
        carry = method.init(sde, y0, t0, args)
        steps = scheme(sde, method, substeps, None if save is None else lambda y: save(y, args))
        if running is not None:
            steps, carry = add_running(steps, sde, method, running, carry, args, t0)
        if padded:
            steps = without_padding(steps)
        ys = ADJOINTS[adjoint](steps, *loops.vary_alike((carry, args, path, xs)))
        return ys if outputs is None else jax.tree.map(lambda y: y[outputs], ys)

    t = jax.ShapeDtypeStruct((), times.dtype)
    functions = sde.traceable(t) | {
        "save": None if save is None else (lambda y, args: save(y), (sde.like,)),
        "running": None if running is None else (running, (sde.like, t, t, noise_of_user(sde, sde.noise_like))),
    }
    static = (sde.kind, Same(method), substeps, padded, adjoint)
    ys = once(run, static, functions, posed.args, y0, times[0], path, xs, grid.outputs)
    if check_finite:
        report_nonfinite(ys, times)
    return ys


def _by_steps(
    posed: _Posed, dt: Any, resolution: float, rng: Any, brownian: Any, adjoint: str, save: Any, running: Any,
    check_finite: bool, tolerance: Tolerance | None, stats: bool,
) -> Any:  # fmt: skip
    ts, times, evaluations = posed.ts, posed.times, posed.method.evaluations
    _check_known(ts, dt)
    if tolerance is not None:
        check_adaptive(posed.sde, posed.method, brownian, tolerance)
        check_noise(posed.sde, posed.method, posed.y0, times[0], posed.args, adaptive=True)
        span, nearest = abs(ts[-1] - ts[0]), np.abs(np.diff(ts)).min()
        start, end = sorted((ts[0], ts[-1]))
        tol = max(min(span * 2.0**-18, nearest / 4), span * 2.0**-30)
        path = _path(posed, rng, brownian, lambda rng: VirtualTree(rng, start, end, tol))
        path = check_path(path, posed.sde, posed.method, ts, 0)
        apart = check_adaptive_clock(ts, posed.sde, posed.args, times.dtype, running)
        first = span / 100 if dt is None else float(dt)
        grid = find_grid(posed.sde, posed.method, posed.y0, ts, posed.args, path, first, tolerance, apart)
        report_unfinished(grid.reached, times, tolerance.max_steps)
        ys = _on_grid(posed, path, grid.steps, adjoint, save, running, check_finite)
        found = {
            "steps": 2 * grid.accepted,
            "tried_steps": grid.tried,
            "evaluations": evaluations * (3 * grid.tried + 2 * grid.accepted),
        }
        return (ys, found) if stats else ys
    steps = divide(ts, dt, resolution)
    ys = _on_grid(posed, _path(posed, rng, brownian, CounterPath), steps, adjoint, save, running, check_finite)
    found = {"steps": steps.total, "tried_steps": steps.total, "evaluations": evaluations * steps.total}
    return (ys, found) if stats else ys
