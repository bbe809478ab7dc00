"""Gradients of SDEs with a constant diffusion by the adjoint SDE, solved backwards on the same Brownian motion."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch.autograd.function import once_differentiable

Drift = Callable[[Any, torch.Tensor], torch.Tensor]


class Problem(NamedTuple):
    """dy = drift(t, y) dt + sigma dB at the depths `ts`, and how it and its adjoint are solved: functions of
    `(drift, sigma, y0, ts, noise)` that return y at `ts`, (times, n), and the evaluations of the drift.
    """

    drift: Drift
    sigma: torch.Tensor
    ts: torch.Tensor
    noise: Any
    forward: Callable[..., tuple[torch.Tensor, int]]
    backward: Callable[..., tuple[torch.Tensor, int]]


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
        """The state is y, the gradient of y, and those of the parameters; of these y alone has noise."""
        problem: Problem = ctx.problem
        ys, *parameters = ctx.saved_tensors
        sizes = [ys.shape[1], ys.shape[1], sum(p.numel() for p in parameters)]

        def drift(minus_t: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
            y, of_y, _ = state.split(sizes)
            with torch.enable_grad():
                y = y.detach().requires_grad_()
                f = problem.drift(-minus_t, y)
            found = torch.autograd.grad(f, [y, *parameters], of_y, allow_unused=True, materialize_grads=True)
            return torch.cat([-f.detach(), *(gradient.reshape(-1) for gradient in found)])

        def noise(start: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
            return problem.noise(-end, -start)

        sigma = torch.cat([-problem.sigma, ys.new_zeros(sum(sizes[1:]))])
        of_y, of_parameters = of_ys[-1], ys.new_zeros(sizes[2])
        for last in range(len(ys) - 1, 0, -1):
            state = torch.cat([ys[last], of_y, of_parameters])
            ts = -problem.ts[[last, last - 1]]
            states = problem.backward(drift, sigma, state, ts, None if problem.noise is None else noise)[0]
            of_y, of_parameters = states[-1].split(sizes)[1:]
            of_y = of_y + of_ys[last - 1]
        parts = of_parameters.split([p.numel() for p in parameters])
        return None, of_y, *(part.view(p.shape) for part, p in zip(parts, parameters, strict=True))
