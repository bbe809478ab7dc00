"""Names that are not known, and what was likely meant."""

import difflib
from collections.abc import Iterable

from sdebnn.errors import InputError


def nearest(name: str, allowed: Iterable[str]) -> str:
    """The allowed name that is most like this one, as a question in brackets; empty where none is alike."""
    close = difflib.get_close_matches(name, list(allowed), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def refuse_unknown(name: str, allowed: Iterable[str], what: str) -> None:
    """**Raises:** `InputError` when `name` is not allowed: it lists what is, and what was likely meant."""
    allowed = tuple(allowed)
    if name not in allowed:
        raise InputError(f"{name!r} is not {what}{nearest(name, allowed)}; allowed are {', '.join(allowed)}.")
