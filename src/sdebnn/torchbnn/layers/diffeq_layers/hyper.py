"""A layer whose weights are computed from depth by a small network."""

import torch
from torch import nn

from sdebnn.errors import InputError
from sdebnn.torchbnn.layers.depth import Depth
from sdebnn.torchbnn.layers.diffeq_layers.ignore import DepthLayer, Ignore, Initializer, fan_in_normal
from sdebnn.torchbnn.layers.diffeq_layers.linear_map import DenseMap, LinearMap


class Hyper(DepthLayer):
    """W(t) x + b(t), where (W, b)(t) is the output of a network of t with one hidden layer of tanh (Ha et al., 2017):
    (W, b)(t) = base + sum over k of tanh(u t + v)_k modes_k.

    **Raises:** `InputError` unless `width`, the number of hidden units, is positive.
    """

    def __init__(self, linear: LinearMap, *, w_init: Initializer = fan_in_normal, width: int = 2) -> None:
        super().__init__()
        if width < 1:
            raise InputError(f"A hyper layer got width={width}; its network of t takes 1 hidden unit or more.")
        self.base = Ignore(linear, w_init=w_init)
        self.hidden = Ignore(DenseMap(1, width), w_init=w_init)
        self.modes = nn.ModuleList(Ignore(linear, w_init=w_init) for _ in range(width))

    def forward(self, x: torch.Tensor, *, t: Depth = 0.0) -> torch.Tensor:
        depth = torch.as_tensor(t, dtype=x.dtype, device=x.device)
        units = torch.tanh(self.hidden.weight[0] * depth + self.hidden.bias)
        weight, bias = self.base.weight, self.base.bias
        for unit, mode in zip(units, self.modes, strict=True):
            weight, bias = weight + unit * mode.weight, bias + unit * mode.bias
        return self.base.linear(weight, bias, x)
