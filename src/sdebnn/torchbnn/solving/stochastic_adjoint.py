"""Gradients of SDEs with a constant diffusion by the adjoint SDE, solved backwards on the same Brownian motion."""

import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch.autograd.function import once_differentiable

Drift = Callable[[Any, torch.Tensor], torch.Tensor]


# Parts of the way from one end to the other, and of the states' size: by more than both together states are not missed
# where they are solved back to, unless they are lost.
OF_WAY, OF_SIZE = 0.5, 0.1
LOST = (
    "The adjoint SDE lost the states of the solution, which it solves for backwards: where it began it came to others, "
    "so the gradient would be wrong and is NaN. Take more steps, a method of higher order such as midpoint, or "
    "adjoint='backprop', or reversible_heun with adjoint='reversible'."
)


class Problem(NamedTuple):
    """dy = drift(t, y) dt + sigma dB at the depths `ts`, and how it and its adjoint are solved: functions of
    `(drift, sigma, y0, ts, noise)` that return y at `ts`, (times, n), and the evaluations of the drift.

    `stages(ts)` are the factors with which a backward step over such a stretch adds up the drift of its evaluations, in
    their order; `None` where steps are adaptive, and may be taken back.
    """

    drift: Drift
    sigma: torch.Tensor
    ts: torch.Tensor
    noise: Any
    forward: Callable[..., tuple[torch.Tensor, int]]
    backward: Callable[..., tuple[torch.Tensor, int]]
    stages: Callable[[torch.Tensor], tuple[float, ...]] | None


def solve_with_adjoint(
    problem: Problem, y0: torch.Tensor, parameters: Iterable[torch.Tensor]
) -> tuple[torch.Tensor, int]:
    """The solution of `problem` from `y0`, with a gradient for it and for the parameters that the drift reads, and the
    evaluations of the drift. No state between the depths is kept (Li et al., 2020).
    """
    return _Adjoint.apply(problem, y0, *(p for p in parameters if p.requires_grad))


class _Adjoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, problem: Problem, y0: torch.Tensor, *parameters: torch.Tensor) -> tuple[torch.Tensor, int]:
        ys, evaluations = problem.forward(problem.drift, problem.sigma, y0, problem.ts, problem.noise)
        ctx.problem = problem
        ctx.save_for_backward(ys, *parameters)
        return ys, evaluations

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_ys: torch.Tensor, _of_evaluations: None) -> tuple[torch.Tensor | None, ...]:
        """The state is y and the gradient of y; of these y alone has noise. The gradient of the parameters is an
        integral along the way. It is summed up beside the solver, which then has less to move, and not computed for
        stages that do not count; with adaptive steps it is a part of the state.
        """
        problem: Problem = ctx.problem
        ys, *parameters = ctx.saved_tensors
        summed = problem.stages is not None
        sizes = [ys.shape[1], ys.shape[1], 0 if summed else sum(p.numel() for p in parameters)]
        sums = [torch.zeros_like(p) for p in parameters]
        stages: Iterator[float] = itertools.repeat(1.0)

        def drift(minus_t: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
            y, of_y, _ = state.split(sizes)
            stage = next(stages)
            with torch.enable_grad():
                y = y.detach().requires_grad_()
                f = problem.drift(-minus_t, y)
            inputs = [y, *parameters] if stage else [y]
            of_y, *found = torch.autograd.grad(f, inputs, of_y, allow_unused=True, materialize_grads=True)
            if not summed:
                return torch.cat([-f.detach(), of_y, *(gradient.reshape(-1) for gradient in found)])
            for gradient_sum, gradient in zip(sums, found, strict=False):
                gradient_sum.add_(gradient, alpha=stage)
            return torch.cat([-f.detach(), of_y])

        def noise(start: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
            return problem.noise(-end, -start)

        sigma = torch.cat([-problem.sigma, ys.new_zeros(sum(sizes[1:]))])
        of_y, of_parameters = of_ys[-1], ys.new_zeros(sizes[2])
        for last in range(len(ys) - 1, 0, -1):
            state = torch.cat([ys[last], of_y, of_parameters])
            ts = -problem.ts[[last, last - 1]]
            if problem.stages is not None:
                stages = itertools.cycle(problem.stages(ts))
            states = problem.backward(drift, sigma, state, ts, None if problem.noise is None else noise)[0]
            if _lost(states[-1][: sizes[0]], ys[last - 1], ys[last], problem.sigma):
                warnings.warn(LOST, RuntimeWarning, stacklevel=2)
                return None, *(torch.full_like(tensor, torch.nan) for tensor in (of_y, *parameters))
            of_y, of_parameters = states[-1].split(sizes)[1:]
            of_y = of_y + of_ys[last - 1]
        if not summed:
            parts = of_parameters.split([p.numel() for p in parameters])
            sums = [part.view(p.shape) for part, p in zip(parts, parameters, strict=True)]
        return None, of_y, *sums


def _lost(found: torch.Tensor, true: torch.Tensor, end: torch.Tensor, sigma: torch.Tensor) -> bool:
    """Whether the state that was found backwards is not the true one, of the numbers with noise or of the others. A
    drift that pulls together forwards drives apart backwards. The steps' own error is far below the size of the states.
    """

    def largest(part: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        return torch.where(part, numbers.abs(), 0).amax()

    lost = [~torch.isfinite(found).all()]
    for part in (sigma != 0, sigma == 0):
        size = torch.maximum(largest(part, true), largest(part, end))
        lost.append(largest(part, found - true) > OF_WAY * largest(part, end - true) + OF_SIZE * size)
    return bool(torch.stack(lost).any())
