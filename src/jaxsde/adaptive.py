"""Adaptive steps: which grid keeps the error of each step within a chosen tolerance.

A step is tried over a virtual tree, and its error estimated. The length of the next step follows from the last three
errors by a PID controller (Söderlind, 2003). Rejected steps do not bias the noise, since the tree answers for the same
path again. The solution and its gradient are those of a solve on the grid that is found: the grid itself is not
differentiated.

Time is counted in whole cells of the tree, from the start in the direction of travel, and lengths are 2 or 3 times a
power of two. So rounding, which differs from one compiled program to the next, does not move a step by a little: on a
rough path a little would make of it another grid altogether. Only output times lie between whole cells; a step that
arrives at one or leaves from one is the shorter for it.

Steps shorter than the tree's tolerance would lie in one of its cells, where increments have the wrong law, and so would
halves, which some estimates of the error take. So no step is shorter than two cells, and output times that are nearer
are refused; a step that cannot be divided into two of that length is taken whatever its error, and reported.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num, PyTree

from jaxsde import loops
from jaxsde.brownian import BrownianPath, Increment, VirtualTree, no_increment
from jaxsde.brownian.virtual_tree import Place, Point
from jaxsde.compiled import Same, once
from jaxsde.error_estimate import ErrorEstimate, error_estimate
from jaxsde.flat_sde import FlatSDE, precision
from jaxsde.methods import Method
from jaxsde.progress import Meter, Progress
from jaxsde.reports import report_coarse
from jaxsde.steps import AdaptiveSteps
from jaxsde.times import Rows
from jaxsde.types import Args, Leaves, State, Time, TimeVector

PROPORTIONAL, INTEGRAL, DERIVATIVE = 0.1, 0.3, 0.0
SAFETY, SHRINK_MOST, GROW_MOST = 0.9, 0.2, 5.0


class Grid(NamedTuple):
    """The steps, those that may be tried and one, padding after them included; how many there are, were tried and took
    how many evaluations of the drift, with those of a solve on the grid; how many of those that were tried were taken
    with a larger error than is allowed; and which output time was the last that was reached.

    Where that is not the last of all, a step of unknown length, NaN, comes after those that were accepted: what is
    after it, and every gradient through it, is NaN.
    """

    rows: Rows
    steps: Any
    tried: Any
    evaluations: Any
    coarse: Any
    reached: Any


class _Stop(NamedTuple):
    """A point in the direction of travel, and its place on the path; that of an ODE has none."""

    point: Point
    place: Place | None


class _State(NamedTuple):
    carry: Any
    at: _Stop
    level: Any
    errors: tuple[Any, Any]
    grid: Point
    outputs: Any
    target: Any
    accepted: Any
    tried: Any
    coarse: Any
    stuck: Any


class _Clock(NamedTuple):
    """Points in the direction of travel as times, and as points of the tree.

    - `start`: the first output time, `tick`: the length of a cell, with the sign of the direction of travel.
    - `cells`: of the tree.
    """

    start: Any
    origin: Point
    tick: Any
    cells: Any

    def since(self, a: Point, b: Point) -> Any:
        """The time from a to b."""
        return ((b.cell - a.cell).astype(self.tick.dtype) + (b.part - a.part)) * self.tick

    def time(self, p: Point) -> Any:
        return self.start + self.since(self.origin, p)

    def on_tree(self, p: Point, forward: bool) -> Point:
        if forward:
            return p
        rest = (p.part != 0).astype(jnp.int32)
        return Point(self.cells - p.cell - rest, rest.astype(p.part.dtype) - p.part)


def clock_of(path: BrownianPath, ts: TimeVector) -> VirtualTree:
    """The tree that counts the time of a solve, which is the path itself where there is noise.

    **Raises:** `ValueError` where output times are nearer to each other than two cells.
    """
    tree = path
    if not isinstance(tree, VirtualTree):
        start, end = sorted((ts[0], ts[-1]))
        tree = VirtualTree(None, start, end, (end - start) * 2.0**-30)
    places = tree.places(ts)
    near = np.floor(np.maximum(places[1:], places[:-1]) - 1e-9) - np.floor(np.minimum(places[1:], places[:-1])) < 1
    if near.any():
        at = int(np.argmax(near))
        raise ValueError(
            f"The output times {ts[at]} and {ts[at + 1]} are nearer to each other than two cells of the VirtualTree, "
            f"of tol={tree.tol}: adaptive steps between them would have the wrong law; take a tree of tol="
            f"{np.abs(np.diff(ts)).min() / 2:.3g} or less, or output times that are further apart."
        )
    return tree


def find_grid(
    sde: FlatSDE,
    method: Method,
    y0: Leaves,
    ts: TimeVector,
    args: Args,
    path: BrownianPath,
    dt: float,
    chosen: AdaptiveSteps,
    apart: float,
    progress: Progress | None = None,
) -> Grid:
    """The grid, from a first step of `dt`. No step is shorter than `apart`, by which f and g tell times apart."""
    dtype = precision(y0)
    tree = clock_of(path, ts)
    forward = bool(ts[-1] > ts[0])
    cells = 2**tree.depth
    tick = (tree.t1 - tree.t0) / cells
    # Both halves of a step as long as the tree's tolerance at least.
    shortest = 2 * int(np.ceil(max(apart / 2, tree.tol) / tick - 1e-6))
    longest = None if chosen.dt_max is None else chosen.dt_max / tick
    if longest is not None and longest * (1 + 1e-6) < shortest:
        raise ValueError(
            f"dt_max is {chosen.dt_max}, and no step is shorter than {shortest * tick:.2g}, by the tol of the "
            "VirtualTree and the precision of times; take a larger dt_max, or a VirtualTree of smaller tol."
        )
    places = tree.places(ts) if forward else cells - tree.places(ts)
    targets = Point(jnp.asarray(np.floor(places), jnp.int32), jnp.asarray(places - np.floor(places), dtype))
    clock = _Clock(
        jnp.asarray(ts[0], dtype),
        Point(targets.cell[0], targets.part[0]),
        jnp.asarray(tick if forward else -tick, dtype),
        jnp.asarray(cells, jnp.int32),
    )

    kind, first_step, estimate = sde.without_functions(), float(dt / tick), error_estimate(method, sde.noise)

    def run(functions: PyTree, args: Args, *inputs: PyTree) -> _State:
        meter = None if progress is None else Meter(progress)

        def search(y0: Leaves, targets: Point, path: BrownianPath, clock: _Clock) -> _State:
            sde = kind.of(functions)
            return _search(
                sde,
                method,
                estimate,
                y0,
                targets,
                args,
                path,
                clock,
                forward,
                first_step,
                shortest,
                longest,
                chosen,
                meter,
            )

        # What f and g close over, args among it, becomes an input too, so that no derivative enters the loop.
        search_, closed_over = jax.closure_convert(search, *inputs)
        return search_(*jax.lax.stop_gradient((*inputs, *closed_over)))

    static = ("find_grid", sde.kind, Same(method), chosen, forward, first_step, shortest, longest, progress)
    end = once(run, static, sde.traceable(jax.ShapeDtypeStruct((), dtype)), args, y0, targets, path, clock)
    report_coarse(end.coarse, jnp.asarray(shortest * tick, dtype))

    n = end.grid.cell.size - 1
    failed = (end.target < len(ts)).astype(jnp.int32)
    steps = estimate.parts * end.accepted
    after = steps + 1
    part = end.grid.part.at[after].set(jnp.where(failed == 1, jnp.nan, end.grid.part[after]))
    a, b = (jax.tree.map(lambda x, cut=cut: x[cut], Point(end.grid.cell, part)) for cut in (slice(-1), slice(1, None)))
    first = jnp.arange(n, dtype=jnp.int32)
    start, stop = clock.on_tree(a, forward), clock.on_tree(b, forward)
    rows = Rows(
        first,
        clock.time(a),
        clock.since(a, b),
        1,
        (first < steps + failed).astype(jnp.int32),
        jnp.where(end.outputs < 0, after, end.outputs),
        n,
        (start, Point(stop.cell - start.cell, stop.part - start.part)),
    )
    evaluations = estimate.evaluations * end.tried + method.evaluations * steps
    return Grid(rows, steps, end.tried, evaluations, end.coarse, end.target - 1)


def _length(level: Int[Array, ""]) -> Any:
    """2, 2, 4, 6, 8, 12, 16, 24, ... cells: even, so that half of it is whole."""
    return ((2 + level % 2) << (level // 2)) & ~1


def _level(cells: Float[Array, ""], least: int) -> Any:
    """Of the longest length that is no longer than `cells`, a real number, and `least` where that is more."""
    cells = jnp.clip(cells, least, 2.0**30)
    _, exponent = jnp.frexp(cells)
    power = exponent.astype(jnp.int32) - 2
    half = (cells >= 1.5 * jnp.exp2((power + 1).astype(cells.dtype))).astype(jnp.int32)
    return 2 * power + half


def _search(
    sde: FlatSDE,
    method: Method,
    estimate: ErrorEstimate,
    y0: Leaves,
    targets: Point,
    args: Args,
    path: BrownianPath,
    clock: _Clock,
    forward: bool,
    dt: float,
    shortest: int,
    longest: float | None,
    chosen: AdaptiveSteps,
    meter: Meter | None,
) -> _State:
    dtype = targets.part.dtype
    tree = path if isinstance(path, VirtualTree) else None

    def at_most(level: Int[Array, ""]) -> Any:
        return (
            level if longest is None else jnp.minimum(level, _level(jnp.asarray(longest * (1 + 1e-6), dtype), shortest))
        )

    def stop(p: Point) -> _Stop:
        return _Stop(p, None if tree is None else tree.place(clock.on_tree(p, forward), sde.noise_like))

    def between(a: _Stop, b: _Stop) -> tuple[Time, Time, Increment]:
        if tree is None or a.place is None or b.place is None:
            increment = no_increment(sde.noise_like, method.space_time)
        else:
            increment = tree.between(a.place, b.place, sde.noise_like, method.space_time)
        return clock.time(a.point), clock.since(a.point, b.point), increment

    def body(s: _State) -> _State:
        target = Point(targets.cell[s.target], targets.part[s.target])
        start = s.at.point
        left = target.cell - start.cell + (target.part > 0).astype(jnp.int32)
        length = _length(s.level)
        arrives = (length >= left) | (left < 2 * shortest)
        length = jnp.where(arrives, left, jnp.minimum(length, (left - shortest) & ~1))
        # Of one part or two: none or the middle between the first point and the last.
        inner = [Point(start.cell + length // 2, jnp.zeros((), dtype))] * (estimate.parts - 1)
        p1 = jax.tree.map(
            lambda a, b: jnp.where(arrives, a, b), target, Point(start.cell + length, jnp.zeros((), dtype))
        )
        stops = [s.at, *map(stop, inner), stop(p1)]
        moved, difference = estimate.attempt(sde, s.carry, stops, between, args)
        error = _error(method.state(s.carry), method.state(moved), difference, chosen)
        tried = (p1.cell - start.cell).astype(dtype) + (p1.part - start.part)
        accept = (error <= 1) | ((length < 2 * shortest) & jnp.isfinite(error))
        coarse = accept & (error > 1)
        # Another try would be this one again.
        stuck = ~jnp.isfinite(error) & ((length <= shortest) | (left < 2 * shortest))
        last, before = s.errors
        factor = SAFETY * (
            error ** (-(PROPORTIONAL + INTEGRAL + DERIVATIVE) / estimate.order)
            * last ** ((PROPORTIONAL + 2 * DERIVATIVE) / estimate.order)
            * before ** (-DERIVATIVE / estimate.order)
        )
        factor = jnp.clip(jnp.where(jnp.isfinite(factor), factor, SHRINK_MOST), SHRINK_MOST, GROW_MOST)
        # What is lost where lengths are rounded down is given back by what safety would leave.
        level = at_most(_level(tried * jnp.where(accept, factor / SAFETY, jnp.minimum(factor / SAFETY, 0.9)), shortest))
        # A step that was cut short to arrive says nothing against the longer one.
        level = jnp.where(accept & arrives, jnp.maximum(level, s.level), level)
        at = estimate.parts * s.accepted
        new = jnp.arange(s.grid.cell.size, dtype=jnp.int32)

        def record(points: Num[Array, " points"], b: Num[Array, ""], *inner: Num[Array, ""]) -> Any:
            points = jnp.where(accept & (new > at), b, points)
            for k, m in enumerate(inner, 1):
                points = points.at[at + k].set(jnp.where(accept, m, points[at + k]))
            return points

        reached = accept & arrives
        carry, at_stop = jax.tree.map(lambda a, b: jnp.where(accept, a, b), (moved, stops[-1]), (s.carry, s.at))
        if meter is not None:
            whole = clock.since(clock.origin, Point(targets.cell[-1], targets.part[-1]))
            meter.reach(*(clock.since(clock.origin, at.point) / whole for at in (s.at, at_stop)))
        return _State(
            carry,
            at_stop,
            level,
            (jnp.where(accept, error, last), jnp.where(accept, last, before)),
            jax.tree.map(record, s.grid, p1, *inner),
            s.outputs.at[s.target].set(jnp.where(reached, at + estimate.parts, s.outputs[s.target])),
            s.target + reached.astype(jnp.int32),
            s.accepted + accept.astype(jnp.int32),
            s.tried + 1,
            s.coarse + coarse.astype(jnp.int32),
            stuck,
        )

    one, zero = jnp.ones((), dtype), jnp.zeros((), jnp.int32)
    n = targets.cell.size
    start = _State(
        method.init(sde, y0, clock.start, args),
        stop(clock.origin),
        at_most(_level(jnp.asarray(dt * (1 + 1e-6), dtype), shortest)),
        (one, one),
        jax.tree.map(lambda x: jnp.full((estimate.parts * chosen.max_steps + 2,), x), clock.origin),
        jnp.full(n, -1, jnp.int32).at[0].set(0),
        zero + 1,
        zero,
        zero,
        zero,
        jnp.zeros((), bool),
    )
    return loops.while_loop(lambda s: (s.target < n) & (s.tried < chosen.max_steps) & ~s.stuck, body, start)


def _error(y: State, end: State, difference: State, chosen: AdaptiveSteps) -> Any:
    """Root mean square of the error in units of what is allowed."""
    squares, count, dtype = [], 0, precision(y)
    for a, b, d in zip(y, end, difference, strict=True):
        allowed = chosen.atol + chosen.rtol * jnp.maximum(jnp.abs(a), jnp.abs(b))
        squares.append(jnp.sum(jnp.square(jnp.abs(d) / allowed)).astype(dtype))
        count += a.size
    # The floor keeps a step without error from an infinite factor.
    return jnp.maximum(jnp.sqrt(jnp.stack(squares).sum() / max(count, 1)), 1e-6)
