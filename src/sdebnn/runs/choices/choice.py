"""A choice of a run: its default, what the help says of it, what is allowed, and the check of a value."""

import dataclasses
import math
import numbers
import os
import reprlib
from typing import Any, Literal, TypeAlias, get_args, get_origin

from sdebnn.errors import InputError
from sdebnn.spelling import nearest

AUTO = "auto"
NumberOrAuto: TypeAlias = float | Literal["auto"]
"""A number, or that it be found."""


def choice(default: Any, help: str, **limits: Any) -> Any:
    """A field of `Choices`.

    **Arguments:**

    - `default`: what holds where nothing is chosen.
    - `help`: what `sdebnn train --help` says.
    - `limits`: `low`, `high`, `above` and `below` of numbers. Which texts are allowed the field's type says.
    """
    return dataclasses.field(default=default, metadata={"help": help, **limits})


@dataclasses.dataclass(frozen=True)
class Choices:
    """Choices that belong together; checked, field by field, when they are made.

    **Raises:** `InputError`, one sentence, for a value that is not allowed.
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            plain = _plain(value, field.type)
            if plain is not value:
                object.__setattr__(self, field.name, plain)
            _check(field, plain)


def allowed(field: dataclasses.Field[Any]) -> tuple[str, ...] | None:
    """The texts that a choice takes; `None` where it takes any, or is no text."""
    return get_args(field.type) if get_origin(field.type) is Literal else None


# Numbers become numbers of 32 bits in either framework.
LARGEST = 2**32 - 1
SMALLEST_REAL, LARGEST_REAL = 2.0**-126, 2.0**128 * (1 - 2.0**-24)

_KINDS: dict[Any, tuple[Any, str]] = {
    int: (int, "a whole number"),
    float: ((int, float), "a number"),
    NumberOrAuto: ((int, float), "a number, or auto"),
    str: (str, "text"),
    bool: (bool, "true or false, or 1 or 0"),
    tuple[int, ...]: (int, "whole numbers"),
}


def _plain(value: object, kind: Any = None) -> Any:
    """A value of Python's own types, which JSON takes, where it is a number of NumPy, a list, an array or a path. A
    choice between yes and no was 0 or 1 in older files and is so in flags.
    """
    if kind is bool:
        own = value.tolist() if hasattr(value, "tolist") else value
        return bool(own) if isinstance(own, int) and own in (0, 1) else value
    if isinstance(value, bool):
        return value
    if isinstance(value, str | os.PathLike):
        return str(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    parts = value.tolist() if hasattr(value, "tolist") else value
    return tuple(_plain(part) for part in parts) if isinstance(parts, list | tuple) else value


def _check(field: dataclasses.Field[Any], value: object) -> None:
    if field.type == NumberOrAuto and value == AUTO:
        return
    limits = field.metadata
    texts = allowed(field)
    kind, name = _KINDS[str if texts else field.type]
    several = field.type == tuple[int, ...]
    parts = value if several and isinstance(value, tuple) else () if several else (value,)
    if not parts or any(isinstance(part, bool) > (kind is bool) or not isinstance(part, kind) for part in parts):
        raise InputError(f"{field.name}={reprlib.repr(value)} is not allowed: it takes {name}.")
    for part in parts:
        if field.type is not float and isinstance(part, int) and part > LARGEST:
            raise InputError(f"{field.name}={part} is not allowed: it takes at most {LARGEST}.")
        if texts and part not in texts:
            raise InputError(
                f"{field.name}={reprlib.repr(part)} is not allowed: it takes {', '.join(texts)}{nearest(part, texts)}."
            )
        if isinstance(part, float) and not math.isfinite(part):
            raise InputError(f"{field.name}={part} is not allowed: it takes a finite number.")
        if isinstance(part, float) and part != 0 and not SMALLEST_REAL <= abs(part) <= LARGEST_REAL:
            raise InputError(
                f"{field.name}={part} is not allowed: it takes 0 or a size from {SMALLEST_REAL:.2g} to "
                f"{LARGEST_REAL:.2g}, which numbers of single precision hold."
            )
        if "low" in limits and part < limits["low"]:
            raise InputError(f"{field.name}={part} is not allowed: it takes {limits['low']} or more.")
        if "above" in limits and part <= limits["above"]:
            raise InputError(f"{field.name}={part} is not allowed: it takes a number above {limits['above']}.")
        if "high" in limits and part > limits["high"]:
            raise InputError(f"{field.name}={part} is not allowed: it takes at most {limits['high']}.")
        if "below" in limits and part >= limits["below"]:
            raise InputError(f"{field.name}={part} is not allowed: it takes a number below {limits['below']}.")
