"""The refusal of a name that is not known."""

import difflib
from collections.abc import Iterable

from sdebnn.errors import InputError


def refuse_unknown(name: str, allowed: Iterable[str], what: str) -> None:
    """**Raises:** `InputError` when `name` is not allowed: it lists what is, and what was likely meant."""
    allowed = tuple(allowed)
    if name not in allowed:
        near = difflib.get_close_matches(name, allowed, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise InputError(f"{name!r} is not {what}{hint}; allowed are {', '.join(allowed)}.")
