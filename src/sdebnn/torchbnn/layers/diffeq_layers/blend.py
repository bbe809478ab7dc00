"""A layer whose weights move on a straight line through depth."""

import torch

from sdebnn.torchbnn.layers.depth import Depth
from sdebnn.torchbnn.layers.diffeq_layers.ignore import DepthLayer, Ignore, Initializer, fan_in_normal
from sdebnn.torchbnn.layers.diffeq_layers.linear_map import LinearMap


class Blend(DepthLayer):
    """(1 - t) (A x + a) + t (B x + b): one layer at depth 0, another at depth 1, a blend between.

    The map is linear in its weights, so they are blended and it is applied once.
    """

    def __init__(self, linear: LinearMap, *, w_init: Initializer = fan_in_normal) -> None:
        super().__init__()
        self.start = Ignore(linear, w_init=w_init)
        self.end = Ignore(linear, w_init=w_init)

    def forward(self, x: torch.Tensor, *, t: Depth = 0.0) -> torch.Tensor:
        depth = torch.as_tensor(t, dtype=x.dtype, device=x.device)
        weight = (1 - depth) * self.start.weight + depth * self.end.weight
        bias = (1 - depth) * self.start.bias + depth * self.end.bias
        return self.start.linear(weight, bias, x)
