"""A Brownian motion that can be asked at any time, in any order, and stores nothing.

The interval is halved again and again. The value in the middle of a cell, given those at its ends, is their mean plus
a normal of variance length / 4, drawn from the key and the cell's number alone: so W(t) is a function of the key and t,
and costs one draw a level. Below the tolerance the walk stops, at a cell of length c, and W at the fraction a of it is
drawn from the Brownian bridge, (1 - a) W_left + a W_right + sqrt(a (1 - a) c) Z, with one Z for the whole cell.

With space-time areas a cell has its increment and its area, and both are divided, by two normals, as `Stretch` says. No
walk of this depth could give areas to the path above: there the area of a cell is a sum over all the normals beneath
it. So a tree with areas is another path, and which one a tree is it says by `space_time`. Between two times it joins
what is right of the first and what is left of the second in the cells that part them: all of it is as short as the
stretch between them, so nothing is lost to rounding.
"""

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree, UInt32

from jaxsde import loops
from jaxsde.brownian.increment import Increment
from jaxsde.brownian.keys import derive_key, fold_in
from jaxsde.brownian.normals import normals
from jaxsde.brownian.stretch import Stretch, no_stretch
from jaxsde.flat_sde import add, scale
from jaxsde.times import Rows
from jaxsde.types import Index, Leaves, Shapes, TimeLike, TimeVector


def _choose(which: Bool[Array, ""], a: PyTree, b: PyTree) -> Any:
    return jax.tree.map(lambda x, y: jnp.where(which, x, y), a, b)


class Point(NamedTuple):
    """A time on a tree: which of its smallest cells, an integer that is free of rounding, and which part of that."""

    cell: Any
    part: Any

    def moved(self, n: Index, length: "Point") -> "Point":
        part = self.part + jnp.asarray(n, self.part.dtype) * length.part
        whole = jnp.floor(part)
        return Point(self.cell + n * length.cell + whole.astype(jnp.int32), part - whole)


class Place(NamedTuple):
    """A point, and W there less W(t0), which is walked to but once; `None` on a tree with areas."""

    point: Point
    W: Leaves | None


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class VirtualTree:
    """A Brownian path on [t0, t1], the same one on every grid: for adaptive steps, and to compare step sizes.

    Its law is exact at the dyadic points, and so is that of any increments between times of different cells. Within
    one cell, a stretch of time no longer than `tol`, all times share one normal, so that increments there have the
    right variance from the cell's ends only: steps that begin and end inside one are refused, or NaN where times are
    traced. A step costs log2((t1 - t0) / tol) draws: where the grid is fixed
    beforehand `CounterPath` is far cheaper. Gradients do not flow to the times through it.

    **Arguments:**

    - `rng`: a JAX key, typed or raw, of any generator. What else is drawn from it is independent of the path.
    - `t0`, `t1`: the interval, t0 < t1, concrete numbers. A solve may run through it in either direction.
    - `tol`: the length at which halving stops, in units of time. In single precision times near one are 6e-8 apart:
      there is no use in less than 2^-20 of the span.
    - `space_time`: whether it has space-time areas, which those of `jaxsde.METHODS` need whose `space_time` is true.
      With them it is another path, of twice as many draws: one and the same for every method that is solved on it.

    **Raises:** `TypeError` or `ValueError` for an interval, a tolerance or a `space_time` that is not as above.
    """

    rng: Any
    t0: Any = dataclasses.field(metadata={"static": True})
    t1: Any = dataclasses.field(metadata={"static": True})
    tol: Any = dataclasses.field(metadata={"static": True})
    space_time: bool = dataclasses.field(default=False, metadata={"static": True})

    def __post_init__(self) -> None:
        if any(isinstance(x, jax.core.Tracer) for x in (self.t0, self.t1, self.tol)):
            raise TypeError(
                "VirtualTree got t0, t1 or tol traced; its depth follows from them: pass concrete numbers (floats)."
            )
        if not isinstance(self.space_time, bool):
            raise TypeError(f"VirtualTree got space_time={self.space_time!r}; it is True or False.")
        if any(map(np.iscomplexobj, (self.t0, self.t1, self.tol))):
            raise TypeError(f"VirtualTree got t0={self.t0}, t1={self.t1}, tol={self.tol}; times are real numbers.")
        for name in ("t0", "t1", "tol"):
            object.__setattr__(self, name, float(getattr(self, name)))
        if not -math.inf < self.t0 < self.t1 < math.inf:
            raise ValueError(
                f"VirtualTree got the interval from {self.t0} to {self.t1}; t0 is before t1 and both are finite, also "
                "for a solve that runs from t1 to t0."
            )
        span = self.t1 - self.t0
        if not span * 2.0**-30 <= self.tol <= span:
            raise ValueError(
                f"VirtualTree got tol={self.tol}; it is a length of time between 2^-30 of the span and the span, "
                f"{span}: 2^-14 of it serves most solves."
            )

    @property
    def depth(self) -> int:
        """How many times the interval is halved."""
        return math.ceil(math.log2((self.t1 - self.t0) / self.tol))

    @property
    def has_space_time(self) -> bool:
        return self.space_time

    def increment(self, k: Index, t: TimeLike, h: TimeLike, like: Shapes, space_time: bool = False) -> Increment:
        """NaN where both ends lie inside one cell.

        **Raises:** `ValueError` where areas are asked for and the tree has none.
        """
        start, end = self._point(t), self._point(t + h)
        wrong = (h != 0) & (start.cell == end.cell) & (start.part * end.part > 0)
        end = Point(end.cell, jnp.where(wrong, jnp.nan, end.part))
        return self.between(self.place(start, like), self.place(end, like), like, space_time)

    def step(self, start: Point, length: Point, j: Index, like: Shapes, space_time: bool = False) -> Increment:
        """The increment over the j-th of steps of a `length`."""
        a, b = (self.place(start.moved(j + i, length), like) for i in (0, 1))
        return self.between(a, b, like, space_time)

    def place(self, point: Point, like: Shapes) -> Place:
        return Place(point, None if self.space_time else self.at(point, like))

    def between(self, start: Place, end: Place, like: Shapes, space_time: bool = False) -> Increment:
        """The increment from one place to another, in either direction."""
        if start.W is not None and end.W is not None:
            if space_time:
                raise ValueError(
                    "This VirtualTree has no space-time areas; pass VirtualTree(..., space_time=True), which is "
                    "another path than without."
                )
            return Increment(add(end.W, scale(-1, start.W)))
        a, b = (self._in_a_cell(place.point) for place in (start, end))
        back = (b.cell < a.cell) | ((b.cell == a.cell) & (b.part < a.part))
        stretch = self._stretch(_choose(back, b, a), _choose(back, a, b), like)
        # How far the path is from its chord on average does not depend on the direction.
        return Increment(scale(jnp.where(back, -1, 1), stretch.dW), stretch.H if space_time else None)

    def points_of(self, steps: Rows, dtype: np.dtype[Any]) -> tuple[Point, Point]:
        """Where rows of steps start on the tree, and how long their steps are there, by numpy in double precision.

        **Raises:** `ValueError` where steps are so short that two of their ends are inside of one cell.
        """
        cells = 2.0**self.depth / (self.t1 - self.t0)
        count = steps.counts()
        row = np.repeat(np.arange(count.size), count)
        number = np.arange(row.size) - steps.first[row]
        if steps.unequal:
            starts, end = steps.t[row, number], steps.t[-1, count[-1] - 1] + steps.h[-1, count[-1] - 1]
        else:
            starts, end = steps.t[row] + number * steps.h[row], steps.t[-1] + count[-1] * steps.h[-1]
        places = self.places(np.append(starts, end))
        inside = places[places != np.floor(places)]
        shared = np.diff(np.floor(inside)) == 0
        if shared.any():
            shortest = float(np.abs(steps.h[steps.h != 0]).min())
            at = self.t0 + float(inside[int(np.argmax(shared))]) / cells
            advice = (
                f"take tol={shortest:.6g} or less, or steps and output times that are further apart"
                if shortest >= (self.t1 - self.t0) * 2.0**-30
                else "take steps and output times that are further apart"
            )
            raise ValueError(
                f"brownian is a VirtualTree with tol={self.tol}, and steps as short as {shortest:.6g} (near t = "
                f"{at:.6g}) begin and end between two of its points: their increments would have the wrong law; "
                f"{advice}."
            )
        first = np.concatenate([[0], np.cumsum(count)[:-1]])
        if steps.unequal:
            first = np.minimum(first[:, None] + np.arange(steps.substeps), row.size - 1)
        lengths = np.diff(places)[first] if steps.substeps == 1 or steps.unequal else steps.h * cells
        whole = np.round(lengths)
        lengths = np.where(np.abs(lengths - whole) > 1e-9, lengths, whole)

        def point(place: np.ndarray) -> Point:
            return Point(jnp.asarray(np.floor(place), jnp.int32), jnp.asarray(place - np.floor(place), dtype))

        return point(places[first]), point(lengths)

    def places(self, times: TimeVector) -> Any:
        """Times in cells from t0, by numpy. A time that misses the end of a cell by rounding is meant to be there."""
        cells = 2.0**self.depth / (self.t1 - self.t0)
        places = np.clip((times - self.t0) * cells, 0, 2.0**self.depth)
        rounding = 4 * np.finfo(np.float64).eps * (np.abs(times).max() + abs(self.t0)) * cells + 1e-9
        return np.where(np.abs(places - np.round(places)) > rounding, places, np.round(places))

    def _point(self, t: TimeLike) -> Point:
        fraction = (jax.lax.stop_gradient(jnp.asarray(t)) - self.t0) / (self.t1 - self.t0)
        # A time on the edge may be a rounding error outside.
        inside = jnp.abs(fraction - 0.5) <= 0.5 + 8 * jnp.finfo(fraction.dtype).eps
        place = jnp.clip(fraction, 0.0, 1.0) * 2.0**self.depth
        cell = jnp.floor(jnp.where(inside, place, 0.0))
        return Point(cell.astype(jnp.int32), jnp.where(inside, place - cell, jnp.nan))

    def value(self, t: TimeLike, like: Shapes) -> Leaves:
        """W(t) - W(t0), for each leaf of `like`; NaN outside the interval."""
        return self.at(self._point(t), like)

    def at(self, point: Point, like: Shapes) -> Leaves:
        """W - W(t0) at a point of the tree."""
        point = self._in_a_cell(point)
        if self.space_time:
            return self._stretch(jax.tree.map(jnp.zeros_like, point), point, like).dW
        key, (cell, part) = loops.vary_alike((derive_key(self.rng, "jaxsde.VirtualTree"), point))

        def bridge(
            node: UInt32[Array, ""], a: Float[Array, ""], length: Float[Array, ""], left: Leaves, right: Leaves
        ) -> Leaves:
            deviation = jnp.sqrt(a * (1 - a) * length)
            z = normals(fold_in(key, node), like)
            return add(scale(1 - a, left), scale(a, right), scale(deviation, z))

        def halve(level: Index, inner: PyTree) -> Any:
            # A cell's number is one bit for each time that the right half was taken, after a leading one.
            node, length, left, right = inner
            middle = bridge(node, jnp.asarray(0.5, part.dtype), length, left, right)
            second = self._is_second(cell, level)
            left, right = _choose(second, middle, left), _choose(second, right, middle)
            return 2 * node + second.astype(node.dtype), length / 2, left, right

        span = self.t1 - self.t0
        end = scale(math.sqrt(span), normals(fold_in(key, 0), like))
        root = (jnp.ones((), jnp.uint32), jnp.full_like(part, span), scale(0, end), end)
        node, length, left, right = loops.fori_loop(0, self.depth, halve, root)
        return bridge(node, part, length, left, right)

    def _stretch(self, start: Point, end: Point, like: Shapes) -> Stretch:
        """From a point in a cell to one that is not before it; NaN where both are inside of one cell.

        The walk is to both ends at once. Its last division is that of the cells where it ends, at the points.
        """
        key, start, end = loops.vary_alike((derive_key(self.rng, "jaxsde.VirtualTree with areas"), start, end))
        pairs = tuple(None if x is None else jax.ShapeDtypeStruct((2, *x.shape), x.dtype) for x in like)

        def descend(of_end: bool, point: Point, inner: PyTree, level: Index, parted: Bool[Array, ""]) -> Any:
            node, cell, between = inner
            last = level == self.depth
            a = jnp.where(last, point.part, jnp.asarray(0.5, point.part.dtype))
            left, right = cell.divided(a, normals(fold_in(key, node), pairs))
            second = jnp.where(last, of_end, self._is_second(point.cell, level))
            # On the way to the start what is right of it is between the two, on the way to the end what is left.
            joined = between.followed_by(left) if of_end else right.followed_by(between)
            between = _choose(parted & (second == of_end), joined, between)
            return 2 * node + second.astype(node.dtype), _choose(second, right, left), between

        def halve(level: Index, inner: PyTree) -> Any:
            to_start, to_end = inner
            parted = (to_start[0] != to_end[0]) | (level == self.depth)
            return descend(False, start, to_start, level, parted), descend(True, end, to_end, level, parted)

        span = jnp.full_like(start.part, self.t1 - self.t0)
        z = normals(fold_in(key, 0), pairs)
        dW, H = (tuple(None if x is None else x[k] for x in z) for k in (0, 1))
        whole = Stretch(span, scale(jnp.sqrt(span), dW), scale(jnp.sqrt(span / 12), H))
        none = no_stretch(like, jnp.zeros_like(span))
        root = (jnp.ones((), jnp.uint32), whole, none)
        (_, _, tail), (_, _, head) = loops.fori_loop(0, self.depth + 1, halve, (root, root))
        unknown = jax.tree.map(lambda x: jnp.full_like(x, jnp.nan), none)
        inside = _choose(start.part == 0, head, _choose(end.part == 1, tail, unknown))
        inside = _choose(start.part == end.part, none, inside)
        return _choose(start.cell == end.cell, inside, tail.followed_by(head))

    def _in_a_cell(self, point: Point) -> Point:
        """The end of the interval is that of its last cell; so are places that are a rounding error outside."""
        past, before = point.cell >= 2**self.depth, point.cell < 0
        cell = jnp.clip(point.cell, 0, 2**self.depth - 1)
        part = jnp.where(past, 1.0, jnp.where(before, 0.0, point.part)).astype(point.part.dtype)
        return Point(cell, jnp.where(jnp.isnan(point.part), point.part, part))

    def _is_second(self, cell: Int[Array, ""], level: Index) -> Any:
        """Whether it lies in the right half of its cell of that level."""
        return ((cell >> (self.depth - 1 - level)) & 1) == 1
