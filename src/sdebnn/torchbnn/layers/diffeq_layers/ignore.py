"""A layer that does not depend on depth."""

import math
from collections.abc import Callable

import torch
from torch import nn

from sdebnn.torchbnn.layers.depth import Depth
from sdebnn.torchbnn.layers.diffeq_layers.linear_map import LinearMap

Initializer = Callable[[tuple[int, ...]], torch.Tensor]


def fan_in_normal(shape: tuple[int, ...]) -> torch.Tensor:
    """Independent normals, standard deviation 1 / sqrt(fan-in); the fan-in is the product of all sides but the last."""
    return torch.randn(shape) / math.sqrt(math.prod(shape[:-1]))


class DepthLayer(nn.Module):
    """A layer called as `layer(x, t=...)` whose weights have the layout of `sdebnn.brax`: inputs before outputs."""


class Ignore(DepthLayer):
    """W x + b, whatever t is."""

    def __init__(self, linear: LinearMap, *, w_init: Initializer = fan_in_normal) -> None:
        super().__init__()
        self.linear = linear
        self.bias = nn.Parameter(torch.zeros(linear.channels))
        self.weight = nn.Parameter(w_init(linear.weight_shape()))

    def forward(self, x: torch.Tensor, *, t: Depth = 0.0) -> torch.Tensor:
        return self.linear(self.weight, self.bias, x)
