import math

import numpy as np
import pytest
import scipy.stats

from sdebnn import metrics
from sdebnn.errors import InputError


def test_entropy_agrees_with_scipy_and_knows_its_ends() -> None:
    probs = np.random.default_rng(0).dirichlet(np.ones(6), size=(3, 7))
    np.testing.assert_allclose(metrics.entropy(probs), scipy.stats.entropy(probs, axis=-1))
    np.testing.assert_allclose(metrics.entropy(np.array([[1.0, 0.0], [0.5, 0.5]])), [0.0, math.log(2)])


def test_mutual_information_is_none_in_agreement_and_all_in_certain_contradiction() -> None:
    agree = np.tile(np.array([[0.2, 0.8]]), (5, 1, 1))
    contradict = np.eye(2)[:, None, :]
    np.testing.assert_allclose(metrics.mutual_information(agree), [0.0], atol=1e-15)
    np.testing.assert_allclose(metrics.mutual_information(contradict), [math.log(2)])


def test_mutual_information_is_the_mean_divergence_from_the_mean_prediction() -> None:
    samples = np.random.default_rng(1).dirichlet(np.ones(3), size=(8, 5))
    divergence = scipy.stats.entropy(samples, samples.mean(axis=0)[None], axis=-1).mean(axis=0)
    np.testing.assert_allclose(metrics.mutual_information(samples), divergence)


def test_mutual_information_refuses_a_single_prediction() -> None:
    with pytest.raises(InputError, match=r"\(samples, examples, classes\)"):
        metrics.mutual_information(np.full((2, 2), 0.5))


def test_one_sample_cannot_disagree() -> None:
    assert np.isnan(metrics.mutual_information(np.full((1, 3, 2), 0.5))).all()
