"""A layer that gates its own outputs."""

import dataclasses

import torch

from sdebnn.torchbnn.layers.depth import Depth
from sdebnn.torchbnn.layers.diffeq_layers.concat import Concat
from sdebnn.torchbnn.layers.diffeq_layers.ignore import Initializer, fan_in_normal
from sdebnn.torchbnn.layers.diffeq_layers.linear_map import LinearMap


class Gated(Concat):
    """f(x, t) sigmoid(g(x, t)), where f and g are `Concat` layers (van den Oord et al., 2016); f's output channels come
    before g's.
    """

    def __init__(self, linear: LinearMap, *, w_init: Initializer = fan_in_normal) -> None:
        super().__init__(dataclasses.replace(linear, channels=2 * linear.channels), w_init=w_init)

    def forward(self, x: torch.Tensor, *, t: Depth = 0.0) -> torch.Tensor:
        values, gates = super().forward(x, t=t).chunk(2, dim=self.linear.axis)
        return values * torch.sigmoid(gates)
