"""What a time-dependent layer is built around: a linear map of the channels, dense or convolutional."""

import dataclasses
from typing import ClassVar

import torch
import torch.nn.functional as F

from sdebnn.errors import InputError


@dataclasses.dataclass(frozen=True)
class DenseMap:
    """A matrix (inputs, channels) on the last axis. **Raises:** `InputError` unless both are positive, and for inputs
    of another length.
    """

    inputs: int
    channels: int
    axis: ClassVar[int] = -1

    def __post_init__(self) -> None:
        _check_positive("dense", self.inputs, self.channels)

    def weight_shape(self) -> tuple[int, ...]:
        """The shape of the weights."""
        return (self.inputs, self.channels)

    def __call__(self, weight: torch.Tensor, bias: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        if x.shape[-1:] != (self.inputs,):
            raise InputError(
                f"A dense layer got inputs of shape {tuple(x.shape)}; their last axis must hold {self.inputs} channels."
            )
        # Less to do for a single vector, such as all weights of a network; autocast does not know of it.
        if x.ndim == 1 and not torch.is_autocast_enabled(x.device.type):
            return torch.addmv(bias, weight.T, x)
        return F.linear(x, weight.T, bias)


@dataclasses.dataclass(frozen=True)
class ConvMap:
    """A convolution of NCHW images with a kernel (height, width, inputs, channels).

    With `padding="SAME"` images are padded with zeros so that sides are divided by the stride, rounded up; with
    `"VALID"` they are not padded. **Raises:** `InputError` for sizes that are not positive, for another padding, and
    for inputs that are no images or have other channels.
    """

    inputs: int
    channels: int
    filter_shape: tuple[int, int] = (3, 3)
    stride: int = 1
    padding: str = "SAME"
    axis: ClassVar[int] = 1

    def __post_init__(self) -> None:
        _check_positive("convolutional", self.inputs, self.channels, *self.filter_shape, self.stride)
        if self.padding not in ("SAME", "VALID"):
            raise InputError(f"A convolution got padding={self.padding!r}; it takes 'SAME' or 'VALID'.")

    def weight_shape(self) -> tuple[int, ...]:
        """The shape of the kernel."""
        return (*self.filter_shape, self.inputs, self.channels)

    def __call__(self, weight: torch.Tensor, bias: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        self._check(x)
        kernel = weight.permute(3, 2, 0, 1)
        if self.padding == "VALID":
            if x.shape[2] < self.filter_shape[0] or x.shape[3] < self.filter_shape[1]:
                raise InputError(
                    f"A convolution without padding got a kernel of sides {self.filter_shape} and images of sides "
                    f"{tuple(x.shape[2:])}; the kernel must fit into the image: use a smaller kernel or padding='SAME'."
                )
            return F.conv2d(x, kernel, bias, stride=self.stride)
        if self.stride == 1 and all(size % 2 for size in self.filter_shape):
            return F.conv2d(x, kernel, bias, padding=[size // 2 for size in self.filter_shape])
        pads = []
        for side, size in zip(reversed(x.shape[2:]), reversed(self.filter_shape), strict=True):
            total = max((-(-side // self.stride) - 1) * self.stride + size - side, 0)
            pads += [total // 2, total - total // 2]
        return F.conv2d(F.pad(x, pads), kernel, bias, stride=self.stride)

    def _check(self, x: torch.Tensor) -> None:
        if x.ndim != 4 or x.shape[1] != self.inputs:
            raise InputError(
                f"A convolutional layer got inputs of shape {tuple(x.shape)}; it takes images "
                f"(batch, {self.inputs} channels, height, width)."
            )


@dataclasses.dataclass(frozen=True)
class ConvTransposeMap(ConvMap):
    """The transposed convolution: a convolution of the image spread out by the stride, which multiplies its sides."""

    def __call__(self, weight: torch.Tensor, bias: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        self._check(x)
        valid = self.padding == "VALID"
        kernel = weight.permute(2, 3, 0, 1).flip(2, 3)
        full = F.conv_transpose2d(x, kernel, bias, stride=self.stride)
        for axis, size in enumerate(self.filter_shape, start=2):
            # PyTorch's result has all places that the kernel reaches; of these the ones of `jax.lax.conv_transpose`.
            output = x.shape[axis] * self.stride + (max(size - self.stride, 0) if valid else 0)
            total = output + size - 2 - (x.shape[axis] - 1) * self.stride
            before = size - 1 if valid or self.stride > size - 1 else (total + 1) // 2
            missing = size - 1 - before + output - full.shape[axis]
            if missing > 0:
                shape = list(full.shape)
                shape[axis] = missing
                full = torch.cat([full, bias[None, :, None, None].expand(shape)], dim=axis)
            full = full.narrow(axis, size - 1 - before, output)
        return full


LinearMap = DenseMap | ConvMap


def _check_positive(kind: str, *sizes: int) -> None:
    if min(sizes) < 1:
        raise InputError(f"A {kind} layer got the sizes {sizes}; channels, filter sides and stride must be positive.")
