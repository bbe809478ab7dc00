"""The number of inputs that each weight of a network competes with."""

import math

from torch import nn

from sdebnn.torchbnn.diffeq_layers.ignore import DepthLayer


def fan_in(module: nn.Module) -> dict[str, float]:
    """The fan-in n of every parameter of a module, by its name; 1 / sqrt(n) is its usual initial scale.

    That of a weight is the product of its sides but that of its outputs: the last one in the layers of this package,
    the first one in those of `torch.nn`. A bias has the largest fan-in among the weights of its layer, and 1 where
    there are none.
    """
    sizes = {}
    for prefix, owner in module.named_modules():
        own = dict(owner.named_parameters(recurse=False))
        last = isinstance(owner, DepthLayer)
        inputs = {name: math.prod(p.shape[:-1] if last else p.shape[1:]) for name, p in own.items()}
        weights = [inputs[name] for name, p in own.items() if p.ndim >= 2]
        for name, p in own.items():
            sizes[f"{prefix}.{name}" if prefix else name] = float(inputs[name] if p.ndim >= 2 else max(weights or [1]))
    return sizes
