"""The last-layer Laplace approximation: a Gaussian over the weights of a trained network's last layer.

It is around the mode of the last layer's posterior under a Gaussian prior, as `sdebnn.training.last_layer` finds it,
with the curvature there in full (Daxberger et al., Laplace redux, 2021). Training has no such prior, and where it tells
all classes apart its weights are at no mode at all. The other layers and the noise of targets are those of training.

Features are the outputs of the same network with a wider last layer that is an identity matrix, in either framework.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, SupportsFloat

import numpy as np
from jaxtyping import Float

from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.runs import TrainConfig
from sdebnn.runs.progress import say
from sdebnn.training.drawn_parameters import AVERAGE, DrawnParameters, refuse_validation
from sdebnn.training.last_layer import LastLayer, Likelihood, categorical, gaussian
from sdebnn.training.learner import Learner
from sdebnn.training.predictions import class_weights, doubles, likelihood_of

Build = Callable[[TrainConfig, Dataset], Learner]

PREFIX = "laplace_"
# Of the last layer's weights: their covariance is in every checkpoint.
MOST = 2048
RESIDUAL, RESIDUAL_FEATURES = "laplace_resnet32", 64
LIKELIHOODS = ("categorical", "gaussian")
NETWORK = f"{AVERAGE}network/"
# Apart from all other draws of a run's seed.
DRAW = 0x6C61706C


class Laplace(DrawnParameters):
    """A `Learner` that predicts with weights of its last layer that are drawn around the mode of their posterior. The
    Gaussian is fitted after the last gradient step.

    **Arguments:**

    - `learner`, `config`: see `DrawnParameters`.
    - `dataset`: the training examples.
    - `build`: what made the learner, for one of more outputs.

    **Raises:** as `DrawnParameters`, and `InputError` for a last layer of more than `MOST` weights.
    """

    called = "the last-layer Laplace approximation"
    missing = "The Laplace approximation is fitted after the last gradient step"

    def __init__(self, learner: Learner, config: TrainConfig, dataset: Dataset, build: Build) -> None:
        state = learner.state()
        self._weight = [name for name in state if name.startswith(NETWORK) and name.endswith("/weight")][-1]
        self._bias = self._weight.removesuffix("weight") + "bias"
        features, outputs = state[self._weight].shape
        if (size := (features + 1) * outputs) > MOST:
            raise InputError(
                f"model={config.model!r} keeps the covariance of its last layer, which has {size} weights, more than "
                f"{MOST}: take {_fitting(config, dataset, outputs)}{_instead(config)}."
            )
        self._config, self._dataset, self._build = config, dataset, build
        self._mode = np.zeros((features + 1, outputs), np.float32)
        self._root, self._precision = np.zeros((size, size), np.float32), np.zeros(())
        self._fitted = np.array(False)
        own = {"mode": self._mode, "root": self._root, "prior_precision": self._precision, "fitted": self._fitted}
        super().__init__(learner, config, "laplace", own)

    @property
    def known(self) -> bool:
        return bool(self._fitted)

    def gradient_step(self, x: Any, y: Any, step: int) -> Mapping[str, SupportsFloat]:
        self._fitted[...] = False
        return self._learner.gradient_step(x, y, step)

    def after_training(self) -> dict[str, float]:
        """Fits the Gaussian, unless it is that of these parameters already; returns what there is to log.

        **Raises:** `FloatingPointError` where features of training examples are not finite.
        """
        if self.known:
            return {}
        say(f"The Gaussian of the last layer's weights is fitted to {len(self._dataset.x_train)} examples.")
        average, k = self._average(), self._mode.shape[1]
        features = self._features(average)
        if not np.isfinite(features).all():
            raise FloatingPointError(
                "What the last layer is given is NaN or infinite for a training example, so there is no Gaussian of "
                "its weights; train again with a lower learning_rate."
            )
        found = LastLayer(features, k, self._likelihood(features @ self._theta(average))).posterior()
        self._mode[...], self._root[...], self._precision[...] = found.mode, found.root, found.prior_precision
        self._fitted[...] = True
        return {"log_evidence": found.log_evidence, "prior_precision": found.prior_precision}

    def draw(self, sample: int, average: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        rng = np.random.default_rng([self._config.seed, DRAW, sample])
        drawn = self._root @ rng.standard_normal(self._mode.size)
        return dict(average) | self._last(average, self._mode + drawn.reshape(self._mode.shape))

    def _features(self, average: Mapping[str, np.ndarray]) -> Float[np.ndarray, "n p"]:
        """What the last layer is given for the training examples, and a column of ones."""
        x, outputs = self._dataset.x_train, len(self._mode) - 1
        # Of as many classes as there are features, and two at least.
        classes = max(outputs, 2)
        nothing = np.zeros(len(x), np.int32)
        data = dataclasses.replace(
            self._dataset, task="classification", y_train=nothing, x_test=x, y_test=nothing, num_classes=classes,
            encoding=None,
        )  # fmt: skip
        wide = self._build(
            dataclasses.replace(self._config, likelihood="auto", class_weight="none", test_samples=1), data
        )
        shown = np.eye(outputs + 1, classes)
        shown[-1] = 0
        network = {name: array for name, array in average.items() if name.startswith(NETWORK)}
        wide.load_average(network | self._last(average, shown))
        return np.concatenate([wide.outputs(x)[0, :, :outputs], np.ones((len(x), 1), np.float32)], axis=1)

    def _likelihood(self, outputs: Float[np.ndarray, "n k"]) -> Likelihood:
        """Of the training examples. `outputs` are those of the trained network, on which noise does not depend."""
        y = self._dataset.y_train
        if self._dataset.num_classes is None:
            return gaussian(y, doubles(self._learner.of_likelihood("variance", outputs[None]))[0])
        of_classes = class_weights(self._config, self._dataset)
        return categorical(y, np.ones(len(y)) if of_classes is None else np.array(of_classes)[y])

    def _theta(self, average: Mapping[str, np.ndarray]) -> Float[np.ndarray, "p k"]:
        return np.concatenate([average[self._weight], average[self._bias][None]])

    def _last(self, average: Mapping[str, np.ndarray], theta: Float[np.ndarray, "p k"]) -> dict[str, np.ndarray]:
        """The averaged parameters of a last layer."""
        theta = theta.astype(average[self._weight].dtype)
        return {self._weight: theta[:-1], self._bias: theta[-1]}


def with_laplace(build: Build) -> Build:
    """Makes learners of the Laplace approximation where the model is one of it, and what `build` makes elsewhere.

    **Raises:** `InputError` from what it returns, for a likelihood whose curvature changes with the targets, a
    validation split, which chooses a step, training examples that are not in memory, and a network that the choices do
    not describe.
    """

    def built(config: TrainConfig, dataset: Dataset) -> Learner:
        if not config.model.startswith(PREFIX):
            return build(config, dataset)
        if (likelihood := likelihood_of(config, dataset)) not in LIKELIHOODS:
            raise InputError(
                f"model={config.model!r} got likelihood={likelihood!r}; it takes {' or '.join(LIKELIHOODS)}."
            )
        refuse_validation(config, "is fitted after the last gradient step")
        if dataset.train_size != len(dataset.x_train):
            raise InputError(
                f"model={config.model!r} is fitted to all training examples, and of {dataset.name} only a sample is in "
                f"memory; take {_instead(config)}."
            )
        learner = build(dataclasses.replace(config, test_samples=1), dataset)
        if not getattr(learner, "by_choices", False):
            raise InputError(
                f"model={config.model!r} knows the last layer of sdebnn's own networks alone; take build_learner."
            )
        return Laplace(learner, config, dataset, build)

    return built


def _fitting(config: TrainConfig, dataset: Dataset, outputs: int) -> str:
    """The choices with which the last layer has no more than `MOST` weights, to be followed by another."""
    if config.model == RESIDUAL:
        return ""
    shape, images, most = dataset.x_train.shape[1:], dataset.x_train.ndim == 4, MOST // outputs - 1
    # A channel that is appended has a feature at each place that space-to-depth leaves.
    left, places = most - math.prod(shape), math.prod(shape[:-1])
    found = []
    if (channels := left * 4**config.squeeze // places) >= 0:
        found.append(f"augment={channels} or less (now {config.augment})")
    halved = config.squeeze + 1
    while images and all(side % 2**halved == 0 for side in shape[:2]):
        if config.augment * places <= left * 4**halved:
            found.append(f"squeeze={halved} (now {config.squeeze})")
            break
        halved += 1
    if images and most >= RESIDUAL_FEATURES:
        found.append(f"{RESIDUAL}, which averages its features over an image")
    return "".join(f"{one}, or " for one in found)


def _instead(config: TrainConfig) -> str:
    return f"swag_{config.model.removeprefix(PREFIX)}"
