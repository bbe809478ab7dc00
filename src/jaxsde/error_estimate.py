"""How adaptive steps know the error of a step that they try: as a value, so that the search for a grid has one loop.

A method with an embedded solution says it itself, and a step of the grid is a step that was tried. Any other is stepped
once whole and once in two halves; the difference is the estimate, and the halves are steps of the grid.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jaxsde.brownian import Increment
from jaxsde.flat_sde import FlatSDE, add, scale
from jaxsde.methods import Method
from jaxsde.types import Args, Carry, Noise, Time

# From one point of a step to another: time, length and Brownian increment.
Between = Callable[[Any, Any], tuple[Time, Time, Increment]]


class ErrorEstimate(NamedTuple):
    """An estimate of the error of a step.

    - `attempt`: `(sde, carry, points, between, args)` to the carry at the end, and by how much y is wrong there, leaves
      like y. `points` are those of the grid, the first and the last among them.
    - `parts`: the steps of the grid in one that is tried, one or two.
    - `order`: of the error, in the length of the step.
    - `evaluations`: of the drift, in a step that is tried.
    """

    attempt: Callable[[FlatSDE, Carry, Sequence[Any], Between, Args], tuple[Any, Any]]
    parts: int
    order: float
    evaluations: int


def error_estimate(method: Method, noise: Noise) -> ErrorEstimate:
    """That of a method."""
    return _doubling(method, noise) if method.embedded is None else _embedded(method)


def _embedded(method: Method) -> ErrorEstimate:
    def attempt(sde: FlatSDE, carry: Carry, points: Sequence[Any], between: Between, args: Args) -> tuple[Any, Any]:
        assert method.embedded is not None
        return method.embedded(sde, carry, *between(*points), args)

    return ErrorEstimate(attempt, 1, 1.5, method.evaluations)


def _doubling(method: Method, noise: Noise) -> ErrorEstimate:
    def attempt(sde: FlatSDE, carry: Carry, points: Sequence[Any], between: Between, args: Args) -> tuple[Any, Any]:
        start, middle, end = points
        whole = method.step(sde, carry, *between(start, end), args)
        half = method.step(sde, carry, *between(start, middle), args)
        halves = method.step(sde, half, *between(middle, end), args)
        return halves, add(method.state(whole), scale(-1, method.state(halves)))

    return ErrorEstimate(attempt, 2, method.order(noise) + 0.5, 3 * method.evaluations)
