"""Depth as one more input channel."""

import dataclasses

import torch

from sdebnn.torchbnn.layers.depth import Depth
from sdebnn.torchbnn.layers.diffeq_layers.ignore import Ignore, Initializer, fan_in_normal
from sdebnn.torchbnn.layers.diffeq_layers.linear_map import LinearMap


class Concat(Ignore):
    """W [x, t] + b: behind the channels of the inputs comes one that is t everywhere."""

    def __init__(self, linear: LinearMap, *, w_init: Initializer = fan_in_normal) -> None:
        super().__init__(dataclasses.replace(linear, inputs=linear.inputs + 1), w_init=w_init)

    def forward(self, x: torch.Tensor, *, t: Depth = 0.0) -> torch.Tensor:
        axis = self.linear.axis
        shape = list(x.shape)
        shape[axis] = 1
        depth = torch.as_tensor(t, dtype=x.dtype, device=x.device).expand(shape)
        return super().forward(torch.cat([x, depth], dim=axis))
