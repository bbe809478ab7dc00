"""The residual network of 32 layers (He et al., 2016) without batch normalisation: the baseline of finite depth."""

from typing import Any

import jax
from jax.example_libraries import stax
from jaxtyping import PRNGKeyArray

from sdebnn.brax.layers import diffeq_layers
from sdebnn.brax.layers.bayesian import Hidden, Layer, Params, Shape

BLOCKS = 5
GROUPS = 3


def ResNet32(outputs: int, *, width: int = 16, activation: str = "relu") -> Layer:
    """31 convolutions of 3 x 3 in three groups of `width`, 2 `width` and 4 `width` channels, and a dense layer.

    The last convolution of every residual block starts at zero, so that the network starts shallow: this takes the
    place of batch normalisation (Zhang et al., 2019).

    **Arguments:**

    - `outputs`: numbers for one image.
    - `width`: channels of the first group.
    - `activation`: by its name in `diffeq_layers.Activation`.

    **Returns:** an (init, apply) pair for NHWC images.
    """
    activate = diffeq_layers.Activation(activation)
    layers = [diffeq_layers.conv("ignore", width), activate]
    for group in range(GROUPS):
        for block in range(BLOCKS):
            stride = 2 if group > 0 and block == 0 else 1
            layers.append(_residual(width * 2**group, stride, activate))
    return Layer(*stax.serial(*layers, _GlobalMean, diffeq_layers.dense("ignore", outputs)))


def _residual(channels: int, stride: int, activate: Any) -> Layer:
    """activate(shortcut(x) + convolutions(x)); the shortcut is a 1 x 1 convolution where the shape changes."""
    first = diffeq_layers.conv("ignore", channels, stride=stride)
    last = diffeq_layers.conv("ignore", channels, w_init=jax.nn.initializers.zeros)
    branch_init, branch = stax.serial(first, activate, last)
    shortcut = diffeq_layers.conv("ignore", channels, (1, 1), stride)
    activate_init, activation = activate

    def init(rng: PRNGKeyArray, input_shape: Shape) -> tuple[Shape, Params]:
        branch_key, shortcut_key, key = jax.random.split(rng, 3)
        shape, branch_params = branch_init(branch_key, input_shape)
        changes = tuple(shape) != tuple(input_shape)
        shortcut_params = shortcut.init(shortcut_key, input_shape)[1] if changes else None
        return shape, (branch_params, shortcut_params, activate_init(key, shape)[1])

    def apply(params: Params, inputs: Hidden, **kwargs: Any) -> Any:
        branch_params, shortcut_params, activation_params = params
        skipped = inputs if shortcut_params is None else shortcut.apply(shortcut_params, inputs)
        return activation(activation_params, skipped + branch(branch_params, inputs))

    return Layer(init, apply)


_GlobalMean = Layer(lambda rng, shape: ((shape[0], shape[3]), ()), lambda params, x, **kwargs: x.mean(axis=(1, 2)))
