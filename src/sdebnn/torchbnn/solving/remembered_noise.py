"""Brownian increments that are drawn once where they are asked for more than once."""

from collections.abc import Callable
from typing import Any

import torch

from sdebnn.torchbnn.layers.depth import Depth


def remembered(noise: Callable[[Any, Any], torch.Tensor]) -> Callable[[Any, Any], torch.Tensor]:
    """`noise(ta, tb)` with every increment kept, as long as the function itself is. To draw normals for all weights
    takes longer than most of what is done with them.
    """
    increments: dict[tuple[float, float], torch.Tensor] = {}

    def recall(ta: Depth, tb: Depth) -> torch.Tensor:
        depths = float(ta), float(tb)
        if depths not in increments:
            increments[depths] = noise(ta, tb)
        return increments[depths]

    return recall
