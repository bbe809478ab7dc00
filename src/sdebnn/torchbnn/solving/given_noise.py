"""Blocks as functions of their noise: everything random is an input, and nothing is asked of a tensor's value, so that
PyTorch's transformations and compilers can trace them.
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F

from sdebnn.torchbnn.layers.depth import Depth
from sdebnn.torchbnn.solving.solver import Solution, Solver


class PathNoise(NamedTuple):
    """What a weight path is made of: `start`, the standard normals of a start that is Gaussian, (p,) of the weights
    that have noise, else (0,); and the `increments` of their Brownian motion over every step with noise, (steps, p).
    """

    start: torch.Tensor
    increments: torch.Tensor


class GivenNoise:
    """The Brownian motion with these increments between these depths."""

    def __init__(self, increments: torch.Tensor, depths: list[float]) -> None:
        self._increments, self._depths = increments.unbind(), depths

    def __call__(self, ta: Depth, tb: Depth) -> torch.Tensor:
        """The increment over the step from ta to tb. A walk back meets depths that differ in their last digits."""
        middle = 0.5 * (float(ta) + float(tb))
        return self._increments[len([depth for depth in self._depths if depth < middle]) - 1]


def in_precision(noise: Callable[[Any, Any], torch.Tensor], dtype: torch.dtype) -> Callable[[Any, Any], torch.Tensor]:
    """The same Brownian motion in another precision."""

    def increment(ta: Depth, tb: Depth) -> torch.Tensor:
        return noise(ta, tb).to(dtype)

    return increment


def solve_given(
    drift: Callable[[Any, torch.Tensor], torch.Tensor],
    sigma: torch.Tensor,
    y0: torch.Tensor,
    ts: list[float],
    solver: Solver,
    noise: Callable[[float, float], torch.Tensor] | None,
) -> Solution:
    """Solves dy = drift(t, y) dt + sigma dB in one step between each two of the depths `ts`, as torchsde does by the
    same method, which asks for the values of its depths. The gradient is that of backpropagation.

    **Arguments:** `sigma`: of the first numbers of y, those that `noise` moves; the others are as in `solver.solve`.
    """
    method, evaluations = solver.in_torchsde, 0
    ys = [y0]
    carried: tuple[torch.Tensor, ...] = ()

    def f(t: float, y: torch.Tensor) -> torch.Tensor:
        nonlocal evaluations
        evaluations += 1
        return drift(t, y)

    if method == "reversible_heun":
        carried = (f(ts[0], y0), y0)
    for start, end in itertools.pairwise(ts):
        y, h = ys[-1], end - start
        moved: Any = 0.0
        if noise is not None:
            moved = sigma * noise(start, end)
            moved = F.pad(moved, (0, y.shape[0] - moved.shape[0]))
        if method == "midpoint":
            middle = f(start + 0.5 * h, y + 0.5 * h * f(start, y) + 0.5 * moved)
            ys.append(y + h * middle + moved)
        elif method == "heun":
            here = f(start, y)
            ys.append(y + 0.5 * h * (here + f(end, y + h * here + moved)) + moved)
        elif method == "reversible_heun":
            here, z = carried
            z = 2 * y - z + h * here + moved
            carried = (f(end, z), z)
            ys.append(y + 0.5 * h * (here + carried[0]) + moved)
        else:
            # Of a constant diffusion the other methods are Euler-Maruyama's.
            ys.append(y + h * f(start, y) + moved)
    return Solution(tuple(ys), evaluations, carried)
