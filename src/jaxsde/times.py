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


class Rows(NamedTuple):
    """All steps of a solve, in rows of `substeps` equal ones: rows are what the loop over steps scans.

    - `first`, `t`, `h`: of each row the number of its first step, its start and the length of its steps, (rows,); in
      double precision, by numpy, where they are known. Where steps are unequal, the start and length of each, (rows,
      substeps), of which padding is 0 long.
    - `count`: how many steps a row has, the rest of it being padding; `None` where all rows are full.
    - `outputs`: after how many rows each output time comes, (n + 1,); `None` where that is one row each.
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
        counts = np.full(len(self.first), self.substeps) if self.count is None else self.count
        number = np.arange(self.substeps)[None]
        t, h = self.t[:, None], self.h[:, None]
        rows = np.arange(len(counts) + 1) if self.outputs is None else self.outputs
        after = np.concatenate([[0], np.cumsum(counts)])
        return (t + (number + 1).astype(h.dtype) * h)[number < counts[:, None]], after[rows]


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


def known_times(ts: Times) -> Any:
    """The output times in double precision, by numpy, or traced as they are.

    **Raises:** `TypeError` for what are no numbers; `ValueError` where they are not a vector that strictly increases
    or strictly decreases, or were rounded by the precision in which they are given.
    """
    if isinstance(ts, list | tuple) and not is_known(ts):
        ts = jnp.asarray(ts)
    if np.ndim(ts) != 1 or np.shape(ts)[0] < 2:
        raise ValueError(f"ts has shape {np.shape(ts)}; it is a vector of two or more times, the first that of y0.")
    given = ts if hasattr(ts, "dtype") else np.asarray(ts)
    floating = jnp.issubdtype(given.dtype, jnp.floating)
    if not (floating or jnp.issubdtype(given.dtype, jnp.integer)):
        raise TypeError(
            f"ts is of dtype {given.dtype}; times are real numbers: of dates take the time since the first, such as "
            "(dates - dates[0]) / np.timedelta64(1, 'D')."
        )
    if not is_known(ts):
        return ts
    values = np.asarray(given).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"ts has a time that is not finite: {values}.")
    steps = np.diff(values)
    if not ((steps > 0).all() or (steps < 0).all()):
        at = int(np.argmax(steps * np.sign(values[-1] - values[0]) <= 0))
        raise ValueError(
            f"ts goes from {values[at]} to {values[at + 1]} at entries {at} and {at + 1} (in {given.dtype}); times "
            "strictly increase or strictly decrease: sort them and drop repeats."
        )
    span, largest = abs(values[-1] - values[0]), np.abs(values).max()
    if floating and _is_lost(span, largest, jnp.finfo(given.dtype).eps):
        raise ValueError(
            f"ts runs from {values[0]} to {values[-1]} in {given.dtype}, in which times there are about "
            f"{largest * float(jnp.finfo(given.dtype).eps):.2g} apart: pass ts in double precision by numpy, or the "
            "time since the first."
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

    Intervals of different numbers of steps go into rows of one length, so that one loop runs through them all. Shorter
    rows have less padding but more ends, at which an output is kept whether asked for or not: of the lengths with about
    twice as many rows as intervals at most, the one with the least padding is taken. The average number of steps is
    one of them, so that there is never more padding than steps.
    """
    n = times.size - 1
    intervals = np.diff(times)
    counts = fewest_steps(times, dt, resolution)
    total = int(counts.sum())

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
    h = (intervals / counts)[interval]
    first = (np.cumsum(counts) - counts)[interval] + before
    return Rows(
        first.astype(np.int32),
        times[interval] + before * h,
        h,
        size,
        None if (count == size).all() else count.astype(np.int32),
        None if (rows == 1).all() else np.concatenate([[0], ends]),
        total,
    )


def check_counted(total: int) -> None:
    """Refuses more steps than a number of single precision counts."""
    if total > 2**24:
        raise ValueError(f"There are {total} steps, of which 2^24 are counted; take longer ones, or fewer jumps.")


def _check_total(total: float | int, asked: str) -> None:
    if total >= 2**31:
        raise ValueError(f"{asked} makes {total:.3g} steps between ts[0] and ts[-1]; there are less than 2^31.")
