"""`solve`: the one way in which an SDE is solved."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PyTree

from jaxsde import loops
from jaxsde.adaptive import find_grid
from jaxsde.adjoints import ADJOINTS
from jaxsde.brownian import BrownianPath, CounterPath, VirtualTree
from jaxsde.brownian.keys import check_key, derive_key
from jaxsde.brownian.traced_path import TracedPath, is_own, traceable
from jaxsde.choices import one_of
from jaxsde.compiled import Same, once
from jaxsde.continuation import Behind, behind, nothing_behind
from jaxsde.engine import intervals, scheme, with_parted, without_padding
from jaxsde.first_exit import FirstExit, ending, with_exit_time
from jaxsde.flat_sde import FlatSDE, precision
from jaxsde.forks import refuse_fork
from jaxsde.jumps import Candidates, Jumps, jump_adapted, jumping, with_wrong
from jaxsde.langevin import Langevin
from jaxsde.methods import Method
from jaxsde.methods.coupled import COUPLED, coupled
from jaxsde.problem import (
    adaptive_methods,
    check_adaptive,
    check_adaptive_clock,
    check_clock,
    check_equation,
    check_first_exit,
    check_jumps,
    check_langevin,
    check_method,
    check_noise,
    check_path,
    check_rng_beside,
    check_size,
    check_state,
)
from jaxsde.progress import Meter, Progress, check_progress
from jaxsde.reports import report_jumps, report_nonfinite, report_parted, report_unfinished
from jaxsde.running import add_running, noise_of_user
from jaxsde.sde import SDE
from jaxsde.signatures import check_takes
from jaxsde.solution import Result, Solution, Stats
from jaxsde.steps import AdaptiveSteps, FixedSteps
from jaxsde.times import Rows, check_counted, is_known, known_times, resolution
from jaxsde.types import Args, Key, Leaves, Running, Save, State, Time, Times, Unknown

USUAL_METHOD = {"ito": "euler_maruyama", "stratonovich": "midpoint"}
USUAL_STEPS = FixedSteps()
# What other entry points and other libraries have beside an equation, and where it is said here.
ELSEWHERE = (
    dict.fromkeys(("dt", "dt0"), "steps=FixedSteps(dt=...)")
    | dict.fromkeys(("adaptive", "rtol", "atol", "max_steps", "stepsize_controller"), "steps=AdaptiveSteps(rtol, atol)")
    | dict.fromkeys(("noise", "noise_type", "noise_shape", "sde_type"), "SDE(f, g, sde_type, noise, noise_shape)")
    | {"bm": "brownian=", "key": "rng=", "saveat": "ts", "solver": "method=", "terms": "SDE(f, g)"}
    | {"t0": "ts", "t1": "ts", "names": "SDE(f, g)", "dt_max": "steps=AdaptiveSteps(dt_max=...)"}
    | {"dt_min": "the tol of brownian=VirtualTree(rng, t0, t1, tol)"}
    | {"event": "first_exit=", "progress_meter": "progress=", "logqp": "jaxsde.running_path_kl, as running="}
)


def solve(
    sde: SDE | Langevin,
    y0: State | Solution,
    ts: Times,
    rng: Key | None = None,
    args: Args = None,
    *,
    steps: FixedSteps | AdaptiveSteps = USUAL_STEPS,
    method: str | Method | None = None,
    adjoint: str = "backprop",
    brownian: BrownianPath | None = None,
    save: Save | None = None,
    running: Running | None = None,
    check_finite: bool = False,
    jumps: Jumps | None = None,
    first_exit: FirstExit | None = None,
    progress: Progress | None = None,
    **unknown: Unknown,
) -> Solution:
    """Solves an SDE, differentiably.

    **Arguments:**

    - `sde`: the equation, an `SDE` or a `Langevin`.
    - `y0`: a pytree of floating-point arrays, real or complex; or a `Solution`, to go on from its last state and time.
      Sums of `running` go on from its own, and steps are counted on: with the same `rng` or `brownian` the noise is
      what comes next, none that was. A method that carries more than the state begins anew with it.
    - `ts`: the times of the solution, increasing or decreasing, (n,); `ts[0]` is the time of `y0`. Numbers that are
      known are taken in double precision, so that lengths of time are right far from zero too; f and g get t in the
      precision of y0. Traced ones that are out of order, or that their precision has lost, to a thousandth of the
      span, give NaN.
    - `rng`: a JAX key. Same key, same path, whatever the method and the gradient; with adaptive steps methods that need
      space-time areas have one path, and those that do not another. It may be `None` for an ODE, and with
      `brownian`, beside which only `jumps` and `first_exit` draw from it: without these another key than that of the
      path is refused, where both are known.
    - `args`: any pytree, handed to f and g.
    - `steps`: `FixedSteps` or `AdaptiveSteps`; steps of at most a hundredth of the span unless given, and where ts is
      traced a hundred, divided evenly over its intervals, which is another grid where these differ.
    - `method`: see `jaxsde.METHODS`, or a `theta_method`; `"euler_maruyama"` for Ito's calculus and `"midpoint"` for
      Stratonovich's unless given; with adaptive steps and Ito's calculus the one of order 1.5 for the noise, which has
      an error estimate of its own, and on a given path without space-time areas, or with commutative noise,
      `"milstein"`, or `"euler_maruyama"` with additive noise; of a Langevin equation `"baoab"`. A method that does not
      converge for this SDE type and noise is refused.
      `"coupled_midpoint"`, and the like of every method that carries the state alone and is explicit, is its reversible
      form: another solution of the same order, at twice the cost. Where the drift decays at a rate L over a time T it
      is for L T up to about 64 in single and 144 in double precision, and for shorter steps than the method itself;
      beyond that its two solutions part, and the solution is NaN with a warning.
    - `adjoint`: how gradients are computed; see `jaxsde.ADJOINTS`. `sdeint_ito` and `sdeint_strat` take
      `"stochastic"` unless it is given. `"reversible"` takes the reversible form of a method that has no inverse.
    - `brownian`: the path; see `jaxsde.brownian`. Unless given, `CounterPath(rng)` for fixed steps and a `VirtualTree`
      for adaptive ones.
    - `save`: a function of y; what to keep at every time. All of y unless given.
    - `running`: a function `running(y, t, h, dW, args)` of the start of a step, its length (negative where ts
      decreases) and its Brownian increment, to be added up over the steps. Unlike `ys` it sees every step, and no
      state is kept for it; see `running_path_kl`.
    - `check_finite`: whether to warn at run time when the solution stops being finite, and to say when that was. With
      implicit methods it is always said, since a step that they do not find is NaN.

    - `jumps`: of the solution at random times, which become ends of steps; with fixed steps.
    - `first_exit`: of a region, where the solution ends: `ys` stays where it left, and `exit_time` says when; with
      fixed steps. What is drawn beside the path, of what it does within a step, is of `rng`.
    - `progress`: called about once a percent, while the solve runs, with the share of it that is behind: of fixed steps
      from 0 to 1, of adaptive ones of the time for which steps were found. `ProgressBar()` shows a bar. A gradient's
      walk back says nothing, and a batch is one solve. Equal ones share what is compiled. Not with
      `adjoint="checkpoint"` and fixed steps.

    **Returns:** a `Solution`.

    **Raises:** `ValueError` or `TypeError`, before any integration, for what is said above and does not hold.
    """
    refuse_fork()
    for argument in unknown:
        there = f"; it is said by {ELSEWHERE[argument]}" if argument in ELSEWHERE else ""
        raise TypeError(f"solve has no argument {argument!r}{there}.")
    langevin = sde if isinstance(sde, Langevin) else None
    sde = sde.sde if isinstance(sde, Langevin) else sde
    if not isinstance(sde, SDE):
        raise TypeError(
            f"sde is {type(sde).__name__}; it is an SDE of jaxsde, such as SDE(f, g), or a Langevin.{_of_methods(sde)}"
        )
    if not isinstance(steps, FixedSteps | AdaptiveSteps):
        raise TypeError(f"steps is {type(steps).__name__}; it is FixedSteps or AdaptiveSteps of jaxsde{_such(steps)}.")
    one_of("sde_type", sde.sde_type, USUAL_METHOD)
    if method is None:
        method = "baoab" if langevin else _usual_method(sde, steps, brownian)
    name = method.removeprefix(COUPLED) if isinstance(method, str) else method
    chosen = check_method(name, sde.sde_type, sde.noise, langevin is not None)
    one_of("adjoint", adjoint, ADJOINTS)
    check_progress(progress, steps, adjoint)
    if save is not None:
        check_takes("save", save, "y")
    if running is not None:
        check_takes("running", running, "y", "t", "h", "dW", "args")
    if jumps is None and first_exit is None:
        check_rng_beside(brownian, rng)
    known = known_times(ts)
    if isinstance(y0, Solution):
        begun = behind(y0, jnp.asarray(known, y0.ts.dtype), first_exit is not None)
    else:
        begun = nothing_behind(y0)
    y0 = check_state(begun.y)
    check_size(chosen, y0)
    times = jnp.asarray(known, precision(y0))
    fresh = begun.key(rng)
    if jumps is not None:
        check_jumps(jumps, y0, times[0], args, steps, adjoint, brownian, rng)
    if first_exit is not None:
        check_first_exit(first_exit, sde, y0, times[0], args, steps, adjoint, brownian, rng, running, jumps)
    flat = check_langevin(langevin, y0, times, args) if langevin else check_equation(sde, y0, times, args)
    rounding = max(float(jnp.finfo(leaf.dtype).eps) for leaf in jax.tree.leaves(y0))
    in_reverse = sde.sde_type == "stratonovich" or sde.noise == "additive"

    def pose(most: int) -> _Posed:
        couples = method != name or (adjoint == "reversible" and chosen.inverse is None)
        taken = coupled(chosen, most, in_reverse, rounding) if couples else chosen
        return _Posed(flat, taken, tuple(jax.tree.leaves(y0)), known, times, args)

    if isinstance(steps, AdaptiveSteps):
        posed, candidates = pose(2 * steps.max_steps), None
        path, rows, stats, result, reached = _adapt(posed, steps, fresh, brownian, running, progress)
        progress = None
    else:
        rows, candidates = steps.rows(known, resolution(ts), times.dtype), None
        if jumps is not None or first_exit is not None:
            check_clock(rows, flat, args, times.dtype, running, jumps, first_exit)
        if jumps is not None:
            rows, candidates = jump_adapted(rows, known, jumps, fresh, times.dtype)
        if first_exit is not None:
            check_counted(rows.total + (int(begun.stats.steps) if is_known(begun.stats.steps) else 0))
        posed = pose(rows.total)
        path = _path(posed, rng, brownian, CounterPath)
        evaluations = posed.method.evaluations * rows.total
        stats, result = Stats(rows.total, rows.total, evaluations), np.int32(Result.SUCCESSFUL)
        reached = None
    ending_key = None if first_exit is None or sde.diffusion is None else derive_key(rng, "jaxsde.FirstExit")
    ys, end = _on_grid(
        posed, path, rows, begun, adjoint, save, running, jumps, candidates, first_exit, ending_key, progress
    )
    ys, sums = (ys, None) if running is None else ys
    ys, exit_times = (ys, None) if first_exit is None else ys
    if jumps is not None:
        ys, wrong = ys
        report_jumps(wrong, times)
        result = jnp.where(wrong[-1] > 0, int(Result.JUMPS_UNKNOWN), result)
    if posed.method.parted is not None:
        ys, parted = ys
        report_parted(parted, times, posed.method.name)
        result = jnp.where(parted[-1] > 0, int(Result.PARTED), result)
    # Of steps that ran out there is a warning already.
    if check_finite or chosen.implicit or first_exit is not None:
        report_nonfinite(ys, times, chosen.implicit, None if check_finite else reached)
    stats = Stats(*(a + b for a, b in zip(begun.stats, stats, strict=True)))
    # What is known to be right is not traced.
    if not is_known(begun.result):
        result = jnp.where(begun.result != Result.SUCCESSFUL, begun.result, result)
    return Solution(times, ys, sums, stats, result, None if exit_times is None else exit_times[-1], end)


def _such(steps: object) -> str:
    """The steps that a number stands for."""
    names = {"int": "", "float": "dt="}
    kind = type(steps).__name__
    return f", as FixedSteps({names[kind]}{steps})" if kind in names else ""


def _of_methods(sde: object) -> str:
    """How an object of torchsde's is said here."""
    if not (hasattr(sde, "f") and hasattr(sde, "g")):
        return ""
    return " Make one of the functions of an object: as f lambda y, t, args: sde.f(t, y), and g alike."


def _usual_method(sde: SDE, steps: FixedSteps | AdaptiveSteps, path: BrownianPath | None) -> str:
    """The one of `USUAL_METHOD`; with adaptive steps and Ito's calculus, of the methods that they converge with, the
    first that says its own error on this path, or else the first.
    """
    if isinstance(steps, AdaptiveSteps) and sde.sde_type == "ito":
        fit = adaptive_methods(sde.sde_type, sde.noise, path)
        if fit:
            return min(fit, key=lambda method: method.embedded is None).name
    return USUAL_METHOD[sde.sde_type]


class _Posed(NamedTuple):
    """A problem that passed the contract check: `ts` in double precision where known, `times` in that of the state."""

    sde: FlatSDE
    method: Method
    y0: Any
    ts: Any
    times: Any
    args: Any


def _path(posed: _Posed, rng: Key | None, brownian: BrownianPath | None, default: Callable[[Any], Any]) -> Any:
    if brownian is not None:
        return brownian
    if posed.sde.g is None:
        return CounterPath(None)
    check_key(rng)
    return default(rng)


def _adapt(
    posed: _Posed,
    steps: AdaptiveSteps,
    rng: Key | None,
    brownian: BrownianPath | None,
    running: Running | None,
    progress: Progress | None,
) -> tuple[Any, Rows, Stats, Any, Any]:
    """The path, the grid that is found on it, what finding it took, how that ended, and the last output time that was
    reached, by its number.
    """
    sde, method, y0, ts, times, args = posed
    first = steps.first(ts)
    check_adaptive(sde, method, brownian)
    check_noise(sde, method, y0, times[0], args, adaptive=True)
    span, nearest = abs(ts[-1] - ts[0]), np.abs(np.diff(ts)).min()
    start, end = sorted((ts[0], ts[-1]))
    tol = max(min(span * 2.0**-18, nearest / 4), span * 2.0**-30)
    path = _path(posed, rng, brownian, lambda rng: VirtualTree(rng, start, end, tol, method.space_time))
    path = check_path(path, sde, method, ts, 0, times.dtype)
    apart = check_adaptive_clock(ts, sde, args, times.dtype, running)
    grid = find_grid(sde, method, y0, ts, args, path, first, steps, apart, progress)
    report_unfinished(grid.reached, times, grid.tried, steps.max_steps)
    finished = jnp.where(grid.coarse > 0, int(Result.TOLERANCE_NOT_MET), int(Result.SUCCESSFUL))
    result = jnp.where(grid.reached < ts.size - 1, int(Result.MAX_STEPS_REACHED), finished)
    return path, grid.rows, Stats(grid.steps, grid.tried, grid.evaluations), result, grid.reached


def _on_grid(
    posed: _Posed,
    brownian: BrownianPath,
    grid: Rows,
    begun: Behind,
    adjoint: str,
    save: Save | None,
    running: Running | None,
    jumps: Jumps | None,
    candidates: Candidates | None,
    first_exit: FirstExit | None,
    ending_key: Any,
    progress: Progress | None,
) -> Any:
    """The outputs, and the state at the last time."""
    sde, method, y0, ts, times, *_ = posed
    path = check_path(brownian, sde, method, ts, grid.total, times.dtype)
    check_clock(grid, sde, posed.args, times.dtype, running)
    check_noise(sde, method, y0, times[0], posed.args)
    xs, path = intervals(grid, path, times.dtype)
    xs = xs._replace(index=begun.counted(xs.index))
    t = jax.ShapeDtypeStruct((), times.dtype)
    own = traceable(path, sde.noise_like, method.space_time, t) if is_own(path) else None
    own_draw = own and own[0]
    kind, substeps, padded, total = sde.without_functions(), grid.substeps, grid.count is not None, grid.total

    def run(
        functions: PyTree,
        args: Args,
        y0: Leaves,
        t0: Time,
        path: BrownianPath | None,
        xs: PyTree,
        outputs: Int[Array | np.ndarray, " n"] | None,
        sums: PyTree | None,
        candidates: Candidates | None,
        ending_key: Any,
        left_at: Time | None,
        behind: Any,
    ) -> Any:
        sde, save, running, draw = kind.of(functions), functions["save"], functions["running"], functions["draw"]
        taken = method if candidates is None else jumping(method, functions["rate"], functions["change"], candidates)
        inside = functions["inside"]
        taken = taken if inside is None else ending(taken, inside, ending_key, left_at, behind)
        # In a caller's jit it is the user's own, which reads nothing of what was traced.
        if draw is not own_draw:
            path = TracedPath(jax.tree.leaves(path), args, draw)
        carry = taken.init(sde, y0, t0, args)
        steps = scheme(sde, taken, substeps, None if save is None else lambda y: save(y, args))
        if taken.parted is not None:
            steps = with_parted(steps, taken.parted)
        if candidates is not None:
            steps = with_wrong(steps)
        if inside is not None:
            steps = with_exit_time(steps)
        if running is not None:
            steps, carry = add_running(steps, sde, taken, running, carry, args, t0, sums, candidates is not None)
        if padded:
            steps = without_padding(steps)
        if progress is not None:
            meter = Meter(progress)
            steps = steps._replace(tick=lambda k: meter.step(k - xs.index[0], total))
        last, ys = ADJOINTS[adjoint](steps, *loops.vary_alike((carry, args, path, xs)))
        end = sde.unflatten(taken.state(last if running is None else last[0]))
        return (ys if outputs is None else jax.tree.map(lambda y: y[outputs], ys)), end

    functions = sde.traceable(t) | {
        "save": None if save is None else (lambda y, args: save(y), (sde.like,)),
        "draw": own,
        "running": None if running is None else (running, (sde.like, t, t, noise_of_user(sde, sde.noise_like))),
    }
    functions |= {"rate": None, "change": None} if jumps is None else jumps.traceable(sde.like, t)
    functions |= {"inside": None} if first_exit is None else first_exit.traceable(sde.like, t)
    static = (sde.kind, Same(method), substeps, padded, adjoint, None if progress is None else (progress, total))
    counted = None if first_exit is None else jnp.asarray(begun.stats.steps, jnp.float32)
    inputs = y0, times[0], path, xs, grid.outputs, begun.sums, candidates, ending_key, begun.exit_time, counted
    return once(run, static, functions, posed.args, *inputs)
