"""Where a layer is between the start of a network, 0, and its end, 1."""

from typing import TYPE_CHECKING

import torch

# Layers refuse what is none by sentences of their own.
if TYPE_CHECKING:
    Depth = float | torch.Tensor
else:
    Depth = object
