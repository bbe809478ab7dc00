"""Whole networks, built from a run's configuration."""

from typing import Any

from jax.example_libraries import stax
from jaxtyping import PRNGKeyArray

from sdebnn.brax import diffeq_layers
from sdebnn.brax.bayesian import BayesianLayer, Layer, Shape, bnn_serial
from sdebnn.brax.drift_network import drift_network
from sdebnn.brax.mean_field import MeanField
from sdebnn.brax.ode_block import ODEBlock
from sdebnn.brax.sdebnn_block import SDEBNN
from sdebnn.brax.shape_layers import Augment, Squeeze
from sdebnn.brax.weight_process import WeightProcess
from sdebnn.runs.config import TrainConfig


def build_network(config: TrainConfig, input_shape: Shape, outputs: int) -> BayesianLayer:
    """The network that `config` describes: zero channels appended, groups of blocks with space-to-depth between them,
    a dense layer.

    **Arguments:**

    - `config`: see `sdebnn.runs.TrainConfig`.
    - `input_shape`: of one example: (height, width, channels) for images, (d,) for a table's rows.
    - `outputs`: how many numbers the likelihood needs for one example.

    **Raises:** `InputError` for images that cannot be halved as often as asked, and for names of layers or activations
    that do not exist.
    """
    images = len(input_shape) == 3
    layers: list[Any] = [Squeeze()] * config.squeeze + [Augment(config.augment)]
    for group, blocks in enumerate(config.blocks):
        if group > 0:
            layers.append(Squeeze())
        layers += [_block(config, images) for _ in range(blocks)]
    if images:
        layers.append(stax.Flatten)
    head = diffeq_layers.dense("ignore", outputs)
    layers.append(MeanField(head) if config.model == "meanfield" else head)
    return bnn_serial(*layers)


def weight_process(config: TrainConfig) -> WeightProcess:
    """The prior and the posterior of every block's weights."""
    return WeightProcess(
        drift=drift_network(config.drift_widths),
        sigma=config.sigma,
        sigma_scale=config.sigma_scale,
        rate=config.ou_rate,
        centre=config.ou_centre,
    )


def _block(config: TrainConfig, images: bool) -> Any:
    if config.model == "sdebnn":
        return SDEBNN(
            _fx(config, images),
            weight_process(config),
            steps=config.steps,
            method=config.method,
            kl_estimator=config.kl_estimator,
        )
    block = ODEBlock(_fx(config, images), steps=config.steps, method=config.method)
    return MeanField(block) if config.model == "meanfield" else block


def _fx(config: TrainConfig, images: bool) -> Layer:
    """Two hidden layers and one that restores the shape of the hidden state."""

    def init(rng: PRNGKeyArray, input_shape: Shape) -> tuple[Shape, Any]:
        return network(input_shape)[0](rng, input_shape)

    def apply(params: Any, inputs: Any, **kwargs: Any) -> Any:
        return network(inputs.shape)[1](params, inputs, **kwargs)

    def network(shape: Shape) -> Any:
        layer = diffeq_layers.conv if images else diffeq_layers.dense
        activation = diffeq_layers.Activation(config.activation)
        width = config.width
        return stax.serial(
            layer(config.layer, width),
            activation,
            layer(config.layer, width),
            activation,
            layer(config.layer, int(shape[-1])),
        )

    return Layer(init, apply)
