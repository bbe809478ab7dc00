"""The output times, and the steps between them.

Lengths of time are differences of times. Where times are known before the solve they are taken in double precision,
whatever the state's: seconds since 1970 are 128 apart in single precision, and so would the steps be.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxsde.types import Times, TimeVector
from jaxsde.undifferentiated import undifferentiated

GRID_IS_KNOWN = (
    "The derivative by ts is asked for, and the times of steps are known: a solution there is that of an end of a "
    "step, which does not move with ts. Take FixedSteps(n), or times that move with ts."
)


class Rows(NamedTuple):
    """All steps of a solve, in rows of `substeps` equal ones: rows are what the loop over steps scans.

    - `first`, `t`, `h`: of each row the number of its first step, its start and the length of its steps, (rows,); in
      double precision, by numpy, where they are known. Where steps are unequal, the start and length of each, (rows,
      substeps), of which padding is 0 long.
    - `count`: how many steps a row has, the rest of it being padding; `None` where all rows are full.
    - `outputs`: after how many rows each output time comes, (n + 1,), traced where times are; `None` where that is one
      row each.
    - `total`: of all rows together.
    - `on_tree`: of each row its start and the length of its steps on a tree, where they are found there.
    """

    first: Any
    t: Any
    h: Any
    substeps: int
    count: Any
    outputs: Any
    total: int
    on_tree: Any = None

    def ends(self) -> tuple[Any, Int[np.ndarray, " outputs"]]:
        """The end of every step, padding aside, (total,); and after how many steps each output time comes."""
        counts, number = self.counts(), np.arange(self.substeps)[None]
        t, h = (self.t, self.h) if self.unequal else (self.t[:, None], self.h[:, None])
        taken = np.ones((), h.dtype) if self.unequal else (number + 1).astype(h.dtype)
        rows = np.arange(len(counts) + 1) if self.outputs is None else self.outputs
        after = np.concatenate([[0], np.cumsum(counts)])
        return (t + taken * h)[number < counts[:, None]], after[rows]

    @property
    def unequal(self) -> bool:
        """Whether the steps of a row have lengths of their own."""
        return bool(np.ndim(self.h) == 2)

    def counts(self) -> Any:
        """How many steps each row has."""
        return np.full(len(self.first), self.substeps) if self.count is None else self.count


def is_known(x: object) -> bool:
    """Whether nothing of x, which may be a list, is traced."""
    return not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(x))


def lengths(ts: Times, dtype: np.dtype[Any]) -> Any:
    """The lengths of the intervals of `ts`, (n,).

    Of traced times nobody can be told before the solve. Their lengths are NaN where they neither strictly increase nor
    strictly decrease, and where their precision has lost a thousandth of the span.
    """
    if is_known(ts):
        return jnp.asarray(np.diff(np.asarray(ts, np.float64)), dtype)
    traced = jnp.asarray(ts)
    floating = jnp.issubdtype(traced.dtype, jnp.floating)
    # Differences of unsigned integers would wrap, and of those in half precision be rounded.
    h = jnp.diff(traced.astype(np.result_type(traced.dtype, dtype) if floating else int)).astype(dtype)
    increase, decrease = traced[1:] > traced[:-1], traced[1:] < traced[:-1]
    right = (increase.all() | decrease.all()) & (increase == (h > 0)).all()
    if floating:
        span, largest = jnp.abs(traced[-1] - traced[0]), jnp.abs(traced).max()
        right &= ~_is_lost(span, largest, jnp.finfo(traced.dtype).eps)
    return jnp.where(right, h, jnp.nan)


def _is_lost(span: float | Array, largest: float | Array, eps: float | np.floating) -> Any:
    """Whether times far from zero are too coarse for a thousandth of the span."""
    return (largest > 2 * span) & (largest * float(eps) > 1e-3 * span)


def known_times(ts: Times, name: str = "ts") -> Any:
    """The output times, or those of that name, in double precision, by numpy, or traced as they are.

    **Raises:** `TypeError` for what are no numbers; `ValueError` where they are not a vector that strictly increases
    or strictly decreases, or were rounded by the precision in which they are given.
    """
    if isinstance(ts, list | tuple) and not is_known(ts):
        ts = jnp.asarray(ts)
    if np.ndim(ts) != 1 or np.shape(ts)[0] < 2:
        first = ", the first that of y0" if name == "ts" else ""
        raise ValueError(f"{name} has shape {np.shape(ts)}; it is a vector of two or more times{first}.")
    given = ts if hasattr(ts, "dtype") else np.asarray(ts)
    floating = jnp.issubdtype(given.dtype, jnp.floating)
    if not (floating or jnp.issubdtype(given.dtype, jnp.integer)):
        raise TypeError(
            f"{name} is of dtype {given.dtype}; times are real numbers: of dates take the time since the first, such "
            "as (dates - dates[0]) / np.timedelta64(1, 'D')."
        )
    if not is_known(ts):
        return ts
    values = np.asarray(given).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"{name} has a time that is not finite: {values}.")
    steps = np.diff(values)
    if not ((steps > 0).all() or (steps < 0).all()):
        at = int(np.argmax(steps * np.sign(values[-1] - values[0]) <= 0))
        raise ValueError(
            f"{name} goes from {values[at]} to {values[at + 1]} at entries {at} and {at + 1} (in {given.dtype}); times "
            "strictly increase or strictly decrease: sort them and drop repeats."
        )
    span, largest = abs(values[-1] - values[0]), np.abs(values).max()
    if floating and _is_lost(span, largest, jnp.finfo(given.dtype).eps):
        raise ValueError(
            f"{name} runs from {values[0]} to {values[-1]} in {given.dtype}, in which times there are about "
            f"{largest * float(jnp.finfo(given.dtype).eps):.2g} apart: pass {name} in double precision by numpy, or "
            "the time since the first."
        )
    return values


def resolution(ts: Times) -> float:
    """How far apart times are in the precision in which `ts` is given."""
    dtype = getattr(ts, "dtype", np.dtype(np.float64))
    if not is_known(ts) or not jnp.issubdtype(dtype, jnp.floating):
        return 0.0
    return float(np.abs(np.asarray(ts).astype(np.float64)).max()) * float(jnp.finfo(dtype).eps)


def divide_evenly(ts: TimeVector, number: int, dtype: np.dtype[Any]) -> Rows:
    """Each interval of `ts` in the same number of equal steps, so that there are `number` or more in all."""
    n = np.shape(ts)[0] - 1
    each = -(-number // n)
    _check_total(n * each, f"number={number}")
    h = np.diff(ts) if is_known(ts) else lengths(ts, dtype)
    return Rows(np.arange(n, dtype=np.int32) * each, ts[:-1], h / each, each, None, None, n * each)


def fewest_steps(times: Float[np.ndarray, " n"], dt: float, resolution: float = 0.0) -> Int[np.ndarray, " intervals"]:
    """Into how many equal steps, no longer than `dt`, each interval of `times` is divided."""
    # A ratio such as 0.1 / 0.01 is a rounding error above a whole number.
    counts = np.maximum(1.0, np.ceil((np.abs(np.diff(times)) * (1 - 1e-6) - resolution) / dt))
    _check_total(counts.sum(), f"dt={dt}")
    return counts.astype(np.int64)


def divide(times: Float[np.ndarray, " n"], dt: float, resolution: float = 0.0) -> Rows:
    """Each interval of `times` in the fewest equal steps that are no longer than `dt`.

    The rounding of times that were given to a `resolution` makes no step more.
    """
    counts = fewest_steps(times, dt, resolution)
    size, interval, before, count, outputs = _packed(counts)
    h = (np.diff(times) / counts)[interval]
    return Rows(
        _first(counts, interval, before),
        times[interval] + before * h,
        h,
        size,
        count,
        outputs,
        int(counts.sum()),
    )


def step_at(times: Times, ts: TimeVector, resolution_of_ts: float, dtype: np.dtype[Any]) -> Rows:
    """A step between each two of `times`, from the first output time to the last.

    **Raises:** `ValueError` where these are not among them; where either is traced, lengths are NaN then.
    """
    if not (is_known(times) and is_known(ts)):
        return _step_at_traced(times, ts, dtype)
    grid = known_times(times, "times")
    sign = np.sign(ts[-1] - ts[0])
    if sign * (grid[-1] - grid[0]) < 0:
        raise ValueError(
            f"times of steps run from {grid[0]} to {grid[-1]}, and ts from {ts[0]} to {ts[-1]}, the other way: pass "
            "times[::-1]."
        )
    at = _nearest(sign * grid, sign * ts, np)
    # Less than between two output times, so that they are not taken for one.
    rounding = min(resolution_of_ts + resolution(times), float(np.abs(np.diff(ts)).min()) / 4)
    off = np.abs(grid[at] - ts) > rounding
    if off.any():
        k = int(np.argmax(off))
        if not min(grid[0], grid[-1]) <= ts[k] <= max(grid[0], grid[-1]):
            raise ValueError(
                f"times of steps run from {grid[0]} to {grid[-1]}, and ts from {ts[0]} to {ts[-1]}; they have to cover "
                "all of ts."
            )
        raise ValueError(
            f"ts has {ts[k]} at entry {k}, which is none of the times of steps: the nearest is {grid[at[k]]}. A "
            "solution is known at the ends of steps: put ts in, as in times=np.union1d(times, ts)."
        )
    grid, counts = grid[at[0] : at[-1] + 1], np.diff(at)
    size, interval, before, count, outputs = _packed(counts)
    first = _first(counts, interval, before)
    number = first[:, None] + np.arange(size)
    there = np.arange(size) < (np.full(first.size, size) if count is None else count)[:, None]
    number = np.minimum(number, counts.sum() - 1)
    t, h = grid[number], np.where(there, np.diff(grid)[number], 0.0)
    if size == 1:
        t, h = t[:, 0], h[:, 0]
    return Rows(first, t, h, size, count, outputs, int(counts.sum()))


def _step_at_traced(times: Times, ts: TimeVector, dtype: np.dtype[Any]) -> Rows:
    """Each step is a row, since nobody knows how many of them an interval of `ts` has."""
    h = lengths(times, dtype)
    precise = np.result_type(jnp.asarray(times).dtype, jnp.asarray(ts).dtype, dtype)
    if is_known(times):
        ts = undifferentiated(jnp.asarray(ts), GRID_IS_KNOWN)
    grid, outputs = (jax.lax.stop_gradient(jnp.asarray(x, precise)) for x in (times, ts))
    n, sign = grid.size - 1, jnp.sign(grid[-1] - grid[0])
    at = _nearest(sign * grid, sign * outputs, jnp)
    # Sums of lengths are off by more than a rounding of each, which is far less than a step.
    beside = jnp.abs(jnp.diff(grid))
    beside = jnp.minimum(jnp.append(beside, beside[-1]), jnp.insert(beside, 0, beside[0]))
    eps = jnp.finfo(precise).eps
    summed = jnp.minimum(1e-3 * beside[at], n * eps * jnp.abs(grid).max())
    near = jnp.abs(grid[at] - outputs) <= summed + 8 * eps * jnp.abs(outputs)
    right = near.all() & (at[0] == 0) & (at[-1] == n) & (jnp.diff(at) > 0).all()
    right &= jnp.isfinite(lengths(ts, dtype)).all()
    each = outputs.size == grid.size
    h, at = jnp.where(right, h, jnp.nan), jnp.where(right, at, n).at[0].set(0)
    return Rows(np.arange(n, dtype=np.int32), times[:-1], h, 1, None, None if each else at, n)


def _nearest(grid: Any, times: Any, xp: Any) -> Any:
    """The place of the nearest of increasing times, by numpy or JAX."""
    above = xp.clip(xp.searchsorted(grid, times), 1, grid.size - 1)
    return xp.where(times - grid[above - 1] < grid[above] - times, above - 1, above)


def _packed(counts: Int[np.ndarray, " intervals"]) -> tuple[int, Any, Any, Any, Any]:
    """Rows of one length for intervals of so many steps: that length, and of each row its interval, how many steps of
    that are before, and how many it has (`None` where it is full); and after how many rows each output time comes.

    Intervals of different numbers of steps go into rows of one length, so that one loop runs through them all. Shorter
    rows have less padding but more ends, at which an output is kept whether asked for or not: of the lengths with about
    twice as many rows as intervals at most, the one with the least padding is taken. The average number of steps is
    one of them, so that there is never more padding than steps.
    """
    n, total = counts.size, int(counts.sum())
    rows_allowed = 2 * n + 16
    sizes = np.unique(np.linspace(-(-total // rows_allowed), -(-total // n), 200).astype(np.int64))
    rows_of = np.asarray([(-(-counts // size)).sum() for size in sizes])
    size = int(sizes[np.argmin(np.where(rows_of <= rows_allowed, rows_of * sizes, np.inf))])
    if (counts == counts[0]).all():
        size = int(counts[0])

    rows = -(-counts // size)
    ends = np.cumsum(rows)
    interval = np.repeat(np.arange(n), rows)
    before = size * (np.arange(rows.sum()) - (ends - rows)[interval])
    count = np.minimum(size, counts[interval] - before)
    full = None if (count == size).all() else count.astype(np.int32)
    return size, interval, before, full, None if (rows == 1).all() else np.concatenate([[0], ends])


def _first(counts: Int[np.ndarray, " intervals"], interval: Any, before: Any) -> Any:
    """The number of the first step of each row."""
    return ((np.cumsum(counts) - counts)[interval] + before).astype(np.int32)


def check_counted(total: int) -> None:
    """Refuses more steps than a number of single precision counts."""
    if total > 2**24:
        raise ValueError(f"There are {total} steps, of which 2^24 are counted; take longer ones, or fewer jumps.")


def _check_total(total: float | int, asked: str) -> None:
    if total >= 2**31:
        raise ValueError(f"{asked} makes {total:.3g} steps between ts[0] and ts[-1]; there are less than 2^31.")
