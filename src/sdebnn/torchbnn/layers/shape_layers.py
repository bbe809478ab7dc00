"""Modules without parameters that change a tensor's shape."""

import torch
import torch.nn.functional as F
from torch import nn

from sdebnn.errors import InputError


class Augment(nn.Module):
    """Appends `channels` channels of zeros, so that trajectories of the hidden state may cross (Dupont et al., 2019):
    to the second axis of images, (n, c, h, w), and to the last one of tables, (n, d).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels < 0:
            raise InputError(f"Augment got {channels} channels; the number of zero channels must be 0 or more.")
        self.channels = channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.pad(x, (0, 0) * (x.ndim - 2) + (0, self.channels))


class Squeeze(nn.Module):
    """Space-to-depth: every `factor` x `factor` patch of pixels becomes one pixel with `factor^2` times the channels.

    **Raises:** `InputError` when a side is not divisible by the factor.
    """

    def __init__(self, factor: int = 2) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        check_halves(tuple(x.shape), self.factor)
        n, c, h, w = x.shape
        factor = self.factor
        patches = x.reshape(n, c, h // factor, factor, w // factor, factor)
        # The channels of one place in the patch stay together.
        return patches.permute(0, 3, 5, 1, 2, 4).reshape(n, c * factor**2, h // factor, w // factor)


def check_halves(shape: tuple[int, ...], factor: int) -> None:
    """**Raises:** `InputError` unless images of this shape, (n, c, h, w), can be squeezed."""
    if len(shape) != 4 or shape[2] % factor or shape[3] % factor:
        raise InputError(
            f"Squeeze got inputs of shape {shape}; it takes NCHW images whose height and width are divisible by "
            f"{factor}: pad the images or use fewer downsamplings."
        )


class Flatten(nn.Module):
    """Images to vectors; the channels of one pixel stay together."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)
