"""Adaptive steps: which grid keeps the error of each step within a tolerance.

A step is taken once whole and once in two halves over the same virtual tree; the difference estimates its error. The
length of the next step follows from the last three errors by a PID controller (Söderlind, 2003). Rejected steps do not
bias the noise, since the tree answers for the same path again. The halves make up the grid that is found, and the
solution and its gradient are those of a solve on that grid: the grid itself is not differentiated.

Halves shorter than the tree's tolerance would lie in one of its cells, where increments have the wrong law. So no step
is shorter than two tolerances, unless output times are nearer to each other; a step that cannot be divided into two of
that length is taken whatever its error, and reported.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxsde import loops
from jaxsde.brownian import CounterPath, Increment, VirtualTree
from jaxsde.compiled import Same, once
from jaxsde.methods import Method
from jaxsde.reports import report_coarse
from jaxsde.sde import SDE, Leaves, add, precision, scale
from jaxsde.times import Steps

PROPORTIONAL, INTEGRAL, DERIVATIVE = 0.1, 0.3, 0.0
SAFETY, SHRINK_MOST, GROW_MOST = 0.9, 0.2, 5.0


class Tolerance(NamedTuple):
    """An error of `atol + rtol |y|` a step is allowed; `max_steps` bounds the steps tried, rejected ones among them."""

    rtol: float
    atol: float
    max_steps: int


class Grid(NamedTuple):
    """Times, (2 max_steps + 2,), padded with the last one; where the output times are among them; what it took; how
    many steps came down to the resolution of the path; and which output time was the last that was reached.

    Where that is not the last of all, a step of unknown length, NaN, comes after those that were accepted: what is
    after it, and every gradient through it, is NaN.
    """

    times: Any
    outputs: Any
    accepted: Any
    tried: Any
    coarse: Any
    reached: Any

    @property
    def steps(self) -> Steps:
        n = self.times.size - 1
        first = jnp.arange(n, dtype=jnp.int32)
        failed = (self.reached < self.outputs.size - 1).astype(jnp.int32)
        count = (first < 2 * self.accepted + failed).astype(jnp.int32)
        return Steps(first, self.times[:-1], jnp.diff(self.times), 1, count, self.outputs, n)


class _State(NamedTuple):
    carry: Any
    W: Any
    t: Any
    h: Any
    errors: tuple[Any, Any]
    times: Any
    outputs: Any
    target: Any
    accepted: Any
    tried: Any
    coarse: Any


def find_grid(
    sde: SDE,
    method: Method,
    y0: Any,
    ts: Any,
    args: Any,
    path: VirtualTree | CounterPath,
    dt: Any,
    tolerance: Tolerance,
) -> Grid:
    """The grid, from a first step of `dt`."""

    # Both halves of a step as long as the tree's tolerance at least, and times told from each other.
    shortest = float(jnp.finfo(ts.dtype).eps) * 8 * jnp.maximum(jnp.abs(ts[0]), jnp.abs(ts[-1]))
    if isinstance(path, VirtualTree):
        shortest = jnp.maximum(shortest, 2 * path.tol)

    kind = sde.without_functions()

    def run(functions: Any, args: Any, *inputs: Any) -> Grid:
        def search(y0: Any, ts: Any, path: Any, dt: Any, shortest: Any) -> Grid:
            return _search(kind.of(functions), method, y0, ts, args, path, dt, shortest, tolerance)

        # What f and g close over, args among it, becomes an input too, so that no derivative enters the loop.
        search_, closed_over = jax.closure_convert(search, *inputs)
        return search_(*jax.lax.stop_gradient((*inputs, *closed_over)))

    inputs = (y0, ts, path, jnp.asarray(dt, ts.dtype), jnp.asarray(shortest, ts.dtype))
    static = ("find_grid", sde.kind, Same(method), tolerance)
    grid = once(run, static, sde.traceable(jax.ShapeDtypeStruct((), ts.dtype)), args, *inputs)
    report_coarse(grid.coarse, shortest)
    return grid


def _search(
    sde: SDE,
    method: Method,
    y0: Any,
    ts: Any,
    args: Any,
    path: VirtualTree | CounterPath,
    dt: Any,
    shortest: Any,
    tolerance: Tolerance,
) -> Grid:
    order = method.strong_order[sde.noise] + 0.5
    sign = jnp.sign(ts[-1] - ts[0])

    def W(t: Any) -> Leaves:
        return path.value(t, sde.noise_like) if isinstance(path, VirtualTree) else sde.noise_like

    def step(carry: Any, t0: Any, t1: Any, W0: Leaves, W1: Leaves) -> Any:
        return method.step(sde, carry, t0, t1 - t0, Increment(add(W1, scale(-1, W0))), args)

    def body(s: _State) -> _State:
        target = ts[s.target]
        left = jnp.abs(target - s.t)
        arrives = (s.h >= left * (1 - 1e-4)) | (left < 2 * shortest)
        t1 = jnp.where(arrives, target, s.t + sign * jnp.minimum(s.h, left - shortest))
        middle = 0.5 * (s.t + t1)
        W_middle, W1 = W(middle), W(t1)
        whole = step(s.carry, s.t, t1, s.W, W1)
        halves = step(step(s.carry, s.t, middle, s.W, W_middle), middle, t1, W_middle, W1)
        error = _error(method.state(s.carry), method.state(whole), method.state(halves), tolerance)
        tried = jnp.abs(t1 - s.t)
        accept = (error <= 1) | ((tried < 2 * shortest) & jnp.isfinite(error))
        # Of lengths near the resolution of the times, an eighth may be rounding.
        coarse = accept & ((error > 1) | (tried < 0.75 * shortest))
        last, before = s.errors
        factor = SAFETY * (
            error ** (-(PROPORTIONAL + INTEGRAL + DERIVATIVE) / order)
            * last ** ((PROPORTIONAL + 2 * DERIVATIVE) / order)
            * before ** (-DERIVATIVE / order)
        )
        factor = jnp.clip(jnp.where(jnp.isfinite(factor), factor, SHRINK_MOST), SHRINK_MOST, GROW_MOST)
        # A step that was cut short to arrive says nothing against the longer one.
        h = jnp.where(accept, jnp.maximum(tried * factor, jnp.where(arrives, s.h, 0)), tried * jnp.minimum(factor, 0.9))
        h = jnp.maximum(h, shortest)
        at = 2 * s.accepted
        times = jnp.where(accept & (jnp.arange(s.times.size, dtype=jnp.int32) > at), t1, s.times)
        times = times.at[at + 1].set(jnp.where(accept, middle, times[at + 1]))
        reached = accept & arrives
        carry, W_reached = jax.tree.map(lambda a, b: jnp.where(accept, a, b), (halves, W1), (s.carry, s.W))
        return _State(
            carry,
            W_reached,
            jnp.where(accept, t1, s.t),
            h,
            (jnp.where(accept, error, last), jnp.where(accept, last, before)),
            times,
            s.outputs.at[s.target].set(jnp.where(reached, at + 2, s.outputs[s.target])),
            s.target + reached.astype(jnp.int32),
            s.accepted + accept.astype(jnp.int32),
            s.tried + 1,
            s.coarse + coarse.astype(jnp.int32),
        )

    one, zero = jnp.ones_like(ts[0]), jnp.zeros((), jnp.int32)
    start = _State(
        method.init(sde, y0, ts[0], args),
        W(ts[0]),
        ts[0],
        jnp.maximum(dt, shortest),
        (one, one),
        jnp.full((2 * tolerance.max_steps + 2,), ts[0]),
        jnp.full(ts.shape, -1, jnp.int32).at[0].set(0),
        zero + 1,
        zero,
        zero,
        zero,
    )
    end = loops.while_loop(lambda s: (s.target < ts.size) & (s.tried < tolerance.max_steps), body, start)
    next_ = 2 * end.accepted + 1
    times = end.times.at[next_].set(jnp.where(end.target < ts.size, jnp.nan, end.times[next_]))
    outputs = jnp.where(end.outputs < 0, next_, end.outputs)
    return Grid(times, outputs, end.accepted, end.tried, end.coarse, end.target - 1)


def _error(y: Any, whole: Any, halves: Any, tolerance: Tolerance) -> Any:
    """Root mean square of the error in units of what is allowed."""
    squares, count, dtype = [], 0, precision(y)
    for a, b, c in zip(y, whole, halves, strict=True):
        allowed = tolerance.atol + tolerance.rtol * jnp.maximum(jnp.abs(a), jnp.abs(c))
        squares.append(jnp.sum(jnp.square((b - c) / allowed)).astype(dtype))
        count += a.size
    # The floor keeps a step without error from an infinite factor.
    return jnp.maximum(jnp.sqrt(jnp.stack(squares).sum() / max(count, 1)), 1e-6)
