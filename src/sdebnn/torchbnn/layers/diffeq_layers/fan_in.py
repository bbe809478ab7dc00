"""The number of inputs that each weight of a network competes with."""

import math
from collections.abc import Sequence

from torch import nn

from sdebnn.torchbnn.layers.diffeq_layers.ignore import DepthLayer


def fan_in(module: nn.Module) -> dict[str, float]:
    """The fan-in n of every parameter of a module, by its name; 1 / sqrt(n) is its usual initial scale.

    That of a weight is the product of its sides but that of its outputs: the last one in the layers of this package,
    the first one in those of `torch.nn`, the second one in its transposed convolutions. A bias has the largest fan-in
    among the weights of its layer, and 1 where there are none.
    """
    sizes = {}
    for prefix, owner in module.named_modules():
        own = dict(owner.named_parameters(recurse=False))
        inputs = {name: _inputs(owner, p.shape) for name, p in own.items()}
        weights = [inputs[name] for name, p in own.items() if p.ndim >= 2]
        for name, p in own.items():
            sizes[f"{prefix}.{name}" if prefix else name] = float(inputs[name] if p.ndim >= 2 else max(weights or [1]))
    return sizes


def _inputs(owner: nn.Module, shape: Sequence[int]) -> int:
    if isinstance(owner, DepthLayer):
        return math.prod(shape[:-1])
    if isinstance(owner, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d):
        return shape[0] // owner.groups * math.prod(shape[2:])
    return math.prod(shape[1:])
