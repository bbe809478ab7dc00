"""The checker of types at run time: beartype, by the decorator of jaxtyping.

A function within a function is made anew in every call of the outer one. Its check is generated code, which takes
longer to make than all else of most calls, so functions of one code and the same annotations share one.
"""

import functools
import inspect
import threading
from collections.abc import Callable
from types import FunctionType
from typing import Any

import jaxtyping

alone = jaxtyping.jaxtyped
CHECKS: dict[Any, Callable[..., Any]] = {}
# Defaults that a check may keep.
PLAIN = (type(None), bool, int, float, str)
# The function that a check goes on to.
NEXT = threading.local()


def share_checks() -> None:
    """In all that the import hook of jaxtyping decorates from now on."""
    jaxtyping.jaxtyped = decorator  # type: ignore[assignment]


def decorator(*, typechecker: Any) -> Callable[[Any], Any]:
    return functools.partial(checked, typechecker=typechecker)


def checked(function: Any, *, typechecker: Any) -> Any:
    """`jaxtyped(function, typechecker=typechecker)`, whose check may be that of an earlier function."""
    if not isinstance(function, FunctionType) or "<locals>" not in function.__qualname__:
        return alone(function, typechecker=typechecker)
    annotations, by_name = function.__annotations__, function.__kwdefaults__ or {}
    defaults = *(function.__defaults__ or ()), *by_name.values()
    if any(isinstance(kind, str) for kind in annotations.values()) or not all(isinstance(x, PLAIN) for x in defaults):
        return alone(function, typechecker=typechecker)
    signature = *annotations.items(), *by_name, *defaults
    key = function.__module__, function.__qualname__, function.__code__, signature
    if key not in CHECKS:
        CHECKS[key] = alone(_goes_on_to_next(function), typechecker=typechecker)
    check = CHECKS[key]

    @functools.wraps(function)
    def with_check(*args: Any, **kwargs: Any) -> Any:
        NEXT.function = function
        try:
            return check(*args, **kwargs)
        finally:
            NEXT.function = None

    return with_check


def _goes_on_to_next(like: FunctionType) -> Callable[..., Any]:
    @functools.wraps(like)
    def goes_on(*args: Any, **kwargs: Any) -> Any:
        function, NEXT.function = NEXT.function, None
        return function(*args, **kwargs)

    # A check stays for good, what the first function closes over does not.
    goes_on.__signature__ = inspect.signature(like)  # type: ignore[attr-defined]
    del goes_on.__wrapped__
    return goes_on
