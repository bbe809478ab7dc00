"""Time series as arrays: irregular times, values that are missing, several series of different lengths."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxsde.times import fewest_steps, is_known, known_times
from jaxsde.types import TimeVector

# Without dt: so many steps, or more, in the longest series.
USUAL = 100


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Series:
    """Series of observations, each on the grid that its latent path is solved on; a pytree. `Series.of` makes one.

    - `times`: (batch, n), increasing; the first is that of the latent state's first law.
    - `values`: (batch, n, width); where nothing was observed they are some that were, so that a likelihood is finite.
    - `mask`: (batch, n, width), whether a value was observed.
    - `end`: (batch,), the time of the last observation. What comes after it is padding.
    - `dt`: the longest step of the grid, as it was asked for.
    """

    times: Float[Array, "*batch n"]
    values: Float[Array, "*batch n width"]
    mask: Bool[Array, "*batch n width"]
    end: Float[Array, "*batch"]
    dt: float = dataclasses.field(metadata={"static": True})

    @classmethod
    def of(cls, times: Any, values: Any, mask: Any = None, *, dt: float | None = None) -> "Series":
        """Checks series and puts them on a grid.

        **Arguments:**

        - `times`: (n,) of all series, or (batch, n); they increase. The latent state's first law is that at the first
          time, which may have no observation.
        - `values`: (batch, n, width), numbers of the order of one. Those that the mask leaves out may be anything.
        - `mask`: (batch, n, width) or (batch, n), booleans: whether a value was observed. All were unless given. A
          series that is shorter than others has nothing observed in its last rows, whose times are not read.
        - `dt`: the longest step between two times of the grid; intervals that are longer get times without
          observations. A hundredth of the longest series unless given; infinite for no more times than given.

        **Raises:** `ValueError` for shapes that do not fit, times that do not increase or that the precision of the
        values does not tell apart, values that are observed and not finite, series without observations or of one time
        alone, or a dt that is not positive; `TypeError` for traced arrays or a mask that is not of booleans.
        """
        if not is_known((times, values, mask)):
            raise TypeError("Series.of got traced arrays; make series outside of jit, and hand them to it.")
        times, values, mask = _shaped(times, _floating(values), mask)
        rows = [_rows_of(i, *row) for i, row in enumerate(zip(times, values, mask, strict=True))]
        longest = max(t[-1] - t[0] for t, _, _ in rows)
        dt = float(longest) / USUAL if dt is None else float(dt)
        if not dt > 0:
            raise ValueError(f"dt is {dt}; it is the longest step of the grid, a positive length of time.")
        latest = values.dtype.type(max(np.abs(t).max() for t, _, _ in rows))
        if dt < np.spacing(latest):
            raise ValueError(_too_short(dt, latest))
        return _padded([_with_times(*row, _grid(row[0], dt)) for row in rows], dt)

    def with_times(self, times: TimeVector) -> "Series":
        """The same series with more times on their grids, nothing being observed there.

        **Arguments:**

        - `times`: none before the first of a series.

        **Raises:** `ValueError` for one before it, or that is not finite, and for series whose dt is infinite;
        `TypeError` for traced arrays.
        """
        if not is_known((times, self)):
            raise TypeError("with_times got traced arrays; take it outside of jit.")
        if math.isinf(self.dt):
            raise ValueError(
                "series has dt=inf, and so no steps to solve for paths by; make another by Series.of(..., dt=...)."
            )
        start = np.asarray(self.times)[:, 0].max()
        if not (np.asarray(times) >= start).all() or not np.isfinite(np.asarray(times)).all():
            raise ValueError(f"times is {times}; they are finite, and none is before {start}, the first of a series.")
        rows = []
        for t, values, mask, end in zip(*map(np.asarray, (self.times, self.values, self.mask, self.end)), strict=True):
            kept = t <= end
            wanted = np.union1d(t[kept], np.asarray(times, t.dtype))
            rows.append(_with_times(t[kept], values[kept], mask[kept], _grid(wanted, self.dt)))
        return _padded(rows, self.dt)


def check_series(series: object) -> None:
    """Refuses what is no batch of series.

    **Raises:** `TypeError` or `ValueError` that says what it is.
    """
    if not isinstance(series, Series):
        raise TypeError(f"series is {type(series).__name__}; make it by Series.of(times, values, mask).")
    if series.times.ndim != 2:
        raise ValueError(
            f"The times of series have shape {series.times.shape}; they are (batch, n). To take some of a batch keep "
            "its axis: jax.tree.map(lambda x: x[:1], series)."
        )


def _floating(values: Any) -> np.ndarray:
    """In the precision that JAX gives them."""
    values = np.asarray(values)
    if values.dtype.kind not in "fiub" and not jnp.issubdtype(values.dtype, jnp.floating):
        raise TypeError(f"values is of dtype {values.dtype}; values are real numbers.")
    dtype = values.dtype if jnp.issubdtype(values.dtype, jnp.floating) else np.dtype(np.float64)
    return values.astype(np.result_type(np.float32, jax.dtypes.canonicalize_dtype(dtype)))


def _shaped(times: Any, values: np.ndarray, mask: Any) -> tuple[Any, np.ndarray, np.ndarray]:
    if values.ndim != 3 or 0 in values.shape:
        raise ValueError(
            f"values has shape {values.shape}; it is (batch, n, width): series, times and values at a time. For one "
            "series of one value a time take values[None, :, None]."
        )
    mask = np.ones(values.shape, bool) if mask is None else np.asarray(mask)
    if mask.dtype != bool:
        raise TypeError(f"mask is of dtype {mask.dtype}; it is of booleans, true where a value was observed.")
    if mask.shape not in (values.shape, values.shape[:2]):
        raise ValueError(f"mask has shape {mask.shape}; for values of shape {values.shape} it is that, or without the "
                         "last axis.")  # fmt: skip
    mask = np.broadcast_to(mask if mask.ndim == 3 else mask[..., None], values.shape)
    times = np.asarray(times)
    if times.shape not in (values.shape[:2], values.shape[1:2]):
        raise ValueError(
            f"times has shape {times.shape}; for values of shape {values.shape} it is {values.shape[1:2]}, the same "
            f"of all series, or {values.shape[:2]}."
        )
    return np.broadcast_to(times, values.shape[:2]), values, mask


def _rows_of(number: int, times: np.ndarray, values: np.ndarray, mask: np.ndarray) -> tuple[Any, Any, Any]:
    """One series up to its last observation."""
    observed = np.flatnonzero(mask.any(1))
    if not observed.size:
        raise ValueError(f"Series {number} has no observation: its mask is false everywhere. Leave it out.")
    length = observed[-1] + 1
    if length == 1:
        raise ValueError(
            f"Series {number} has one time alone; the latent path goes from the first time to the last observation. "
            "Put an earlier time before it, at which nothing is observed."
        )
    times, values, mask = times[:length], values[:length], mask[:length]
    if not np.isfinite(values[mask]).all():
        at = tuple(int(i) for i in np.argwhere(mask & ~np.isfinite(values))[0])
        raise ValueError(
            f"Series {number} has {values[at]} at entry {at} of (time, value), which the mask says was observed; make "
            "the mask false there."
        )
    try:
        known_times(times)
        exact = known_times(times.astype(values.dtype))
    except ValueError as error:
        raise ValueError(f"Of series {number}: {error}") from error
    if exact[-1] < exact[0]:
        raise ValueError(f"Of series {number} the times decrease, from {exact[0]} to {exact[-1]}; turn it around.")
    return exact, values, mask


def _grid(times: np.ndarray, dt: float) -> Any:
    """The times, and between them as many more as make no step longer than dt."""
    counts = fewest_steps(times.astype(np.float64), dt)
    parts = [a + (b - a) * np.arange(c) / c for a, b, c in zip(times[:-1], times[1:], counts, strict=True)]
    return np.concatenate([*parts, times[-1:]])


def _with_times(times: np.ndarray, values: np.ndarray, mask: np.ndarray, grid: np.ndarray) -> tuple[Any, Any, Any]:
    """Rows at each time of the grid, which has all of `times`."""
    at = np.searchsorted(grid, times)
    of_grid, seen = np.zeros((grid.size, values.shape[1]), values.dtype), np.zeros((grid.size, mask.shape[1]), bool)
    of_grid[at], seen[at] = values, mask
    return grid, of_grid, seen


def _too_short(step: float, latest: Any) -> str:
    return (
        f"Steps as short as dt={step:.3g} are no steps in {latest.dtype} at times of up to {latest:.6g}; take a longer "
        "dt, the time since the first, or values in double precision."
    )


def _padded(rows: list[tuple[Any, Any, Any]], dt: float) -> Series:
    """The series in arrays of one length, with times that go on after the end."""
    length, step = max(t.size for t, _, _ in rows), min(dt, max(float(t[-1] - t[0]) for t, _, _ in rows))
    dtype = rows[0][1].dtype
    times, values, mask = [], [], []
    for t, y, seen in rows:
        more = length - t.size
        times.append(np.concatenate([t, t[-1] + step * np.arange(1, more + 1)]))
        values.append(np.pad(y, ((0, more), (0, 0))))
        mask.append(np.pad(seen, ((0, more), (0, 0))))
    all_values, all_mask = np.stack(values), np.stack(mask)
    all_times = np.stack(times).astype(dtype)
    if not (np.diff(all_times) > 0).all():
        raise ValueError(_too_short(step, np.abs(all_times).max()))
    ends = [t[np.flatnonzero(seen.any(1))[-1]] for t, _, seen in rows]
    for column in range(all_values.shape[2]):
        seen = all_mask[..., column]
        some = all_values[..., column][seen] if seen.any() else all_values[all_mask]
        all_values[..., column] = np.where(seen, all_values[..., column], some[0])
    return Series(
        jnp.asarray(all_times),
        jnp.asarray(all_values),
        jnp.asarray(all_mask),
        jnp.asarray(np.stack(ends), dtype),
        dt,
    )
