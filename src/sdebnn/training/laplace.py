"""The last-layer Laplace approximation: a Gaussian over the weights of a trained network's last layer.

Around the trained weights theta the log posterior is taken for a parabola. Its curvature is the generalised
Gauss-Newton matrix H of the likelihood, in full, plus the prior precision alpha; outputs are linear in theta, so H is
the Hessian itself. alpha is that of the largest marginal likelihood, where alpha |theta|^2 = gamma, the number of
directions that the data settle (MacKay, Bayesian interpolation, 1992; Daxberger et al., Laplace redux, 2021). The other
layers and the noise of targets are those of training.

A learner of either framework tells features and outputs by what it predicts: with an identity matrix in its last layer,
a network says its features.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, SupportsFloat

import numpy as np
from jaxtyping import Float, Float64
from scipy import optimize

from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.runs import TrainConfig
from sdebnn.training.drawn_parameters import AVERAGE, DrawnParameters
from sdebnn.training.learner import Learner
from sdebnn.training.predictions import class_weights, doubles, likelihood_of, sample_probabilities

PREFIX = "laplace_"
# Of the last layer's weights: their covariance is in every checkpoint.
MOST = 2048
LIKELIHOODS = ("categorical", "gaussian")
NETWORK = f"{AVERAGE}network/"
# Apart from all other draws of a run's seed.
DRAW = 0x6C61706C


class Curvature(NamedTuple):
    """H = vectors @ diag(values) @ vectors.T, of D weights."""

    values: Float64[np.ndarray, " D"]
    vectors: Float64[np.ndarray, "D D"]

    def root(self, precision: float) -> Float64[np.ndarray, "D D"]:
        """A square root of the covariance (H + precision)^-1: times standard normals it draws from N(0, that)."""
        return self.vectors / np.sqrt(self.values + precision)

    def best_precision(self, squared_norm: float) -> float:
        """The prior precision of the largest marginal likelihood.

        **Arguments:** `squared_norm`: |theta|^2.
        """

        def excess(log_precision: float) -> float:
            precision = np.exp(log_precision)
            return float(precision * squared_norm - np.sum(self.values / (self.values + precision)))

        # Below the first, gamma is above a half; it is never above the number of weights.
        ends = min(self.values.max(), 0.5 / squared_norm), len(self.values) / squared_norm
        return float(np.exp(optimize.brentq(excess, *np.log(ends))))

    def log_evidence(self, log_likelihood: float, squared_norm: float, precision: float) -> float:
        """The logarithm of the marginal likelihood, in nats.

        **Arguments:**

        - `log_likelihood`: of all training examples at theta, in nats.
        - `squared_norm`: |theta|^2.
        - `precision`: of the prior.
        """
        settled = np.log1p(self.values / precision).sum()
        return float(log_likelihood - 0.5 * (precision * squared_norm + settled))


def gauss_newton(features: Float[np.ndarray, "n p"], hessians: Float[np.ndarray, "n k k"]) -> Curvature:
    """The curvature of minus the log-likelihood in the weights (p, k) of a last layer, in the order of their rows.

    **Arguments:**

    - `features`: what the last layer is given, with a column of ones for a bias.
    - `hessians`: of minus each example's log-likelihood in its k outputs.
    """
    features = np.asarray(features, np.float64)
    (_, p), k = features.shape, hessians.shape[1]
    whole = np.empty((p, k, p, k))
    for a in range(k):
        for b in range(a + 1):
            part = features.T @ (hessians[:, a, b, None] * features)
            whole[:, a, :, b] = whole[:, b, :, a] = part
    values, vectors = np.linalg.eigh(whole.reshape(p * k, p * k))
    # Those that rounding made negative.
    return Curvature(np.maximum(values, 0.0), vectors)


class Laplace(DrawnParameters):
    """A `Learner` that predicts with weights of its last layer that are drawn around the trained ones. The Gaussian is
    fitted after the last gradient step.

    **Arguments:**

    - `learner`, `config`: see `DrawnParameters`.
    - `dataset`: the training examples.

    **Raises:** as `DrawnParameters`, and `InputError` for a last layer of more than `MOST` weights.
    """

    called = "the last-layer Laplace approximation"
    missing = "The Laplace approximation is fitted after the last gradient step"

    def __init__(self, learner: Learner, config: TrainConfig, dataset: Dataset) -> None:
        state = learner.state()
        self._weight = [name for name in state if name.startswith(NETWORK) and name.endswith("/weight")][-1]
        self._bias = self._weight.removesuffix("weight") + "bias"
        features, outputs = state[self._weight].shape
        if (size := (features + 1) * outputs) > MOST:
            raise InputError(
                f"model={config.model!r} keeps the covariance of its last layer, which has {size} weights, more than "
                f"{MOST}: take laplace_resnet32, which averages its features over an image, or {_instead(config)}."
            )
        self._config, self._dataset = config, dataset
        self._last_step = config.total_steps(dataset.train_size) - 1
        self._root, self._precision = np.zeros((size, size), np.float32), np.zeros((), np.float32)
        super().__init__(learner, config, "laplace", {"root": self._root, "prior_precision": self._precision})

    @property
    def known(self) -> bool:
        return bool(self._precision > 0)

    def gradient_step(self, x: Any, y: Any, step: int) -> Mapping[str, SupportsFloat]:
        values = self._learner.gradient_step(x, y, step)
        # A loss that is not finite is told of by the loop.
        if step == self._last_step and not self._learner.first_bad():
            return {**values, **self._fit()}
        return values

    def draw(self, sample: int, average: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        rng = np.random.default_rng([self._config.seed, DRAW, sample])
        theta = self._theta(average)
        return self._with(average, theta + (self._root @ rng.standard_normal(theta.size)).reshape(theta.shape))

    def _fit(self) -> dict[str, float]:
        """Fits the Gaussian; returns what there is to log."""
        average, x, y = self._average(), self._dataset.x_train, self._dataset.y_train
        outputs, weights = self._learner.outputs(x), np.ones(len(x))
        if (of_classes := class_weights(self._config, self._dataset)) is not None:
            weights = np.array(of_classes)[y]
        hessians = weights[:, None, None] * self._hessians(outputs)
        curvature = gauss_newton(self._features(average, x), hessians)
        squared_norm = float(np.sum(self._theta(average).astype(np.float64) ** 2))
        precision = curvature.best_precision(squared_norm)
        self._root[...], self._precision[...] = curvature.root(precision), precision
        log_probs = doubles(self._learner.of_likelihood("log_prob", outputs, y))[0]
        evidence = curvature.log_evidence(float(weights @ log_probs), squared_norm, precision)
        return {"log_evidence": evidence, "prior_precision": precision}

    def _features(self, average: Mapping[str, np.ndarray], x: Any) -> Float[np.ndarray, "n p"]:
        """What the last layer is given, and a column of ones."""
        rows, outputs = self._theta(average).shape
        found = []
        try:
            for first in range(0, rows - 1, outputs):
                shown = np.zeros((rows, outputs), np.float32)
                some = range(first, min(first + outputs, rows - 1))
                shown[some, range(len(some))] = 1
                self._learner.load_average(self._with(average, shown))
                found.append(self._learner.outputs(x)[0, :, : len(some)])
        finally:
            self._learner.load_average(average)
        return np.concatenate([*found, np.ones((len(x), 1))], axis=1)

    def _hessians(self, outputs: Float[np.ndarray, "1 n k"]) -> Float[np.ndarray, "n k k"]:
        """Of minus the log-likelihood in the outputs."""
        if self._dataset.num_classes is None:
            variance = doubles(self._learner.of_likelihood("variance", outputs))[0]
            return np.eye(variance.shape[1]) / variance[:, None]
        p = sample_probabilities(self._learner, outputs)[0]
        return np.eye(p.shape[1]) * p[:, None] - p[:, :, None] * p[:, None]

    def _theta(self, average: Mapping[str, np.ndarray]) -> Float[np.ndarray, "p k"]:
        return np.concatenate([average[self._weight], average[self._bias][None]])

    def _with(self, average: Mapping[str, np.ndarray], theta: Float[np.ndarray, "p k"]) -> dict[str, np.ndarray]:
        """The averaged parameters with others in the last layer."""
        theta = theta.astype(average[self._weight].dtype)
        return {**average, self._weight: theta[:-1], self._bias: theta[-1]}


def with_laplace(build: Callable[[TrainConfig, Dataset], Learner]) -> Callable[[TrainConfig, Dataset], Learner]:
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
        if config.validation:
            raise InputError(
                f"model={config.model!r} is fitted after the last gradient step, and validation={config.validation:g} "
                "would keep the parameters of a step before; take validation=0."
            )
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
        return Laplace(learner, config, dataset)

    return built


def _instead(config: TrainConfig) -> str:
    return f"swag_{config.model.removeprefix(PREFIX)}"
