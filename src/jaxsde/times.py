"""The output times, and the steps between them.

Lengths of time are differences of times. Where times are known before the solve they are taken in double precision,
whatever the state's: seconds since 1970 are 128 apart in single precision, and so would the steps be.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Steps(NamedTuple):
    """All steps of a solve, in rows of `substeps` equal ones: rows are what the loop over steps scans.

    - `first`, `t`, `h`: of each row the number of its first step, its start and the length of its steps, (rows,).
    - `count`: how many steps a row has, the rest of it being padding; `None` where all rows are full.
    - `outputs`: after how many rows each output time comes, (n + 1,); `None` where that is one row each.
    - `total`: of all rows together.
    """

    first: Any
    t: Any
    h: Any
    substeps: int
    count: Any
    outputs: Any
    total: int


def is_known(x: Any) -> bool:
    return not isinstance(x, jax.core.Tracer)


def lengths(ts: Any, dtype: Any) -> Any:
    """The lengths of the intervals of `ts`, (n,)."""
    return jnp.asarray(np.diff(np.asarray(ts, np.float64)) if is_known(ts) else jnp.diff(ts), dtype)


def one_each(ts: Any, dtype: Any) -> Steps:
    """One step from each of `ts` to the next."""
    n = np.shape(ts)[0] - 1
    return Steps(np.arange(n, dtype=np.int32), jnp.asarray(ts, dtype)[:-1], lengths(ts, dtype), 1, None, None, n)


def divide(ts: Any, dt: float | None, dtype: Any) -> Steps:
    """Each interval of `ts` in the fewest equal steps that are no longer than `dt`, a hundredth of the span if `None`.

    Intervals of different numbers of steps go into rows of one length, so that one loop runs through them all. Shorter
    rows have less padding but more ends, at which an output is kept whether asked for or not: of the lengths with about
    twice as many rows as intervals at most, the one with the least padding is taken. The average number of steps is
    one of them, so that there is never more padding than steps.
    """
    times = np.asarray(ts, np.float64)
    n = times.size - 1
    intervals = np.diff(times)
    longest = abs(times[-1] - times[0]) / 100 if dt is None else float(dt)
    # A ratio such as 0.1 / 0.01 is a rounding error above a whole number.
    counts = np.maximum(1.0, np.ceil(np.abs(intervals) / longest * (1 - 1e-6)))
    total = counts.sum()
    if total >= 2**31:
        raise ValueError(f"dt={dt} makes {total:.3g} steps between ts[0] and ts[-1]; there are less than 2^31.")
    counts, total = counts.astype(np.int64), int(total)

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
    return Steps(
        first.astype(np.int32),
        jnp.asarray(times[interval] + before * h, dtype),
        jnp.asarray(h, dtype),
        size,
        None if (count == size).all() else count.astype(np.int32),
        None if (rows == 1).all() else np.concatenate([[0], ends]),
        total,
    )
