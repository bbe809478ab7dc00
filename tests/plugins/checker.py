"""The checker of types at run time: beartype, which makes one check for all functions of one signature.

A function within a function is made anew in every call of the outer one, and its check is generated code, which may
take longer to make than all else of the call. What jaxtyping hands over are empty functions with the signature of the
real ones, which close over nothing.
"""

from collections.abc import Callable
from typing import Any

from beartype import beartype

CHECKS: dict[Any, Callable[..., Any]] = {}


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """`beartype(function)`, or what that was of a function of the same name, parameters and annotations."""
    defaults = len(function.__defaults__ or ()), *(function.__kwdefaults__ or ())
    annotations = tuple(function.__annotations__.items())
    key = function.__module__, function.__qualname__, function.__code__, defaults, annotations
    if key not in CHECKS:
        CHECKS[key] = beartype(function)
    return CHECKS[key]
