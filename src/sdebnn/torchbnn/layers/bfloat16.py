"""f_x in half the precision."""

import torch
from torch import nn

from sdebnn.torchbnn.layers.bayesian import takes_depth
from sdebnn.torchbnn.layers.depth import Depth


class Bfloat16(nn.Module):
    """`fx`, with its convolutions and matrix products in bfloat16, which has the range of float32 and 3 digits.

    Hidden states, weights, their drift and the KL keep their own precision: of `SDEBNN(Bfloat16(fx), process)` f_x
    alone is rounded. On processors that multiply in bfloat16 a training step takes little more than half the time.

    **Arguments:** `fx`: as of `SDEBNN`; the names of its parameters stay.
    """

    def __init__(self, fx: nn.Module) -> None:
        super().__init__()
        self._fx = fx
        self._takes_t = takes_depth(fx)

    def forward(self, x: torch.Tensor, *, t: Depth = 0.0) -> torch.Tensor:
        with torch.autocast(x.device.type, torch.bfloat16):
            outputs = self._fx(x, t=t) if self._takes_t else self._fx(x)
        return outputs.to(x.dtype)
