import math

import numpy as np
import pytest

from sdebnn import metrics
from sdebnn.errors import InputError


def test_the_classification_report_is_made_of_the_scores() -> None:
    rng = np.random.default_rng(0)
    probs, labels = rng.dirichlet(np.ones(3), size=50), rng.integers(3, size=50)
    assert metrics.classification_report(labels, probs) == {
        "accuracy": metrics.accuracy(labels, probs),
        "nll": metrics.nll(labels, probs),
        "ece": metrics.expected_calibration_error(labels, probs, bins=15, scheme="width"),
        "brier": metrics.brier(labels, probs),
        "mce": metrics.maximum_calibration_error(labels, probs),
        "classwise_ece": metrics.classwise_calibration_error(labels, probs),
        "aurc": metrics.risk_coverage_area(labels, probs),
        "augrc": metrics.generalized_risk_coverage_area(labels, probs),
        "balanced_accuracy": np.mean([metrics.recall(labels, probs)[label] for label in range(3)]),
        "macro_f1": metrics.macro_f1(labels, probs),
        **{f"recall_{label}": metrics.recall(labels, probs)[label] for label in range(3)},
    }


def test_the_recalls_of_many_classes_are_left_to_their_mean() -> None:
    report = metrics.classification_report(np.arange(11), np.eye(11))
    assert report["balanced_accuracy"] == report["macro_f1"] == 1
    assert "recall_0" not in report


def test_the_regression_report_of_true_predictions() -> None:
    rng = np.random.default_rng(1)
    mean, noise = rng.normal(size=(4000, 1)), 0.3
    y = mean + noise * rng.normal(size=(4000, 1))
    report = metrics.regression_report(y, np.stack([mean, mean]), np.array([noise]))
    # Four standard deviations of each mean over 4,000 draws.
    assert report["rmse"] == pytest.approx(noise, abs=4 * noise / math.sqrt(2 * 4000))
    entropy = 0.5 * math.log(2 * math.pi * math.e * noise**2)
    assert report["log_likelihood"] == pytest.approx(-entropy, abs=4 * math.sqrt(0.5 / 4000))
    assert report["coverage_95"] == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 4000))
    # The intervals are those of the noise, 3.92 deviations wide.
    assert report["width_95"] == pytest.approx(2 * 1.959964 * noise, rel=1e-5)
    assert report["interval_score_95"] == pytest.approx(4.676 * noise, rel=0.03)


def test_intervals_of_any_law_are_scored() -> None:
    y, samples = np.array([0.0, 1.0]), np.array([[0.0, 3.0], [1.0, 3.0]])
    report = metrics.predictive_report(y, np.array([-1.0, -3.0]), samples, np.array([True, False]))
    assert report == {"rmse": pytest.approx(np.sqrt((0.25 + 4) / 2)), "log_likelihood": -2.0, "coverage_95": 0.5}
    report = metrics.interval_report(y, np.array([-1.0, 2.0]), np.array([1.0, 4.0]))
    assert report == {"width_95": 2.0, "interval_score_95": pytest.approx(2 + 40 / 2)}


def test_the_report_of_strange_inputs_is_made_of_the_scores() -> None:
    rng = np.random.default_rng(2)
    familiar, strange = rng.dirichlet(np.full(3, 0.2), (4, 30)), rng.dirichlet(np.ones(3), (4, 20))
    unsure = metrics.entropy(familiar.mean(axis=0)), metrics.entropy(strange.mean(axis=0))
    disagree = metrics.mutual_information(familiar), metrics.mutual_information(strange)
    assert metrics.ood_report(familiar, strange) == {
        "auroc": metrics.auroc(*unsure),
        "average_precision": metrics.average_precision(*unsure),
        "fpr95": metrics.fpr95(*unsure),
        "auroc_mutual_information": metrics.auroc(*disagree),
    }
    for one in ((familiar[:1], strange), (familiar, strange[:1])):
        assert math.isnan(metrics.ood_report(*one)["auroc_mutual_information"])
    with pytest.raises(InputError, match="both are of one network"):
        metrics.ood_report(familiar, rng.dirichlet(np.ones(2), (4, 20)))
