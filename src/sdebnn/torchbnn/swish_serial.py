"""Linear layers with swish between them, as fast as with an activation that has no parameter."""

from typing import Any

import torch
import torch.nn.functional as F

from sdebnn.torchbnn.bayesian import Serial


class SwishSerial(Serial):
    """`Serial` of an odd number of layers: `Ignore`, `Swish`, `Ignore` and so on.

    As x sigmoid(s x) = silu(s x) / s, a slope s is multiplied into the weights before it and divided out of those after
    it, and not into hidden states, which have many more numbers. The outputs are those of `Serial`, to rounding.
    """

    def forward(self, x: torch.Tensor, *, t: Any = 0.0) -> torch.Tensor:
        layers: list[Any] = list(self.children())
        weight = layers[0].weight
        for layer, swish, following in zip(layers[:-1:2], layers[1::2], layers[2::2], strict=True):
            slope = swish.slope()
            x = F.silu(layer.linear(weight * slope, layer.bias * slope, x))
            weight = following.weight * slope.reciprocal()
        return layers[-1].linear(weight, layers[-1].bias, x)
