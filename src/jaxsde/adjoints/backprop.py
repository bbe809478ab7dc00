"""Gradients by differentiating the loop: exact, any order, forward mode too; memory of all steps."""

from typing import Any

from jaxsde.engine import Interval, Scheme, solve


def backprop(scheme: Scheme, carry: Any, args: Any, path: Any, xs: Interval) -> Any:
    return solve(scheme, carry, args, path, xs)[1]
