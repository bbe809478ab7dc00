"""Linear layers with swish between them, as fast as with an activation that has no parameter."""

from typing import Any

import torch
import torch.nn.functional as F

from sdebnn.torchbnn.layers.bayesian import Serial
from sdebnn.torchbnn.layers.depth import Depth


class SwishSerial(Serial):
    """`Serial` of an odd number of layers: `Ignore`, `Swish`, `Ignore` and so on.

    As x sigmoid(s x) = silu(s x) / s, a slope s is multiplied into the weights before it and divided out of those after
    it, and not into hidden states, which have many more numbers. The outputs are those of `Serial`, to rounding.
    """

    def forward(self, x: torch.Tensor, *, t: Depth = 0.0) -> torch.Tensor:
        layers: list[Any] = list(self.children())
        before: Any = None
        for layer, swish in zip(layers[:-1:2], layers[1::2], strict=True):
            slope = swish.slope()
            scale = slope if before is None else slope / before
            x = F.silu(layer.linear(layer.weight * scale, layer.bias * slope, x))
            before = slope
        weight = layers[-1].weight if before is None else layers[-1].weight * before.reciprocal()
        return layers[-1].linear(weight, layers[-1].bias, x)
