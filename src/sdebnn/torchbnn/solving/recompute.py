"""Gradients of functions whose intermediate values are not kept but computed again."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.autograd.function import once_differentiable

Tensors = tuple[torch.Tensor, ...]


def recomputed(function: Callable[..., Tensors], states: Tensors, parameters: Iterable[torch.Tensor]) -> Tensors:
    """`function(*states)`, with a gradient for the states and for the parameters that the function reads.

    Unlike `torch.utils.checkpoint` it keeps no node of the graph either. Such nodes, small ones that stay between large
    ones that go, make the memory of a process grow by many times what they hold.
    """
    return _Recomputed.apply(function, len(states), *states, *(p for p in parameters if p.requires_grad))


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, function: Callable[..., Tensors], states: int, *tensors: torch.Tensor) -> Tensors:
        ctx.function, ctx.states = function, states
        ctx.save_for_backward(*tensors)
        return function(*tensors[:states])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[Any, ...]:
        states = [state.detach().requires_grad_() for state in ctx.saved_tensors[: ctx.states]]
        with torch.enable_grad():
            outputs = ctx.function(*states)
        of = [(output, g) for output, g in zip(outputs, gradients, strict=True) if output.requires_grad]
        inputs = [*states, *ctx.saved_tensors[ctx.states :]]
        found = torch.autograd.grad([o for o, _ in of], inputs, [g for _, g in of], allow_unused=True)
        return None, None, *found
