"""Activations as layers, by name."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable

from sdebnn.errors import InputError
from sdebnn.torchbnn.layers.depth import Depth
from sdebnn.torchbnn.layers.diffeq_layers.ignore import DepthLayer

FIXED = {
    "elu": F.elu,
    "gaussian": lambda x: torch.exp(-0.5 * x.square()),
    "gelu": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
    "sigmoid": torch.sigmoid,
    "softplus": F.softplus,
    "tanh": torch.tanh,
}
"""Activations without parameters, by name."""


def activation(name: str) -> DepthLayer:
    """The activation of that name: `"swish"`, which is trainable, or one of `FIXED`.

    **Raises:** `InputError` for another name.
    """
    return Swish() if name == "swish" else Activation(name)


class Activation(DepthLayer):
    """One of `FIXED`. **Raises:** `InputError` for another name, of which `activation` knows one more."""

    def __init__(self, name: str) -> None:
        super().__init__()
        if name not in FIXED:
            raise InputError(
                f"{name!r} is not an activation; there are {', '.join(sorted(FIXED))}, and activation('swish')."
            )
        self.name = name

    def forward(self, x: torch.Tensor, *, t: Depth = 0.0) -> torch.Tensor:
        return FIXED[self.name](x)


class Swish(DepthLayer):
    """x sigmoid(softplus(beta) x), with a trainable beta that starts at softplus(beta) = 1 (Ramachandran et al.,
    2017).
    """

    def __init__(self) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.tensor(math.log(math.expm1(1))))

    def forward(self, x: torch.Tensor, *, t: Depth = 0.0) -> torch.Tensor:
        # Neither compilers nor torch.func look into a function with a gradient of its own.
        if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
            return x * torch.sigmoid(x * self.slope())
        return _SwishOf.apply(x, self.slope())

    def slope(self) -> torch.Tensor:
        """softplus(beta)."""
        return F.softplus(self.beta)


class _SwishOf(torch.autograd.Function):
    """x sigmoid(s x) of a scalar s. It goes through memory half as often as its operations one by one, and keeps two
    tensors for its gradient where they keep three.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        scaled = x * scale
        y = torch.sigmoid(scaled).mul_(x)
        ctx.save_for_backward(scaled, scale, y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scaled, scale, y = ctx.saved_tensors
        # y = silu(s x) / s, so dy/dx = silu'(s x), and dy/ds = (x dy/dx - y) / s.
        of_x = torch.ops.aten.silu_backward(gradient, scaled)
        # Sums go over the numbers as they lie, which for images may be NHWC.
        order = sorted(range(y.ndim), key=y.stride, reverse=True)
        gradient_, y, of_x_, scaled = (a.permute(order).reshape(-1) for a in (gradient, y, of_x, scaled))
        return of_x, (torch.dot(of_x_, scaled) / scale - torch.dot(gradient_, y)) / scale
