"""The network that corrects the prior's drift."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from sdebnn.errors import InputError
from sdebnn.torchbnn.bayesian import Serial
from sdebnn.torchbnn.diffeq_layers import activation as activation_by_name
from sdebnn.torchbnn.diffeq_layers import dense


def drift_network(widths: tuple[int, ...] = (2, 64, 2), activation: str = "softplus") -> Callable[[int], nn.Module]:
    """NN(w, t): a multilayer perceptron of the weights and of depth, whose last layer starts at zero, as the posterior
    then starts at the prior.

    **Arguments:**

    - `widths`: of the hidden layers. A narrow first and last one keep the number of parameters at a few times that of
      the weights.
    - `activation`: by its name in `diffeq_layers.activation`.

    **Returns:** a function of the number of weights that makes the module.
    """

    # No closure, so that a network can be pickled.
    return partial(_network, widths, activation)


def _network(widths: tuple[int, ...], activation: str, size: int) -> nn.Module:
    layers: list[nn.Module] = []
    inputs = size
    for width in widths:
        layers += [dense("concat", inputs, width), activation_by_name(activation)]
        inputs = width
    return Serial(*layers, dense("ignore", inputs, size, w_init=torch.zeros))


def correction(drift: Callable[..., torch.Tensor], w: torch.Tensor, t: Any) -> torch.Tensor:
    """NN(w, t). **Raises:** `InputError` unless it is one number for each weight."""
    moved = drift(w, t=t.to(w))
    if moved.shape != w.shape:
        raise InputError(
            f"The posterior drift maps {w.numel()} weights to shape {tuple(moved.shape)}; it must give one number for "
            "each weight."
        )
    return moved
