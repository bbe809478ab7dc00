"""Depth and position as input channels."""

import dataclasses

import torch

from sdebnn.torchbnn.layers.depth import Depth
from sdebnn.torchbnn.layers.diffeq_layers.concat import Concat
from sdebnn.torchbnn.layers.diffeq_layers.ignore import Initializer, fan_in_normal
from sdebnn.torchbnn.layers.diffeq_layers.linear_map import LinearMap


class ConcatCoord(Concat):
    """W [x, position, t] + b: a layer that knows depth and place (CoordConv, Liu et al., 2018).

    Images get two channels that go from -1 to 1 along an axis each; vectors none, where this is `Concat`.
    """

    def __init__(self, linear: LinearMap, *, w_init: Initializer = fan_in_normal) -> None:
        axes = 2 if linear.axis == 1 else 0
        super().__init__(dataclasses.replace(linear, inputs=linear.inputs + axes), w_init=w_init)

    def forward(self, x: torch.Tensor, *, t: Depth = 0.0) -> torch.Tensor:
        if self.linear.axis == 1:
            sides = [
                torch.linspace(-1, 1, side, dtype=x.dtype, device=x.device) if side > 1 else x.new_zeros(1)
                for side in x.shape[2:]
            ]
            positions = torch.stack(torch.meshgrid(*sides, indexing="ij"))
            x = torch.cat([x, positions.expand(x.shape[0], *positions.shape)], dim=1)
        return super().forward(x, t=t)
