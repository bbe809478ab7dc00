from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sdebnn import metrics
from sdebnn.errors import InputError

HALF = np.full((3, 2), 0.5)
LABELS = np.array([0, 1, 0])

SCORES: list[Callable[..., object]] = [
    metrics.accuracy,
    metrics.nll,
    metrics.brier,
    metrics.recall,
    metrics.macro_f1,
    metrics.reliability_bins,
    metrics.expected_calibration_error,
    metrics.maximum_calibration_error,
    metrics.classwise_calibration_error,
    metrics.risk_coverage_area,
    metrics.risk_coverage_curve,
    metrics.generalized_risk_coverage_area,
    metrics.risk_at_coverage,
    metrics.classification_report,
]
BAD: list[tuple[Any, Any, str]] = [
    (LABELS, HALF, r"truth first and then the prediction, \(labels, probabilities\); swap them"),
    (np.array([0.2, 1.5, 0.1]), LABELS, "lie in -0.5 to 1.5"),
    (HALF, ["a", "b", "a"], r"Labels are <U1; class numbers.*numpy.searchsorted"),
    (np.array([[2.0, -1.0]] * 3), LABELS, "If these are logits, pass their softmax"),
    (np.log(HALF), LABELS, "If these are logits, pass their softmax"),
    (HALF * 1.0003, LABELS, "sum to 1 within 0.0001"),
    (np.array([[0.5, np.nan]] * 3), LABELS, "NaN or infinity"),
    (HALF, np.array([0, 1]), r"3 rows of probabilities but labels of shape \(2,\)"),
    (HALF, LABELS[:, None], r"labels of shape \(3, 1\)"),
    (HALF, np.array([0, 1, 2]), "Labels lie in 0 to 2; with 2 classes they must lie in 0 to 1"),
    (HALF, np.array([0, -1, 1]), "Labels lie in -1 to 1"),
    (HALF, np.array([0.0, 1.0, 1.0]), "Labels are float64; class numbers"),
    (HALF[None], LABELS, "average posterior samples first"),
    (np.zeros((0, 2)), np.zeros(0, int), "at least one row"),
    ([[0.5, 0.5], [1.0]], [0, 1], "differ in length"),
    ([["a", "b"]], [0], "numbers are needed"),
]


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize(("probs", "labels", "message"), BAD)
def test_every_score_refuses_bad_predictions(
    score: Callable[..., object], probs: Any, labels: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        score(labels, probs)


@pytest.mark.parametrize("score", SCORES)
def test_every_score_takes_what_rounding_left(score: Callable[..., object]) -> None:
    score(LABELS.astype(np.uint8), (HALF * 1.00009).astype(np.float32))


@pytest.mark.parametrize("score", SCORES)
def test_of_two_classes_the_probabilities_of_the_second_are_enough(score: Callable[..., object]) -> None:
    probs = np.array([0.1, 0.75, 0.5])
    assert repr(score(LABELS, probs)) == repr(score(LABELS, np.stack([1 - probs, probs], axis=1)))


@pytest.mark.parametrize("score", SCORES)
def test_every_score_of_labels_takes_lists(score: Callable[..., object]) -> None:
    assert repr(score(LABELS.tolist(), HALF.tolist())) == repr(score(LABELS, HALF))


@pytest.mark.parametrize(
    ("score", "arguments"),
    [
        (metrics.entropy, [HALF]),
        (metrics.mutual_information, [HALF[None]]),
        (metrics.auroc, [LABELS, LABELS]),
        (metrics.fpr95, [LABELS, LABELS]),
        (metrics.rmse, [LABELS, LABELS]),
        (metrics.gaussian_log_likelihood, [LABELS, LABELS, np.ones(1)]),
        (metrics.mixture_log_likelihood, [LABELS, LABELS[None], np.ones(1)]),
        (metrics.mixture_cdf, [LABELS, LABELS[None], np.ones(1)]),
        (metrics.interval_coverage, [LABELS, LABELS, LABELS]),
        (metrics.interval_score, [LABELS, LABELS, LABELS]),
        (metrics.interval_width, [LABELS, LABELS]),
        (metrics.pit, [LABELS, LABELS[None]]),
        (metrics.coverage_curve, [LABELS]),
        (metrics.crps_gaussian, [LABELS, LABELS, np.ones(1)]),
        (metrics.crps_samples, [LABELS, LABELS[None]]),
        (metrics.regression_report, [LABELS, LABELS[None], np.ones(1)]),
    ],
)
def test_every_other_score_takes_lists_too(score: Callable[..., object], arguments: list[np.ndarray]) -> None:
    np.testing.assert_equal(score(*(array.tolist() for array in arguments)), score(*arguments))
