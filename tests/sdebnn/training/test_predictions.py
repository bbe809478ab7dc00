import math

import jax.numpy as jnp
import numpy as np
import pytest

from sdebnn.brax import BayesianLayer, Categorical, Cauchy, Gaussian, JaxLearner, Laplace
from sdebnn.brax.learning.devices import make_mesh
from sdebnn.brax.learning.model import Model
from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.runs import TrainConfig
from sdebnn.training import class_probabilities
from sdebnn.training.predictions import likelihood_of, report


def under(likelihood) -> JaxLearner:
    """A learner whose network gives its inputs, at the start of its training."""
    same = BayesianLayer(lambda rng, shape: (shape, ()), lambda params, x, **kwargs: (x, jnp.zeros(())))
    return JaxLearner(TrainConfig(), Model(same, same, likelihood, (likelihood.outputs,)), 4, make_mesh())


X = np.zeros((4, 2), np.float32)
LABELS = Dataset(
    "labels", "classification", X, np.arange(4, dtype=np.int32) % 2, X, np.arange(4, dtype=np.int32) % 2, 2
)
TARGETS = Dataset("targets", "regression", X, X[:, :1], X, X[:, :1], None)


def test_predictions_average_probabilities_not_logarithms() -> None:
    logits = np.log(np.asarray([[[0.9, 0.1]], [[0.1, 0.9]], [[0.1, 0.9]]]))
    np.testing.assert_allclose(class_probabilities(logits), [[1.1 / 3, 1.9 / 3]], rtol=1e-5)
    scores = report(under(Categorical(2)), logits, np.asarray([1]))
    assert scores["nll"] == pytest.approx(-math.log(1.9 / 3), rel=1e-5)


def test_large_logits_do_not_overflow() -> None:
    np.testing.assert_allclose(class_probabilities(np.asarray([[[1e4, 0.0]]])), [[1.0, 0.0]])


def test_a_label_that_single_precision_has_for_impossible_costs_what_it_costs() -> None:
    outputs = np.array([[[0.0, -110.0]]], np.float32)
    assert report(under(Categorical(2)), outputs, np.asarray([1]))["nll"] == pytest.approx(110)


def test_scores_of_targets_know_the_law_of_the_noise() -> None:
    outputs, y = np.zeros((1, 4, 1), np.float32), np.full((4, 1), 2.0, np.float32)
    log_likelihood = {
        law: report(under(law(1, 1.0)), outputs, y)["log_likelihood"] for law in (Gaussian, Laplace, Cauchy)
    }
    assert log_likelihood[Gaussian] == pytest.approx(-2 - 0.5 * math.log(2 * math.pi))
    assert log_likelihood[Laplace] == pytest.approx(-2 - math.log(2))
    assert log_likelihood[Cauchy] == pytest.approx(-math.log(5 * math.pi))


def test_a_likelihood_that_does_not_fit_the_answers_is_refused() -> None:
    assert likelihood_of(TrainConfig(), LABELS) == "categorical"
    assert likelihood_of(TrainConfig(), TARGETS) == "gaussian"
    assert likelihood_of(TrainConfig(likelihood="cauchy"), TARGETS) == "cauchy"
    with pytest.raises(InputError, match="answers are labels; they take categorical"):
        likelihood_of(TrainConfig(likelihood="laplace"), LABELS)
    with pytest.raises(
        InputError, match="answers are real targets; they take gaussian or gaussian_input or laplace or cauchy"
    ):
        likelihood_of(TrainConfig(likelihood="categorical"), TARGETS)
