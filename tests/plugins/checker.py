"""The checker of types at run time: beartype, by the decorator of jaxtyping.

A function within a function is made anew in every call of the outer one. Its check is generated code, which takes
longer to make than all else of most calls, so functions of one code and the same annotations share one.
"""

import contextlib
import functools
import inspect
import math
import threading
from collections.abc import Callable
from types import FunctionType
from typing import Any

import jaxtyping
from beartype.roar import BeartypeCallHintViolation
from jaxtyping._storage import pop_shape_memo, push_shape_memo

alone = jaxtyping.jaxtyped
CHECKS: dict[Any, Callable[..., Any]] = {}
# Defaults that a check may keep.
PLAIN = (type(None), bool, int, float, str)
# How a parameter is passed on, if not by its place.
PASSED: dict[Any, str] = {
    inspect.Parameter.VAR_POSITIONAL: "*{0}",
    inspect.Parameter.KEYWORD_ONLY: "{0}={0}",
    inspect.Parameter.VAR_KEYWORD: "**{0}",
}
# The function that a check goes on to.
NEXT = threading.local()


def share_checks() -> None:
    """In all that the import hook of jaxtyping decorates from now on."""
    jaxtyping.jaxtyped = decorator  # type: ignore[assignment]


def decorator(*, typechecker: Any) -> Callable[[Any], Any]:
    return functools.partial(checked, typechecker=typechecker)


def checked(function: Any, *, typechecker: Any) -> Any:
    """The function with its types checked, whose check may be that of an earlier function.

    `jaxtyped` binds the arguments of every call by their signature, for what it says of an error, and checks them
    twice, which took an eighth of the time of tests. Sizes of axes are compared here as there: by what is known within
    one call.
    """
    if not isinstance(function, FunctionType):
        return alone(function, typechecker=typechecker)
    annotations = function.__annotations__ = _resolved(function)
    key, defaults = None, (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    if "<locals>" in function.__qualname__ and all(isinstance(x, PLAIN) for x in defaults):
        signature = *annotations.items(), *(function.__kwdefaults__ or ()), *defaults
        key = function.__module__, function.__qualname__, function.__code__, signature
        if key not in CHECKS:
            CHECKS[key] = typechecker(_goes_on_to_next(function))
    check = typechecker(function) if key is None else CHECKS[key]

    @functools.wraps(function)
    def with_check(*args: Any, **kwargs: Any) -> Any:
        if jaxtyping.config.jaxtyping_disable:
            return function(*args, **kwargs)
        # A check of a tree may call functions of its own.
        before, NEXT.function = getattr(NEXT, "function", None), function
        push_shape_memo({})
        try:
            return check(*args, **kwargs)
        except BeartypeCallHintViolation as error:
            # A TypeError, as that of `jaxtyped` and those of a user without any checks are.
            raise jaxtyping.TypeCheckError(str(error)) from None
        finally:
            pop_shape_memo()
            NEXT.function = before

    return with_check


def _resolved(function: FunctionType) -> dict[str, Any]:
    """What its annotations stand for, without those whose names are not known yet, or to editors alone."""
    kinds: dict[str, Any] = {}
    for name, kind in function.__annotations__.items():
        with contextlib.suppress(NameError):
            kinds[name] = eval(kind, function.__globals__) if isinstance(kind, str) else kind
    return kinds


def _goes_on_to_next(like: FunctionType) -> Callable[..., Any]:
    """A function of its signature that calls the next one: a checker looks at the code of what it checks."""
    signature = inspect.signature(like)
    plain = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    passed = ", ".join(PASSED.get(p.kind, "{0}").format(p.name) for p in plain)
    names: dict[str, Any] = {"next_function": _next_function, "inf": math.inf, "nan": math.nan}
    exec(f"def goes_on{inspect.Signature(plain)}: return next_function()({passed})", names)
    # A check stays for good, what the first function closes over does not.
    goes_on: Any = functools.wraps(like)(names["goes_on"])
    del goes_on.__wrapped__
    return goes_on


def _next_function() -> Callable[..., Any]:
    function, NEXT.function = NEXT.function, None
    return function
