"""Inputs as people have them, made what a `Dataset` takes."""

import math
import numbers
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Shaped, UInt8

from sdebnn.errors import InputError
from sdebnn.spelling import refuse_unknown

LAYOUTS = ("auto", "table", "images", "channels_first")


def as_inputs(
    x: np.ndarray, what: str, *, layout: str = "auto", like: str | None = None
) -> Float32[np.ndarray, "n ..."] | UInt8[np.ndarray, "n h w c"]:
    """Examples as `Dataset` takes them: whole numbers in images are pixels from 0 to 255 and become uint8, unless there
    are 0 and 1 alone, which are black and white; other numbers become float32.

    **Arguments:**

    - `x`: numbers of any type and byte order.
    - `what`: names them in errors.
    - `layout`: `"table"`, rows (n, d), to which more dimensions are flattened; `"images"`, (n, h, w) or
      (n, h, w, channels); `"channels_first"`, images (n, channels, h, w); `"auto"`, by the number of dimensions.
    - `like`: the dtype of the inputs that these belong to, `"uint8"` or `"float32"`.

    **Raises:** `InputError` for others, for a layout that does not fit or is open, and for NaN and infinity.
    """
    refuse_unknown(layout, LAYOUTS, "a layout")
    x = plain_numbers(x, what)
    if x.dtype.kind not in "buif" or (x.ndim not in (2, 3, 4) and not (layout == "table" and x.ndim > 4)):
        hint = "; for one example write x[None], for one column x[:, None]" if x.ndim == 1 else ""
        raise InputError(
            f"{what} is {x.dtype} of shape {x.shape}, but it must hold numbers of shape (n, d), (n, h, w) or "
            f"(n, h, w, channels){hint}."
        )
    if layout == "table":
        return to_float32(x.reshape(len(x), math.prod(x.shape[1:])), what)
    if (layout == "images" and x.ndim == 2) or (layout == "channels_first" and x.ndim != 4):
        raise InputError(f"{what} has shape {x.shape}, which layout={layout!r} does not fit; choose another layout.")
    if layout == "auto" and looks_channels_first(x.shape):
        raise InputError(
            f"{what} has shape {x.shape}: images of {x.shape[1]} channels in front, or of {x.shape[3]} channels? "
            "Choose layout='channels_first' or layout='images' (--layout)."
        )
    if layout == "channels_first":
        x = np.moveaxis(x, 1, -1)
    if x.ndim == 3:
        x = x[..., None]
    if x.ndim == 4 and x.dtype.kind in "ui":
        low, high = (int(x.min()), int(x.max())) if x.size else (0, 0)
        if not 0 <= low <= high <= 255:
            raise InputError(
                f"{what} has pixels from {low} to {high}, but whole numbers are taken as pixels from 0 to 255; "
                "scale them to floating-point numbers between 0 and 1."
            )
        black_and_white = high == 1 if like is None else high <= 1 and like == "float32"
        return np.ascontiguousarray(x, np.float32 if black_and_white else np.uint8)
    return to_float32(x, what)


def plain_numbers(values: Any, what: str) -> np.ndarray:
    """An array without a mask, without objects where these are numbers, and in the machine's order of bytes.

    **Raises:** `InputError` when values are masked, or objects are no numbers.
    """
    refuse_masked(values, what)
    array = np.asarray(values)
    if array.dtype.kind == "O":
        strange = next((value for value in array.flat if not isinstance(value, numbers.Number | np.bool_)), None)
        if strange is not None or any(value is None for value in array.flat):
            raise InputError(f"{what} holds objects such as {strange!r:.40}, but it must hold numbers.")
        inferred = np.array(array.tolist())
        array = array.astype(np.float64) if inferred.dtype.kind == "O" else inferred.reshape(array.shape)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def refuse_masked(values: Any, what: str) -> None:
    """**Raises:** `InputError` for an array of which a mask hides values, which others would take for values."""
    if np.ma.isMaskedArray(values) and np.ma.getmaskarray(values).any():
        raise InputError(
            f"{what} has {int(np.ma.count_masked(values))} masked values; leave those examples out, or write "
            "x.filled(...) with what stands for them."
        )


def looks_channels_first(shape: tuple[int, ...]) -> bool:
    """Whether images of this shape, n in front, could be (n, channels, height, width)."""
    if len(shape) != 4 or shape[3] <= 4:
        return False
    return shape[1] <= 4 or (shape[2] == shape[3] and shape[1] != shape[2])


def to_float32(values: Shaped[np.ndarray, "*shape"], what: str) -> Float32[np.ndarray, "*shape"]:
    """Numbers as float32. **Raises:** `InputError` for NaN, infinity, and numbers beyond its range."""
    with np.errstate(over="ignore"):
        converted = np.ascontiguousarray(values, np.float32)
    if values.dtype.kind == "f" and (np.isinf(converted) & np.isfinite(values)).any():
        raise InputError(f"{what} has numbers beyond 3.4e38, the range of float32; scale it.")
    check_finite(what, converted)
    return converted


def check_finite(what: str, values: Float[np.ndarray, "..."] | UInt8[np.ndarray, "..."]) -> None:
    """**Raises:** `InputError` saying how many values are not finite and where the first is."""
    finite = np.isfinite(values)
    if not finite.all():
        where = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise InputError(
            f"{what} has {values.size - int(finite.sum())} values that are NaN or infinite, the first at {where}; "
            "remove or replace those examples."
        )
