"""A layer whose outputs are scaled and shifted by functions of depth."""

import torch
from torch import nn

from sdebnn.torchbnn.layers.depth import Depth
from sdebnn.torchbnn.layers.diffeq_layers.ignore import Ignore, Initializer, fan_in_normal
from sdebnn.torchbnn.layers.diffeq_layers.linear_map import LinearMap


class ConcatSquash(Ignore):
    """(W x + b) sigmoid(g t + c) + s t, one gate and one shift a channel (Grathwohl et al., 2019)."""

    def __init__(self, linear: LinearMap, *, w_init: Initializer = fan_in_normal) -> None:
        super().__init__(linear, w_init=w_init)
        self.gate = nn.Parameter(w_init((1, linear.channels)))
        self.gate_bias = nn.Parameter(torch.zeros(linear.channels))
        self.shift = nn.Parameter(w_init((1, linear.channels)))

    def forward(self, x: torch.Tensor, *, t: Depth = 0.0) -> torch.Tensor:
        depth = torch.as_tensor(t, dtype=x.dtype, device=x.device)
        gate, shift = torch.sigmoid(self.gate[0] * depth + self.gate_bias), self.shift[0] * depth
        if self.linear.axis == 1:
            gate, shift = gate[:, None, None], shift[:, None, None]
        return super().forward(x) * gate + shift
