"""The loop over steps that every solve shares."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, PyTree

from jaxsde import loops
from jaxsde.brownian import BrownianPath, Increment, ReplayedPath, VirtualTree, no_increment
from jaxsde.brownian.virtual_tree import Point
from jaxsde.flat_sde import FlatSDE
from jaxsde.methods import Method
from jaxsde.methods.method import Half, Kept
from jaxsde.times import Rows
from jaxsde.types import Args, Carry, Index, Time

# Steps from which on a loop that may end looks for it by segments.
LONG = 128

# Time, length and Brownian increment of a step.
Where = tuple[Time, Time, Increment]


class Interval(NamedTuple):
    """A row of equal steps: the number of its first step, its start, its step, what the path is sliced to there, and
    how many of its steps there are: all unless said, and the rest, of no length, are padding; and where a tree is asked
    for them, if that is known: the row's start and the steps' length on it. Of unequal steps it has each one's start
    and length, on the tree too.
    """

    index: Any
    t: Any
    h: Any
    path: Any
    count: Any = None
    on_tree: tuple[Point, Point] | None = None


class Scheme(NamedTuple):
    """A method on an equation: what the loop, and every gradient through it, consists of.

    - `step`: `(carry, args, t, h, increment) -> carry`; `inverse` undoes it, where the method has an inverse.
    - `halves`: what both are made of, if they are, with `find` of a carry and `(args, t, h, increment)`.
    - `recovered`: of a carry, what `inverse` finds by itself; `kept`: the carries that it does not find.
    - `output`: `(carry, args)` to what is kept at an output time; `restart`: back again, where that loses nothing.
    - `locate`: `(path, interval, j)` to time, length and Brownian increment of step j of an interval; `path` is `None`
      where the interval has the path's slice. Padding has length 0.
    - `substeps`: steps an interval, padding included.
    - `implicit`: whether a step solves an equation by iterations.
    - `tick`: called with the number of each step of the solve itself, not of those that a gradient computes again.
    - `ended`: of a carry, whether steps change it no more, if that may be.
    """

    step: Callable[..., Any]
    inverse: Callable[..., Any] | None
    recovered: Callable[[Any], Any]
    output: Callable[[Any, Any], Any]
    restart: Callable[[Any], Any] | None
    locate: Callable[[BrownianPath | None, Interval, Index], Where]
    substeps: int
    implicit: bool
    kept: Kept | None = None
    tick: Callable[[Index], None] | None = None
    ended: Callable[[Any], Bool[Array, ""]] | None = None
    halves: tuple[Half, ...] | None = None


def scheme(sde: FlatSDE, method: Method, substeps: int, save: Callable[[Any], Any] | None) -> Scheme:
    def step(carry: Carry, args: Args, t: Time, h: Time, increment: Increment) -> Any:
        return method.step(sde, carry, t, h, increment, args)

    def inverse(carry: Carry, args: Args, t: Time, h: Time, increment: Increment) -> Any:
        assert method.inverse is not None
        return method.inverse(sde, carry, t, h, increment, args)

    def of_sde(half: Half) -> Half:
        return half._replace(find=lambda carry, args, *where: half.find(carry, sde, *where, args))

    def output(carry: Carry, args: Args) -> Any:
        y = sde.unflatten(method.state(carry))
        return y if save is None else save(y)

    def restart(output: PyTree) -> Any:
        return tuple(jax.tree.leaves(output))

    def locate(path: BrownianPath | None, interval: Interval, j: Index) -> Where:
        index, t, h, sliced, count, on_tree = interval
        chosen: Any = sliced if path is None else path
        t, h = (t[j], h[j]) if h.ndim else (t + jnp.asarray(j, t.dtype) * h, h)

        def draw() -> Increment:
            if on_tree is not None:
                of_row = not jnp.ndim(on_tree[0].cell)
                here, number = (on_tree, j) if of_row else (jax.tree.map(lambda x: x[j], on_tree), 0)
                return chosen.step(*here, number, sde.noise_like, method.space_time)
            # Only paths of ours know of areas.
            asked = {"area": True} if method.area else {}
            return chosen.increment(index + j, t, h, sde.noise_like, method.space_time, **asked)

        if count is None:
            return t, h, draw()
        there = j < count
        nothing = no_increment(sde.noise_like, method.space_time, method.area)
        return t, jnp.where(there, h, 0), loops.unless(~there, lambda _: draw(), nothing)

    return Scheme(
        step,
        None if method.inverse is None else inverse,
        method.recovered,
        output,
        restart if save is None and method.carries_state_alone else None,
        locate,
        substeps,
        method.implicit,
        method.kept,
        halves=method.halves and tuple(map(of_sde, method.halves)),
    )


def with_parted(scheme: Scheme, parted: Callable[[Any], Any]) -> Scheme:
    """The scheme of a coupled form, whose outputs are pairs of what they were and whether its solutions parted."""
    return scheme._replace(output=lambda carry, args: (scheme.output(carry, args), parted(carry)))


def without_padding(scheme: Scheme) -> Scheme:
    """The scheme, with nothing computed in steps of no length."""

    def skip(move: Callable[..., Any]) -> Callable[..., Any]:
        def moved(carry: Carry, args: Args, t: Time, h: Time, increment: Increment) -> Any:
            return loops.unless(h == 0, lambda c: move(c, args, t, h, increment), carry)

        return moved

    return scheme._replace(step=skip(scheme.step), inverse=scheme.inverse and skip(scheme.inverse), halves=None)


def intervals(steps: Rows, path: BrownianPath, dtype: np.dtype[Any]) -> tuple[Interval, Any]:
    """The rows of steps, stacked, and the path as far as it is not sliced into them.

    A subclass of a path of ours is a user's own: it is asked for its increments.
    """
    sliced, rest = (path, None) if type(path) is ReplayedPath else (None, path)
    if sliced is not None and steps.count is not None:
        number = np.minimum(steps.first[:, None] + np.arange(steps.substeps), steps.total - 1)
        sliced = jax.tree.map(lambda x: x[number], sliced)
    elif sliced is not None and steps.substeps > 1:
        sliced = jax.tree.map(lambda x: x.reshape(-1, steps.substeps, *x.shape[1:]), sliced)
    on_tree = steps.on_tree if type(path) is VirtualTree else None
    if type(path) is VirtualTree and isinstance(steps.h, np.ndarray):
        on_tree = path.points_of(steps, dtype)
    t, h = jnp.asarray(steps.t, dtype), jnp.asarray(steps.h, dtype)
    return Interval(jnp.asarray(steps.first), t, h, sliced, steps.count, on_tree), rest


def solve(
    scheme: Scheme,
    carry: Carry,
    args: Args,
    path: BrownianPath | None,
    xs: Interval,
    around: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None,
) -> tuple[Any, Any]:
    """Steps through all intervals. Returns the last carry and the outputs, stacked, y0's first.

    Loops run in segments of about the root of their length where `around` says how to run one, and where they may end:
    what is left then costs a glance at each segment, and not at each step.
    """

    def loop(body: Callable[..., Any], carry: Carry, xs: PyTree, length: int, own: Any, still: Any) -> Any:
        """`own` of the loop's carry is the scheme's, and `still(carry, xs)` what a segment is that is left out."""
        size, segment, ended = max(1, math.isqrt(length)), around, scheme.ended
        if ended is not None and length >= LONG:

            def unless_ended(run: Callable[..., Any]) -> Callable[..., Any]:
                run = run if around is None else around(run)
                return lambda carry, xs: loops.cond(loops.any_lane(~ended(own(carry))), run, still, carry, xs)

            size, segment = _divisor(length), unless_ended
        if segment is None:
            return loops.scan(body, carry, xs, length)
        return loops.scan_in_segments(segment, size, body, carry, xs, length)

    def tick(x: Interval, j: Index) -> None:
        if scheme.tick is not None:
            scheme.tick(x.index + (j if x.count is None else jnp.minimum(j, x.count - 1)))

    def step(carry: Carry, x: Interval, j: Index) -> Any:
        tick(x, j)
        return scheme.step(carry, args, *scheme.locate(path, x, j))

    def interval(carry: Carry, x: Interval) -> tuple[Any, Any]:
        if scheme.substeps == 1:
            carry = step(carry, x, 0)
        else:

            def substep(carry: Carry, p: PyTree) -> tuple[Any, None]:
                j, inner = carry
                return (j + 1, step(inner, x._replace(path=p), j)), None

            def left_out(carry: Carry, p: PyTree) -> tuple[Any, None]:
                # All that are to come are left out too.
                tick(x, scheme.substeps - 1)
                return carry, None

            start = jnp.zeros((), jnp.int32), carry
            (_, carry), _ = loop(substep, start, x.path, scheme.substeps, lambda c: c[1], left_out)
        return carry, scheme.output(carry, args)

    def rows_left_out(carry: Carry, xs: Interval) -> tuple[Any, Any]:
        tick(jax.tree.map(lambda x: x[-1], xs), scheme.substeps - 1)
        output = scheme.output(carry, args)
        return carry, jax.tree.map(lambda y: jnp.broadcast_to(y, (xs.t.shape[0], *jnp.shape(y))), output)

    first = scheme.output(carry, args)
    carry, outputs = loop(interval, carry, xs, xs.t.shape[0], lambda carry: carry, rows_left_out)
    return carry, jax.tree.map(lambda a, b: jnp.concatenate([jnp.asarray(a)[None], b]), first, outputs)


def _divisor(length: int) -> int:
    """About the root: of what divides the length, so that no rest of it is a program of its own, where there is one."""
    size = math.isqrt(length)
    return next((n for n in range(size, size // 4, -1) if length % n == 0), size)
