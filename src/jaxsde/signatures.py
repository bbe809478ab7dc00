"""What a user's functions take, looked at before they are called: so that what is wrong is said of the function.

Other libraries give the time first. Where state and time are both numbers, such a function solves another equation in
silence, and its names alone tell.
"""

import inspect
from typing import Any

import jax

# That hand on their arguments as they are.
TRANSPARENT = (type(jax.jit(lambda: None)), jax.custom_jvp, jax.custom_vjp)
TIMES = ("t", "time")


def check_takes(name: str, function: object, *expected: str) -> None:
    """Refuses what is no function of so many arguments, and a function whose names say that time comes before state.

    **Arguments:**

    - `name`: what the user calls it.
    - `expected`: its arguments in their order, a time among them as `"t"`. Of a function whose arguments Python does
      not know, or that takes any, nothing is said.

    **Raises:** `TypeError`.
    """
    call = f"{name.split()[-1].split('.')[-1]}({', '.join(expected)})"
    if not callable(function):
        raise TypeError(f"{name} is {type(function).__name__}; it is a function {call}.")
    signature = _signature(function)
    if signature is None:
        return
    parameters = signature.parameters.values()
    taken = ", ".join(str(p.replace(annotation=inspect.Parameter.empty)) for p in parameters)
    try:
        signature.bind(*expected)
    except TypeError:
        raise TypeError(
            f"{name} takes ({taken}); it is called as {call}: let it take these arguments, in this order."
        ) from None
    by_place = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    is_time = [parameter.strip("_") in TIMES for parameter in by_place[:2]]
    if expected[1:2] == ("t",) and is_time == [True, False]:
        raise TypeError(
            f"{name} takes ({taken}), time first by its names; it is called as {call}, the state first: exchange "
            f"{by_place[0]!r} and {by_place[1]!r}. If {by_place[0]!r} is no time, give it another name."
        )


def _signature(function: Any) -> inspect.Signature | None:
    while type(function) in TRANSPARENT:
        function = function.__wrapped__
    # What another function was wrapped in may take other arguments; the bound methods of other libraries do not.
    bound = hasattr(function, "__func__") and not inspect.ismethod(function)
    try:
        return inspect.signature(function, follow_wrapped=bound)
    except (TypeError, ValueError):
        return None
