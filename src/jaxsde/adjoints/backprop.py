"""Gradients by differentiating the loop: exact, any order, forward mode too; memory of all steps."""

from typing import Any

from jaxsde.brownian import BrownianPath
from jaxsde.engine import Interval, Scheme, solve
from jaxsde.types import Args, Carry


def backprop(scheme: Scheme, carry: Carry, args: Args, path: BrownianPath | None, xs: Interval) -> Any:
    return solve(scheme, carry, args, path, xs)[1]
