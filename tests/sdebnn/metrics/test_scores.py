import math

import ml_dtypes
import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss, make_scorer
from sklearn.model_selection import cross_val_score

from sdebnn import metrics
from sdebnn.errors import InputError


def predictions(n: int = 200, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(classes), size=n).astype(np.float32), rng.integers(classes, size=n)


def test_accuracy_nll_and_brier_agree_with_scikit_learn() -> None:
    probs, labels = predictions()
    double = probs.astype(np.float64)
    double /= double.sum(axis=1, keepdims=True)
    assert metrics.accuracy(labels, double) == accuracy_score(labels, double.argmax(axis=1))
    assert metrics.nll(labels, double) == pytest.approx(log_loss(labels, double, labels=range(4)), rel=1e-12)
    assert metrics.brier(labels, double) == pytest.approx(np.mean(np.sum((double - np.eye(4)[labels]) ** 2, axis=1)))
    assert metrics.nll(labels, probs) == pytest.approx(metrics.nll(labels, double), rel=1e-6)


def test_worked_example() -> None:
    probs, labels = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]]), np.array([0, 1])
    assert metrics.accuracy(labels, probs) == 0.5
    assert metrics.nll(labels, probs) == pytest.approx(-(math.log(0.7) + math.log(0.3)) / 2)
    assert metrics.brier(labels, probs) == pytest.approx((0.09 + 0.04 + 0.01 + 0.01 + 0.49 + 0.36) / 2)


def test_the_extremes_of_one_example() -> None:
    certain = np.array([[1.0, 0.0]])
    right, wrong = np.array([0]), np.array([1])
    assert (metrics.accuracy(right, certain), metrics.nll(right, certain), metrics.brier(right, certain)) == (1, 0, 0)
    assert math.copysign(1, metrics.nll(right, certain)) == 1  # a table would show -0
    assert (metrics.accuracy(wrong, certain), metrics.brier(wrong, certain)) == (0, 2)
    assert metrics.nll(wrong, certain) == pytest.approx(708.4, abs=0.1)


def test_among_equal_classes_the_first_counts() -> None:
    assert metrics.accuracy(np.array([0, 1]), np.full((2, 4), 0.25)) == 0.5


def test_scores_by_class_see_a_class_that_is_never_found() -> None:
    """Of class 0 all eight are found, of class 1 one of two, of class 2 nothing is there."""
    labels = np.array([0] * 8 + [1] * 2)
    probs = np.eye(3)[[0] * 9 + [1]]
    assert metrics.recall(labels, probs) == {0: 1.0, 1: 0.5}
    f1 = (2 * 8 / (2 * 8 + 1), 2 * 1 / (2 * 1 + 1))
    assert metrics.macro_f1(labels, probs) == pytest.approx(np.mean(f1))
    assert metrics.macro_f1(labels, np.eye(3)[[2] * 10]) == 0


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_probabilities_of_sixteen_bits_are_taken_with_their_rounding(dtype: type[np.generic]) -> None:
    probs = np.random.default_rng(0).dirichlet(np.ones(10), size=200)
    short = probs.astype(dtype)
    assert np.abs(short.astype(float).sum(axis=1) - 1).max() > 1e-4
    labels = probs.argmax(axis=1)
    assert metrics.nll(labels, short) == pytest.approx(metrics.nll(labels, probs), rel=1e-2)
    with pytest.raises(InputError, match="rows sum"):
        metrics.nll(labels, (0.9 * probs).astype(dtype))


@pytest.mark.parametrize("classes", [2, 3])
def test_scores_of_labels_are_scorers_of_scikit_learn(classes: int) -> None:
    x, y = make_classification(200, n_informative=4, n_classes=classes, random_state=0)
    scorer = make_scorer(metrics.nll, response_method="predict_proba", greater_is_better=False)
    found, expected = (cross_val_score(LogisticRegression(), x, y, scoring=s) for s in (scorer, "neg_log_loss"))
    np.testing.assert_allclose(found, expected, rtol=1e-9)
