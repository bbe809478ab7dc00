"""Names to choose from."""

import difflib
from collections.abc import Iterable


def one_of(name: str, got: object, allowed: Iterable[str]) -> None:
    """Refuses a name that is not allowed, and suggests the nearest that is."""
    allowed = list(allowed)
    if got in allowed:
        return
    # Peers write EulerHeun, euler-heun and ItoMilstein.
    plain = {name.replace("_", ""): name for name in allowed}
    typed = "".join(letter for letter in str(got).lower() if letter.isalnum())
    near = difflib.get_close_matches(typed, plain, n=1, cutoff=0.5)
    hint = f" Did you mean {plain[near[0]]!r}?" if near else ""
    raise ValueError(f"{name} is {got!r}; allowed are {', '.join(map(repr, allowed))}.{hint}")
