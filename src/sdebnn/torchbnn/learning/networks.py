"""Whole networks, built from a run's configuration."""

import functools
from typing import Any

import torch
from torch import nn

from sdebnn.errors import InputError
from sdebnn.runs import TrainConfig
from sdebnn.torchbnn.layers import diffeq_layers
from sdebnn.torchbnn.layers.bayesian import Serial, bnn_serial
from sdebnn.torchbnn.layers.bfloat16 import Bfloat16
from sdebnn.torchbnn.layers.mean_field import MeanField
from sdebnn.torchbnn.layers.monte_carlo_dropout import MonteCarloDropout
from sdebnn.torchbnn.layers.resnet import ResNet32
from sdebnn.torchbnn.layers.shape_layers import Augment, Flatten, Squeeze, check_halves
from sdebnn.torchbnn.layers.swish_serial import SwishSerial
from sdebnn.torchbnn.solving.solver import Solver
from sdebnn.torchbnn.weights.drift_network import drift_network
from sdebnn.torchbnn.weights.flat_weights import FlatWeights
from sdebnn.torchbnn.weights.ode_block import HyperODEBlock, ODEBlock
from sdebnn.torchbnn.weights.sdebnn_block import SDEBNN
from sdebnn.torchbnn.weights.weight_process import WeightProcess


def build_network(config: TrainConfig, input_shape: tuple[int, ...], outputs: int) -> bnn_serial:
    """The network that `config` describes, with the parameters of that of `sdebnn.brax`.

    **Arguments:**

    - `input_shape`: of one example of the data: (height, width, channels) for images, (d,) for a table's rows. The
      network itself takes images as (n, channels, height, width).
    - `outputs`: how many numbers the likelihood needs for one example.

    **Raises:** `InputError` for images that cannot be halved as often as asked, for names of layers, activations or
    methods that do not exist, for an f_x that cannot keep the shape of the hidden state, and for a residual network of
    anything but images.
    """
    images = len(input_shape) == 3
    posterior, _, model = config.model.rpartition("_")
    channels, sides = input_shape[-1], input_shape[:-1]
    layers: list[nn.Module] = []

    def squeeze() -> None:
        nonlocal channels, sides
        check_halves((1, channels, *sides), 2)
        layers.append(Squeeze())
        channels, sides = 4 * channels, tuple(side // 2 for side in sides)

    if model == "resnet32":
        if not images:
            raise InputError(
                f"model='{config.model}' got inputs of shape {input_shape}; it takes images, (height, width, channels)."
            )
        layers.append(ResNet32(channels, outputs))
    else:
        for _ in range(config.squeeze):
            squeeze()
        layers.append(Augment(config.augment))
        channels += config.augment
        for group, blocks in enumerate(config.blocks):
            if group > 0:
                squeeze()
            layers += [_block(model, config, (channels, *sides)) for _ in range(blocks)]
        features = channels
        if images:
            layers.append(Flatten())
            features = channels * sides[0] * sides[1]
        layers.append(diffeq_layers.dense("ignore", features, outputs))
    mean_field = functools.partial(MeanField, prior_std=config.prior_std, initial_std=config.initial_std)
    if posterior == "meanfield" and model == "sdebnn":
        layers[-1] = mean_field(layers[-1])
    elif posterior in ("meanfield", "ivon"):
        layers = [mean_field(Serial(*layers))]
    elif posterior == "dropout":
        layers = [MonteCarloDropout(Serial(*layers), rate=config.dropout, prior_std=config.prior_std)]
    return bnn_serial(*layers)


def _block(model: str, config: TrainConfig, shape: tuple[int, ...]) -> nn.Module:
    """A block for hidden states of that shape."""
    fx: nn.Module = _fx(config, shape[0], images=len(shape) == 3)
    layout = FlatWeights(fx)
    layout.run(fx, torch.empty(layout.size, device="meta"), torch.empty(1, *shape, device="meta"), 0.0)
    if config.precision == "bfloat16":
        fx = Bfloat16(fx)
    solver = Solver(config.steps, config.method, config.adjoint, config.rtol, config.atol, config.adjoint_adaptive)
    if model == "sdebnn":
        process = WeightProcess(drift_network(config.drift_widths), config.weight_prior())
        return SDEBNN(fx, process, solver, kl_estimator=config.kl_estimator)
    if model == "hyperodenet":
        return HyperODEBlock(fx, drift_network(config.drift_widths), solver)
    return ODEBlock(fx, solver)


def _fx(config: TrainConfig, channels: int, images: bool) -> nn.Module:
    """Two hidden layers and one that restores the shape of the hidden state."""
    strided: dict[str, Any] = {"stride": 2} if images and config.fx == "strided" else {}
    layer = diffeq_layers.conv if images else diffeq_layers.dense
    last = diffeq_layers.conv_transpose if strided else layer
    serial = SwishSerial if (config.layer, config.activation) == ("ignore", "swish") else Serial
    return serial(
        layer(config.layer, channels, config.width, **strided),
        diffeq_layers.activation(config.activation),
        layer(config.layer, config.width, config.width),
        diffeq_layers.activation(config.activation),
        last(config.layer, config.width, channels, **strided),
    )
