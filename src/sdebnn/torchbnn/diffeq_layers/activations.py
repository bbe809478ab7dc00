"""Activations as layers, by name."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from sdebnn.errors import InputError
from sdebnn.torchbnn.diffeq_layers.ignore import DepthLayer

FIXED = {
    "elu": F.elu,
    "gelu": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
    "sigmoid": torch.sigmoid,
    "softplus": F.softplus,
    "tanh": torch.tanh,
}
"""Activations without parameters, by name."""


def activation(name: str) -> DepthLayer:
    """The activation of that name: `"swish"`, which is trainable, or one of `FIXED`.

    **Raises:** `InputError` for another name.
    """
    if name == "swish":
        return Swish()
    if name not in FIXED:
        raise InputError(f"{name!r} is not an activation; there are {', '.join(sorted([*FIXED, 'swish']))}.")
    return Activation(name)


class Activation(DepthLayer):
    """One of `FIXED`."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, x: torch.Tensor, *, t: Any = 0.0) -> torch.Tensor:
        return FIXED[self.name](x)


class Swish(DepthLayer):
    """x sigmoid(softplus(beta) x), with a trainable beta that starts at softplus(beta) = 1 (Ramachandran et al.,
    2017).
    """

    def __init__(self) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.tensor(math.log(math.expm1(1))))

    def forward(self, x: torch.Tensor, *, t: Any = 0.0) -> torch.Tensor:
        return x * torch.sigmoid(F.softplus(self.beta) * x)
