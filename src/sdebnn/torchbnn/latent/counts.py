"""How many: of paths, draws, steps, units."""

import operator

from sdebnn.errors import InputError


def check_count(name: str, number: object, most: int | None = None) -> None:
    """Refuses what is no whole number from one to `most`.

    **Raises:** `InputError` that says what it is of.
    """
    try:
        whole = None if isinstance(number, bool) else operator.index(number)  # type: ignore[arg-type]
    except TypeError:
        whole = None
    if whole is None or whole < 1 or (most is not None and whole > most):
        allowed = "of one or more" if most is None else f"from one to {most}"
        raise InputError(f"{name} is {number!r}; it is a whole number {allowed}.")
