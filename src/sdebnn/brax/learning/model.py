"""A network with its likelihood: what is trained, saved and asked for predictions."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float, PRNGKeyArray

from jaxsde.brownian.keys import threefry_key
from sdebnn.brax.layers.bayesian import BayesianLayer, Params
from sdebnn.brax.layers.precision import strong_types
from sdebnn.brax.learning import devices
from sdebnn.brax.learning.likelihoods import LIKELIHOODS, Likelihood, initial_params
from sdebnn.brax.learning.networks import build_network
from sdebnn.brax.weights.independent_paths import independent_paths
from sdebnn.data import Dataset, check_images, to_float
from sdebnn.errors import InputError
from sdebnn.runs import TrainConfig
from sdebnn.training.network_choices import of_the_network
from sdebnn.training.prediction_choices import prediction_choices
from sdebnn.training.predictions import likelihood_of

# Inputs that go through the network at once, at most and at least; between these, powers of two.
BATCH = 500
FEWEST = 8


class Model(NamedTuple):
    """`network` gives outputs and KL in training; `predictor`, with the same params, is what predictions use;
    `likelihood` says what the outputs mean; `input_shape` is that of one example.
    """

    network: BayesianLayer
    predictor: BayesianLayer
    likelihood: Likelihood
    input_shape: tuple[int, ...]

    def init(self, rng: PRNGKeyArray) -> Params:
        """Parameters at the start of training, `{"network", "likelihood"}`."""
        return {
            "network": strong_types(self.network.init(rng, (-1, *self.input_shape))[1]),
            "likelihood": initial_params(self.likelihood),
        }

    def sampler(
        self, samples: int, mesh: Mesh | None = None
    ) -> Callable[[Params, Any, PRNGKeyArray], Float[np.ndarray, "samples n o"]]:
        """Makes the function `(params, x, rng) -> outputs` that runs the network on `x` once for each of `samples`
        posterior samples.

        A posterior sample is one function of its input: every batch of `x` sees the same weight paths. Inputs are
        taken in batches of one size, so that memory does not grow with `x`. It is one of a few, filled up where
        inputs are missing, so that the network is compiled for a few sizes, however many there are of `x`. The devices
        of `mesh` (one unless given) divide each batch.
        """
        mesh = mesh or devices.make_mesh()

        def of_shard(params: Params, x: Float[Array, "part ..."], rng: PRNGKeyArray) -> Float[Array, "samples n o"]:
            keys = jax.random.split(threefry_key(rng), samples)
            outputs = jax.lax.map(lambda key: self.predictor.apply(params["network"], x, rng=key)[0], keys)
            return jax.lax.all_gather(outputs, devices.AXES, axis=1, tiled=True)

        of_batch = jax.jit(
            jax.shard_map(of_shard, mesh=mesh, in_specs=(P(), P(devices.AXES), P()), out_specs=P(), check_vma=False)
        )

        def sample(params: Params, x: Any, rng: PRNGKeyArray) -> Float[np.ndarray, "samples n o"]:
            params = devices.place(mesh, params)
            batch = math.ceil(batch_size(len(x)) / mesh.size) * mesh.size
            outputs = []
            for start in range(0, len(x), batch):
                part = to_float(x[start : start + batch])
                padded = np.concatenate([part, np.repeat(part[-1:], batch - len(part), axis=0)])
                found = of_batch(params, devices.place(mesh, padded, P(devices.AXES)), rng)
                outputs.append(np.asarray(found)[:, : len(part)])
            return np.concatenate(outputs, axis=1)

        return sample


def shapes_of(model: Model) -> Params:
    """The parameters of a model as `jax.ShapeDtypeStruct`s."""
    return jax.eval_shape(model.init, jax.random.key(0))


def build_model(config: TrainConfig, dataset: Dataset) -> Model:
    """The model that `config` describes, for data of this shape. Runs whose networks are alike share one.

    **Raises:** `InputError` when the configuration does not fit the data.
    """
    name = likelihood_of(config, dataset)
    input_shape = tuple(dataset.x_train.shape[1:])
    check_images(input_shape, config.augmentation)
    outputs = dataset.num_classes or dataset.y_train.shape[1]
    model = _model(of_the_network(config), name, outputs, input_shape)
    _evaluate_abstractly(model, config.batch_shape(dataset.train_size)[1])
    return model


@functools.lru_cache(maxsize=8)
def _model(config: TrainConfig, name: str, outputs: int, input_shape: tuple[int, ...]) -> Model:
    likelihood = LIKELIHOODS[name](outputs)
    network = build_network(config, input_shape, likelihood.outputs)
    if config.batch_paths != 1:
        network = independent_paths(network, config.batch_paths or None)
    predictor = build_network(prediction_choices(config), input_shape, likelihood.outputs)
    return Model(network, predictor, likelihood, input_shape)


@functools.lru_cache(maxsize=8)
def _evaluate_abstractly(model: Model, examples: int) -> None:
    """Refuses whatever does not fit before a folder is written or a number is drawn."""
    key = jax.random.key(0)
    example = jax.ShapeDtypeStruct((examples, *model.input_shape), np.float32)
    try:
        for network in (model.network, model.predictor):
            jax.eval_shape(lambda x, network=network: network.apply(model.init(key)["network"], x, rng=key), example)
    except InputError:
        raise
    except (ValueError, TypeError) as error:
        raise InputError(f"The network cannot be evaluated: {error}") from error


def batch_size(inputs: int) -> int:
    """How many of so many inputs go through the network at once, the last ones being filled up: one of a few numbers,
    for each of which the network is compiled.
    """
    return min(BATCH, max(FEWEST, 2 ** (inputs - 1).bit_length()))
