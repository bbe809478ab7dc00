"""Whole networks, built from a run's configuration."""

import functools
from typing import Any

from jax.example_libraries import stax
from jaxtyping import PRNGKeyArray

from sdebnn.brax.layers import diffeq_layers
from sdebnn.brax.layers.bayesian import BayesianLayer, Hidden, Layer, Params, Shape, bnn_serial
from sdebnn.brax.layers.bfloat16 import Bfloat16
from sdebnn.brax.layers.mean_field import MeanField
from sdebnn.brax.layers.monte_carlo_dropout import MonteCarloDropout
from sdebnn.brax.layers.recomputing_serial import recomputing_serial
from sdebnn.brax.layers.resnet import ResNet32
from sdebnn.brax.layers.shape_layers import Augment, Squeeze
from sdebnn.brax.weights.drift_network import drift_network
from sdebnn.brax.weights.ode_block import HyperODEBlock, ODEBlock
from sdebnn.brax.weights.sdebnn_block import SDEBNN
from sdebnn.brax.weights.solver import Solver
from sdebnn.brax.weights.weight_process import WeightProcess
from sdebnn.errors import InputError
from sdebnn.priors import Prior
from sdebnn.runs.config import TrainConfig


def build_network(
    config: TrainConfig, input_shape: Shape, outputs: int, *, prior: Prior | None = None
) -> BayesianLayer:
    """The network that `config` describes: zero channels appended, groups of blocks with space-to-depth between them,
    a dense layer; or a residual network.

    **Arguments:**

    - `config`: see `sdebnn.runs.TrainConfig`.
    - `input_shape`: of one example: (height, width, channels) for images, (d,) for a table's rows.
    - `outputs`: how many numbers the likelihood needs for one example.
    - `prior`: in place of that of `config`.

    **Raises:** `InputError` for images that cannot be halved as often as asked, for names of layers or activations
    that do not exist, and for a residual network of anything but images.
    """
    images = len(input_shape) == 3
    posterior, _, model = config.model.rpartition("_")
    if model == "resnet32":
        if not images:
            raise InputError(
                f"model='{config.model}' got inputs of shape {input_shape}; it takes images, (height, width, channels)."
            )
        layers: list[Any] = [ResNet32(outputs)]
    else:
        layers = [Squeeze()] * config.squeeze + [Augment(config.augment)]
        for group, blocks in enumerate(config.blocks):
            if group > 0:
                layers.append(Squeeze())
            layers += [_block(model, config, images, prior) for _ in range(blocks)]
        if images:
            layers.append(stax.Flatten)
        layers.append(diffeq_layers.dense("ignore", outputs))
    mean_field = functools.partial(MeanField, prior_std=config.prior_std, initial_std=config.initial_std)
    if posterior == "meanfield" and model == "sdebnn":
        layers[-1] = mean_field(layers[-1])
    elif posterior in ("meanfield", "ivon"):
        layers = [mean_field(stax.serial(*layers))]
    elif posterior == "dropout":
        layers = [MonteCarloDropout(stax.serial(*layers), rate=config.dropout, prior_std=config.prior_std)]
    return bnn_serial(*layers)


def weight_process(config: TrainConfig, prior: Prior | None = None) -> WeightProcess:
    """The prior and the posterior of every block's weights."""
    return WeightProcess(drift_network(config.drift_widths), prior or config.weight_prior())


def _block(model: str, config: TrainConfig, images: bool, prior: Prior | None = None) -> Any:
    if config.rtol or config.atol or config.adjoint_adaptive:
        raise InputError(
            f"rtol={config.rtol}, atol={config.atol} and adjoint_adaptive={config.adjoint_adaptive} ask for adaptive "
            "steps, which networks take in PyTorch only: set framework='torch', or all three to 0."
        )
    fx = _fx(config, images)
    if config.precision == "bfloat16":
        fx = Bfloat16(fx)
    solver = Solver(config.steps, config.method, config.adjoint)
    if model == "sdebnn":
        return SDEBNN(fx, weight_process(config, prior), solver, kl_estimator=config.kl_estimator)
    if model == "hyperodenet":
        return HyperODEBlock(fx, drift_network(config.drift_widths), solver)
    return ODEBlock(fx, solver)


def _fx(config: TrainConfig, images: bool) -> Layer:
    """Two hidden layers and one that restores the shape of the hidden state."""
    strided = images and config.fx == "strided"

    def init(rng: PRNGKeyArray, input_shape: Shape) -> tuple[Shape, Any]:
        return network(input_shape)[0](rng, input_shape)

    def apply(params: Params, inputs: Hidden, **kwargs: Any) -> Any:
        return network(inputs.shape)[1](params, inputs, **kwargs)

    # An export has a symbol for the number of examples.
    def network(shape: tuple[Any, ...]) -> Any:
        layer = diffeq_layers.conv if images else diffeq_layers.dense
        activation = diffeq_layers.Activation(config.activation)
        width, channels = config.width, int(shape[-1])
        return recomputing_serial(
            diffeq_layers.conv(config.layer, width, stride=2) if strided else layer(config.layer, width),
            activation,
            layer(config.layer, width),
            activation,
            diffeq_layers.conv_transpose(config.layer, channels, stride=2)
            if strided
            else layer(config.layer, channels),
        )

    return Layer(init, apply)
