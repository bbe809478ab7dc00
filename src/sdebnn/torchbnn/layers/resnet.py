"""The residual network of 32 layers (He et al., 2016) without batch normalisation: the baseline of finite depth."""

import torch
from torch import nn

from sdebnn.torchbnn.layers import diffeq_layers
from sdebnn.torchbnn.layers.bayesian import Serial

BLOCKS = 5
GROUPS = 3


def ResNet32(inputs: int, outputs: int, *, width: int = 16, activation: str = "relu") -> nn.Module:
    """31 convolutions of 3 x 3 in three groups of `width`, 2 `width` and 4 `width` channels, and a dense layer.

    The last convolution of every residual block starts at zero, so that the network starts shallow: this takes the
    place of batch normalisation (Zhang et al., 2019).

    **Arguments:**

    - `inputs`: channels of the images, NCHW.
    - `outputs`: numbers for one image.
    - `width`: channels of the first group.
    - `activation`: by its name in `diffeq_layers.activation`.
    """
    layers: list[nn.Module] = [diffeq_layers.conv("ignore", inputs, width), diffeq_layers.activation(activation)]
    channels = width
    for group in range(GROUPS):
        for block in range(BLOCKS):
            stride = 2 if group > 0 and block == 0 else 1
            layers.append(_Residual(channels, width * 2**group, stride, activation))
            channels = width * 2**group
    return Serial(*layers, _GlobalMean(), diffeq_layers.dense("ignore", channels, outputs))


class _Residual(nn.Module):
    """activate(shortcut(x) + convolutions(x)); the shortcut is a 1 x 1 convolution where the shape changes."""

    def __init__(self, inputs: int, channels: int, stride: int, activation: str) -> None:
        super().__init__()
        first = diffeq_layers.conv("ignore", inputs, channels, stride=stride)
        last = diffeq_layers.conv("ignore", channels, channels, w_init=torch.zeros)
        changes = stride > 1 or inputs != channels
        shortcut = diffeq_layers.conv("ignore", inputs, channels, (1, 1), stride) if changes else nn.Identity()
        parts = (Serial(first, diffeq_layers.activation(activation), last), shortcut)
        for number, part in enumerate((*parts, diffeq_layers.activation(activation))):
            self.add_module(str(number), part)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        branch, shortcut, activate = self.children()
        return activate(shortcut(x) + branch(x))


class _GlobalMean(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=(2, 3))
