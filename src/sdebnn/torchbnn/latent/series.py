"""Time series as tensors: irregular times, values that are missing, several series of different lengths."""

import dataclasses
import math
from typing import Any

import numpy as np
import torch

from sdebnn.errors import InputError

# Without dt: so many steps, or more, in the longest series.
USUAL = 100

# Times, values and mask of one series.
Row = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Series:
    """Series of observations, each on the grid that its latent path is solved on. `Series.of` makes one; of a batch
    `series[:10]` or `series[indices]` are some, and `series.to(device)` is where your model is.

    - `times`: (batch, n), increasing; the first is that of the latent state's first law.
    - `values`: (batch, n, width); where nothing was observed they are some that were, so that a likelihood is finite.
    - `mask`: (batch, n, width), whether a value was observed.
    - `end`: (batch,), the time of the last observation. What comes after it is padding.
    - `dt`: the longest step of the grid, as it was asked for.
    """

    times: torch.Tensor
    values: torch.Tensor
    mask: torch.Tensor
    end: torch.Tensor
    dt: float

    @classmethod
    def of(
        cls,
        times: Any,
        values: Any,
        mask: Any = None,
        *,
        dt: float | None = None,
        dtype: torch.dtype | None = None,
        device: Any = None,
    ) -> "Series":
        """Checks series and puts them on a grid.

        **Arguments:**

        - `times`: (n,) of all series, or (batch, n); they increase. The latent state's first law is that at the first
          time, which may have no observation.
        - `values`: (batch, n, width), tensor or array, numbers of the order of one. Those that the mask leaves out may
          be anything.
        - `mask`: (batch, n, width) or (batch, n), booleans: whether a value was observed. All were unless given. A
          series that is shorter than others has nothing observed in its last rows, whose times are not read.
        - `dt`: the longest step between two times of the grid; intervals that are longer get times without
          observations. A hundredth of the longest series unless given; infinite for no more times than given.
        - `dtype`: single or double precision, that of the model; that of the values unless given.
        - `device`: that of the values unless given.

        **Raises:** `InputError` for shapes that do not fit, times that do not increase or that the dtype does not tell
        apart, values that are observed and not finite, series without observations or of one time alone, a mask that
        is not of booleans, what requires a gradient, a dt that is not positive, or another dtype.
        """
        device = values.device if device is None and isinstance(values, torch.Tensor) else device
        times, values, mask = _shaped(
            array_of(times), _floating(values, dtype), None if mask is None else array_of(mask)
        )
        rows = [_row(i, *row) for i, row in enumerate(zip(times, values, mask, strict=True))]
        longest = max(t[-1] - t[0] for t, _, _ in rows)
        dt = float(longest) / USUAL if dt is None else float(dt)
        if not dt > 0:
            raise InputError(f"dt is {dt}; it is the longest step of the grid, a positive length of time.")
        latest = values.dtype.type(max(np.abs(t).max() for t, _, _ in rows))
        if dt < np.spacing(latest):
            raise InputError(_too_short(dt, latest))
        return _padded([_on_grid(row, row[0], dt) for row in rows], dt, device)

    def with_times(self, times: Any) -> "Series":
        """The same series with more times on their grids, nothing being observed there.

        **Arguments:** `times`: none before the first of a series.

        **Raises:** `InputError` for one before it, or that is not finite, and for series whose dt is infinite.
        """
        if math.isinf(self.dt):
            raise InputError(
                "series has dt=inf, and so no steps to solve for paths by; make another by Series.of(..., dt=...)."
            )
        of_all = [x.cpu().numpy() for x in (self.times, self.values, self.mask, self.end)]
        start, more = of_all[0][:, 0].max(), array_of(times).astype(of_all[0].dtype)
        if not np.isfinite(more).all() or not (more >= start).all():
            raise InputError(f"times is {more}; they are finite, and none is before {start}, the first of a series.")
        rows = []
        for t, values, mask, end in zip(*of_all, strict=True):
            kept = t <= end
            rows.append(_on_grid((t[kept], values[kept], mask[kept]), np.union1d(t[kept], more), self.dt))
        return _padded(rows, self.dt, self.values.device)

    def __getitem__(self, which: Any) -> "Series":
        if isinstance(which, int | np.integer):
            raise InputError(f"series[{which}] is no batch; to keep its axis write series[[{which}]].")
        return Series(self.times[which], self.values[which], self.mask[which], self.end[which], self.dt)

    def to(self, device: Any) -> "Series":
        """The series there."""
        times, values, mask, end = (x.to(device) for x in (self.times, self.values, self.mask, self.end))
        return Series(times, values, mask, end, self.dt)


def check_series(series: object) -> None:
    """Refuses what is no batch of series.

    **Raises:** `InputError` that says what it is.
    """
    if not isinstance(series, Series):
        raise InputError(f"series is {type(series).__name__}; make it by Series.of(times, values, mask).")
    if series.times.ndim != 2:
        raise InputError(
            f"The times of series have shape {tuple(series.times.shape)}; they are (batch, n). To take some of a batch "
            "write series[:1] or series[indices]."
        )
    if not len(series.times):
        raise InputError("series has none: the indices that it was taken by choose nothing of its batch.")


def array_of(x: Any) -> np.ndarray:
    """As NumPy has it; what is ragged or no numbers is of no real dtype.

    **Raises:** `InputError` for a tensor that requires a gradient.
    """
    if isinstance(x, torch.Tensor):
        if x.requires_grad:
            raise InputError("Series and times are data, and would lose the gradient that they require: detach them.")
        x = x.cpu()
        # NumPy has no bfloat16.
        return (x.float() if x.dtype == torch.bfloat16 else x).numpy()
    try:
        return np.asarray(x)
    except ValueError:
        return np.asarray(x, object)


def _floating(values: Any, dtype: torch.dtype | None) -> np.ndarray:
    array = array_of(values)
    if array.dtype.kind not in "fiub":
        raise InputError(
            f"values is of dtype {array.dtype}; values are real numbers, as many of each series: pad the "
            "shorter ones, and leave that out by the mask."
        )
    if dtype not in (None, torch.float32, torch.float64):
        raise InputError(f"dtype is {dtype}; series are in torch.float32 or torch.float64.")
    if dtype is None:
        of_array = hasattr(values, "dtype") and array.dtype.kind == "f"
        dtype = torch.float64 if array.dtype.itemsize == 8 and of_array else torch.float32
        dtype = dtype if of_array else torch.promote_types(torch.get_default_dtype(), torch.float32)
    return array.astype(np.float64 if dtype == torch.float64 else np.float32)


def _shaped(times: np.ndarray, values: np.ndarray, mask: np.ndarray | None) -> Row:
    if values.ndim != 3 or 0 in values.shape:
        raise InputError(
            f"values has shape {values.shape}; it is (batch, n, width): series, times and values at a time. For one "
            "series of one value a time take values[None, :, None]."
        )
    mask = np.ones(values.shape, bool) if mask is None else mask
    if mask.dtype != bool:
        raise InputError(f"mask is of dtype {mask.dtype}; it is of booleans, true where a value was observed.")
    if mask.shape not in (values.shape, values.shape[:2]):
        raise InputError(
            f"mask has shape {mask.shape}; for values of shape {values.shape} it is that, or without the last axis."
        )
    if times.shape not in (values.shape[:2], values.shape[1:2]):
        raise InputError(
            f"times has shape {times.shape}; for values of shape {values.shape} it is {values.shape[1:2]}, the same "
            f"of all series, or {values.shape[:2]}."
        )
    if times.dtype.kind not in "fiu":
        raise InputError(f"times is of dtype {times.dtype}; times are real numbers: of dates take the time since the "
                         "first.")  # fmt: skip
    mask = np.broadcast_to(mask if mask.ndim == 3 else mask[..., None], values.shape)
    return np.broadcast_to(times, values.shape[:2]), values, mask


def _row(number: int, times: np.ndarray, values: np.ndarray, mask: np.ndarray) -> Row:
    """One series up to its last observation."""
    observed = np.flatnonzero(mask.any(1))
    if not observed.size:
        raise InputError(f"Series {number} has no observation: its mask is false everywhere. Leave it out.")
    length = observed[-1] + 1
    if length == 1:
        raise InputError(
            f"Series {number} has one time alone; the latent path goes from the first time to the last observation. "
            "Put an earlier time before it, at which nothing is observed."
        )
    times, values, mask = times[:length].astype(np.float64), values[:length], mask[:length]
    if not np.isfinite(values[mask]).all():
        at = tuple(int(i) for i in np.argwhere(mask & ~np.isfinite(values))[0])
        raise InputError(
            f"Series {number} has {values[at]} at entry {at} of (time, value), which the mask says was observed; make "
            "the mask false there."
        )
    if not np.isfinite(times).all() or not (np.diff(times) > 0).all():
        at_time = int(np.argmin(np.diff(times) > 0))
        raise InputError(
            f"Of series {number} the times go from {times[at_time]} to {times[at_time + 1]}; they are finite and "
            "strictly increase: sort them, drop repeats, and turn around what decreases."
        )
    # Of a thousandth of the series something is left.
    if np.abs(times).max() * np.finfo(values.dtype).eps > 1e-3 * (times[-1] - times[0]):
        raise InputError(
            f"Of series {number} the times run from {times[0]} to {times[-1]}, which {values.dtype} does not tell "
            "apart: take the time since the first, or dtype=torch.float64."
        )
    return times.astype(values.dtype), values, mask


def _on_grid(row: Row, wanted: np.ndarray, dt: float) -> Row:
    """The series at the times that are wanted, which have all of its own, and between them at as many more as make no
    step longer than dt.
    """
    times, values, mask = row
    ends = wanted.astype(np.float64)
    # A ratio such as 0.1 / 0.01 is a rounding error above a whole number.
    counts = np.maximum(1, np.ceil(np.diff(ends) * (1 - 1e-6) / dt)).astype(np.int64)
    parts = [a + (b - a) * np.arange(c) / c for a, b, c in zip(ends[:-1], ends[1:], counts, strict=True)]
    grid = np.concatenate([*parts, ends[-1:]])
    at = np.searchsorted(grid, times)
    on_grid, seen = np.zeros((grid.size, values.shape[1]), values.dtype), np.zeros((grid.size, mask.shape[1]), bool)
    on_grid[at], seen[at] = values, mask
    return grid, on_grid, seen


def _too_short(step: float, latest: Any) -> str:
    return (
        f"Steps as short as dt={step:.3g} are no steps in {latest.dtype} at times of up to {latest:.6g}; take a longer "
        "dt, the time since the first, or dtype=torch.float64."
    )


def _padded(rows: list[Row], dt: float, device: Any) -> Series:
    """The series in arrays of one length, with times that go on after the end."""
    length, dtype = max(t.size for t, _, _ in rows), rows[0][1].dtype
    step = min(dt, max(float(t[-1] - t[0]) for t, _, _ in rows))
    more = [length - t.size for t, _, _ in rows]
    times = np.stack(
        [np.append(t, t[-1] + step * np.arange(1, k + 1)) for (t, _, _), k in zip(rows, more, strict=True)]
    )
    times = times.astype(dtype)
    if not (np.diff(times) > 0).all():
        raise InputError(_too_short(step, np.abs(times).max()))
    values, mask = (
        np.stack([np.pad(row[part], ((0, k), (0, 0))) for row, k in zip(rows, more, strict=True)]) for part in (1, 2)
    )
    for column in range(values.shape[2]):
        seen = mask[..., column]
        some = values[..., column][seen] if seen.any() else values[mask]
        values[..., column] = np.where(seen, values[..., column], some[0])
    ends = np.array([t[np.flatnonzero(seen.any(1))[-1]] for t, _, seen in rows], dtype)
    of_times, of_values, of_mask, end = (torch.as_tensor(x, device=device) for x in (times, values, mask, ends))
    return Series(of_times, of_values, of_mask, end, dt)
