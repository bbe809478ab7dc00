"""Solutions by torchsde of SDEs whose diffusion is a constant vector."""

import functools
import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
import torchsde
from torch import nn

from sdebnn.errors import InputError
from sdebnn.torchbnn.layers.depth import Depth
from sdebnn.torchbnn.solving.stochastic_adjoint import Problem, solve_with_adjoint

# Each method of torchsde solves one kind of SDE. With a constant diffusion the two kinds are the same.
SDE_TYPES = {
    "euler": "ito",
    "milstein": "ito",
    "midpoint": "stratonovich",
    "heun": "stratonovich",
    "euler_heun": "stratonovich",
    "reversible_heun": "stratonovich",
}
# They ask for the drift where a step ends; the others between its start and its middle.
ASK_AT_THE_END = ("heun", "reversible_heun")
ALIASES = {"euler_maruyama": "euler"}
ADJOINTS = ("backprop", "stochastic", "reversible")


class Solver(NamedTuple):
    """How SDEs and ODEs over depth are solved.

    **Arguments:**

    - `steps`: equal steps over depth 0 to 1, a whole number of them on each stretch of depth with and without noise;
      with adaptive steps the first one is of this size.
    - `method`: a name among `SDE_TYPES`, or `euler_maruyama`, which is torchsde's `euler`.
    - `adjoint`: `"backprop"` through the steps; `"stochastic"`: the adjoint SDE, whose memory does not grow with the
      number of steps and whose gradients are those of the exact solution (Li et al., 2020); `"reversible"`: that of
      reversible Heun, which is exact (Kidger et al., 2021).
    - `rtol`, `atol`: tolerances of adaptive steps; 0 and 0 are fixed steps. `adjoint_adaptive`: whether the adjoint SDE
      takes adaptive steps too.
    """

    steps: int = 20
    method: str = "euler_maruyama"
    adjoint: str = "backprop"
    rtol: float = 0.0
    atol: float = 0.0
    adjoint_adaptive: bool = False

    @property
    def in_torchsde(self) -> str:
        """torchsde's name of the method."""
        return ALIASES.get(self.method, self.method)

    @property
    def adaptive(self) -> bool:
        """Whether steps are adaptive."""
        return max(self.rtol, self.atol) > 0

    @property
    def asks_at_the_end(self) -> str:
        """The choice by which the drift is asked for at depth 1; empty where it is not."""
        if self.method in ASK_AT_THE_END:
            return f"method={self.method!r}"
        if self.adjoint != "backprop":
            return f"adjoint={self.adjoint!r}"
        return f"rtol={self.rtol}, atol={self.atol}" if self.adaptive else ""


def as_solver(block: str, solver: Any, choices: Mapping[str, Any]) -> Solver:
    """The solver that a block is given; without one, that of these choices.

    **Raises:** `InputError` for both, for choices that a solver does not have, and as `check_solver`.
    """
    if unknown := set(choices) - set(Solver._fields):
        raise InputError(
            f"{block} got {min(unknown)}, which neither it nor a solver takes; a solver takes "
            f"{', '.join(Solver._fields)}."
        )
    if solver is None:
        return check_solver(Solver(**choices))
    if choices:
        raise InputError(f"{block} got a solver and {', '.join(choices)} beside it; put these into the Solver.")
    return check_solver(solver)


def check_solver(solver: Solver) -> Solver:
    """The solver, its steps a number of Python. **Raises:** `InputError` for what torchsde does not offer."""
    if not isinstance(solver, Solver):
        raise InputError(f"solver={solver!r} is not allowed: it takes a Solver, like Solver(20, method='midpoint').")
    method = solver.in_torchsde
    if method not in SDE_TYPES:
        raise InputError(f"method={solver.method!r} is not allowed: torchsde takes {', '.join(SDE_TYPES)}.")
    if not isinstance(solver.steps, int | np.integer) or solver.steps < 1:
        raise InputError(
            f"steps={solver.steps!r} is not allowed: the solver takes a whole number of steps over depth 0 to 1, 1 or "
            "more."
        )
    if solver.adjoint not in ADJOINTS:
        raise InputError(f"adjoint={solver.adjoint!r} is not allowed in PyTorch: it takes {', '.join(ADJOINTS)}.")
    if (solver.adjoint == "reversible") != (method == "reversible_heun") and solver.adjoint != "backprop":
        raise InputError(
            f"adjoint={solver.adjoint!r} does not go with method={method!r}: reversible_heun takes reversible or "
            "backprop, the other methods stochastic or backprop."
        )
    if not (0 <= solver.rtol < math.inf and 0 <= solver.atol < math.inf):
        raise InputError(f"rtol={solver.rtol} and atol={solver.atol} must be finite, 0 or more.")
    if solver.adaptive and method == "reversible_heun":
        raise InputError(
            "Adaptive steps do not go with reversible_heun, whose extra state belongs to its own steps; take "
            "midpoint or heun, or rtol=0 and atol=0."
        )
    if solver.adjoint_adaptive and not (solver.adaptive and solver.adjoint == "stochastic"):
        raise InputError("adjoint_adaptive takes adjoint='stochastic' and a positive rtol or atol.")
    return solver._replace(steps=int(solver.steps))


class PaddedBrownian(torchsde.BaseBrownian):
    """The Brownian motion of the first numbers of a state; the others have none, and none is drawn for them.

    **Arguments:**

    - `noise`: increments by `noise(ta, tb)`, shape (n,); `None` for a state without noise.
    - `size`: of the state.
    """

    def __init__(self, noise: Any, size: int, like: torch.Tensor) -> None:
        super().__init__()
        self._noise, self._size, self._like = noise, size, like

    def __call__(
        self, ta: Depth, tb: Depth | None = None, return_U: bool = False, return_A: bool = False
    ) -> torch.Tensor:
        if self._noise is None:
            return self._like.new_zeros(1, self._size)
        increment = self._noise(ta, tb).reshape(1, -1)
        return torch.cat([increment, increment.new_zeros(1, self._size - increment.shape[1])], dim=1)

    def __repr__(self) -> str:
        return f"PaddedBrownian({self._noise!r}, {self._size})"

    @property
    def dtype(self) -> torch.dtype:
        return self._like.dtype

    @property
    def device(self) -> torch.device:
        return self._like.device

    @property
    def shape(self) -> torch.Size:
        return torch.Size((1, self._size))

    @property
    def levy_area_approximation(self) -> str:
        return "none"


def step_size(start: float, end: float, steps: int) -> float:
    """Of equal steps from `start` to `end`, as near as possible to so many over depth 0 to 1. It is longer by a
    trillionth: sums of steps must not end just below `end`, before one more step.
    """
    return (1 + 1e-12) * (end - start) / max(1, round(steps * (end - start)))


def fixed_depths(start: float, end: float, steps: int) -> list[float]:
    """The depths at which fixed steps from `start` to `end` end, as the solver computes them."""
    ts = [start]
    while ts[-1] < end:
        ts.append(min(ts[-1] + step_size(start, end, steps), end))
    return ts


def grid(start: float, end: float, steps: int) -> torch.Tensor:
    """`fixed_depths` as a float64 tensor."""
    return torch.tensor(fixed_depths(start, end, steps), dtype=torch.float64)


def asked_depths(steps: torch.Tensor | list[float], solver: Solver) -> list[float]:
    """The depths, among those where fixed `steps` end, at which the state is the last one whose drift the solver asks
    for: where steps begin, but none for reversible Heun, whose drift is that of a second state.
    """
    if solver.method == "reversible_heun":
        return []
    return steps[:-1] if isinstance(steps, list) else steps[:-1].tolist()


class _ConstantDiffusionSDE(nn.Module):
    noise_type = "diagonal"

    def __init__(self, drift: Callable[[Any, torch.Tensor], torch.Tensor], sigma: torch.Tensor, sde_type: str) -> None:
        super().__init__()
        self._drift, self._sigma, self.sde_type = drift, sigma, sde_type
        self._first: tuple[float, torch.Tensor, torch.Tensor] | None = None
        self.evaluations = 0

    def f(self, t: Depth, y: torch.Tensor) -> torch.Tensor:
        # torchsde looks at the drift's shape where its first step begins, and then asks there once more.
        first, self._first = self._first, None
        if first is not None and first[0] == float(t) and first[1] is y:
            return first[2]
        self.evaluations += 1
        drift = self._drift(t, y.squeeze(0)).unsqueeze(0)
        if self.evaluations == 1:
            self._first = (float(t), y, drift)
        return drift

    def g(self, t: Depth, y: torch.Tensor) -> torch.Tensor:
        return self._sigma.unsqueeze(0)


class Solution(NamedTuple):
    """`ys` at the depths asked for, (times, p), or as many vectors; how often the drift was computed, those of an
    adjoint, which come later, left out; and what the method carries on to further depths beside y, which is something
    for reversible Heun.
    """

    ys: torch.Tensor | tuple[torch.Tensor, ...]
    evaluations: int
    extra: tuple[torch.Tensor, ...]


def solve(
    drift: Callable[[Any, torch.Tensor], torch.Tensor],
    sigma: torch.Tensor,
    y0: torch.Tensor,
    ts: torch.Tensor,
    solver: Solver,
    noise: Any,
    parameters: Iterable[torch.Tensor],
    *,
    dt: float | None = None,
    extra: tuple[torch.Tensor, ...] = (),
) -> Solution:
    """Solves dy = drift(t, y) dt + sigma dB.

    **Arguments:**

    - `sigma`: of the length of y0.
    - `ts`: increasing depths, float64.
    - `solver`: of `check_solver`.
    - `noise`: Brownian increments of the first numbers of y; see `PaddedBrownian`.
    - `parameters`: what the drift depends on, for the adjoint.
    - `dt`, `extra`: where a solution goes on: the step, and what its method carried on.

    **Raises:** `FloatingPointError` where adaptive steps meet a state that is NaN.
    """
    if solver.adjoint == "stochastic":
        forward = solver._replace(adjoint="backprop", adjoint_adaptive=False)
        backward = forward if solver.adjoint_adaptive else forward._replace(rtol=0.0, atol=0.0)
        stages = None if backward.adaptive else partial(_stages, backward)
        problem = Problem(drift, sigma, ts, noise, _solved_by(forward), _solved_by(backward), stages)
        return Solution(*solve_with_adjoint(problem, y0, parameters), ())
    sde = _ConstantDiffusionSDE(drift, sigma, SDE_TYPES[solver.in_torchsde])
    options: dict[str, Any] = {
        "bm": PaddedBrownian(noise, y0.numel(), y0),
        "method": solver.in_torchsde,
        "dt": dt or step_size(float(ts[0]), float(ts[-1]), solver.steps),
        "extra": True,
        "extra_solver_state": extra or None,
        "adaptive": solver.adaptive,
        "rtol": solver.rtol,
        "atol": solver.atol,
    }
    integrate = torchsde.sdeint
    if solver.adjoint == "reversible":
        integrate = torchsde.sdeint_adjoint
        options |= {"adjoint_method": "adjoint_reversible_heun", "adjoint_params": tuple(parameters)}
    with warnings.catch_warnings():
        # Of adaptive Euler-Maruyama, which is right here: torchsde does not know that this diffusion is constant.
        warnings.filterwarnings("ignore", "Numerical solution is not guaranteed to converge")
        try:
            ys, carried = integrate(sde, y0[None], ts, **options)
        except AssertionError as error:
            raise FloatingPointError(
                f"A state became NaN in adaptive steps ({error}); check the inputs or lower the learning rate or sigma."
            ) from error
    return Solution(ys.squeeze(1), sde.evaluations, tuple(carried))


def _solved_by(solver: Solver) -> Callable[..., tuple[torch.Tensor, int]]:
    def solved(drift: Any, sigma: torch.Tensor, y0: torch.Tensor, ts: torch.Tensor, noise: Any) -> Any:
        return solve(drift, sigma, y0, ts, solver, noise, ())[:2]

    return solved


def _stages(solver: Solver, ts: torch.Tensor) -> tuple[float, ...]:
    h = step_size(float(ts[0]), float(ts[-1]), solver.steps)
    return tuple(h * weight for weight in _weights(solver.in_torchsde))


@functools.cache
def _weights(method: str) -> tuple[float, ...]:
    """The factors, in units of the step, with which a step of torchsde's method adds up the drift of its evaluations:
    those found in one step in which every evaluation moves a number of its own.
    """
    directions, calls = torch.eye(8, dtype=torch.float64), itertools.count()

    def drift(t: Depth, y: torch.Tensor) -> torch.Tensor:
        return directions[next(calls)]

    ts = torch.tensor([0.0, 1.0], dtype=torch.float64)
    solution = solve(drift, directions[0] * 0, directions[0] * 0, ts, Solver(1, method), None, ())
    return tuple(solution.ys[-1][: solution.evaluations].tolist())
