import itertools
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from sdebnn import metrics
from sdebnn.errors import InputError


def binary(confidence: list[float], right: list[int]) -> tuple[np.ndarray, np.ndarray]:
    c = np.array(confidence)
    return np.array(right), np.stack([1 - c, c], axis=1)


def test_risk_coverage_area_of_a_worked_example() -> None:
    # By confidence: right, wrong, right, wrong; risks 0, 1/2, 1/3, 1/2.
    area = metrics.risk_coverage_area(*binary([0.6, 0.9, 0.7, 0.8], [0, 1, 1, 0]))
    assert area == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)


def test_risk_coverage_curve_of_a_worked_example() -> None:
    # The most confident is right, the next two are wrong, the last is right.
    curve = metrics.risk_coverage_curve(*binary([0.6, 0.9, 0.7, 0.8], [1, 1, 0, 0]))
    np.testing.assert_allclose(curve.coverage, [0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(curve.risk, [0, 1 / 2, 2 / 3, 1 / 2])


def test_risk_coverage_area_with_ties_is_the_mean_over_their_orders() -> None:
    labels, probs = binary([0.9, 0.7, 0.7, 0.7, 0.6], [0, 1, 0, 1, 0])
    wrong = 1 - labels
    risks = []
    for order in itertools.permutations([1, 2, 3]):
        ranked = wrong[[0, *order, 4]]
        risks.append(np.mean(np.cumsum(ranked) / np.arange(1, 6)))
    assert metrics.risk_coverage_area(labels, probs) == pytest.approx(np.mean(risks))


def test_risk_coverage_area_of_one_example() -> None:
    assert metrics.risk_coverage_area(*binary([0.9], [1])) == 0.0
    assert metrics.risk_coverage_area(*binary([0.9], [0])) == 1.0


def test_generalized_risk_is_that_of_the_area_under_the_roc_curve() -> None:
    """(1 - AUROC) a (1 - a) + (1 - a)^2 / 2, with the AUROC of scikit-learn; confidences in tenths have many ties."""
    rng = np.random.default_rng(0)
    confidence = rng.integers(5, 10, 60) / 10
    labels, probs = binary(list(confidence), list((rng.random(60) < confidence).astype(int)))
    right = labels == probs.argmax(axis=1)
    a, auroc = right.mean(), roc_auc_score(right, probs.max(axis=1))
    expected = (1 - auroc) * a * (1 - a) + (1 - a) ** 2 / 2
    assert metrics.generalized_risk_coverage_area(labels, probs) == pytest.approx(expected, rel=1e-12)


def test_generalized_risk_knows_its_ends() -> None:
    assert metrics.generalized_risk_coverage_area(*binary([0.9, 0.8], [1, 1])) == 0
    assert metrics.generalized_risk_coverage_area(*binary([0.9, 0.8], [0, 0])) == 0.5


def test_risk_at_coverage_of_a_worked_example() -> None:
    predictions = binary([0.6, 0.9, 0.7, 0.8, 0.8], [0, 1, 1, 0, 1])
    # By confidence: right, then one right and one wrong in either order, right, wrong.
    for coverage, risk in (
        (1e-12, 0.0),
        (0.2, 0.0),
        (0.4, 1 / 4),
        (0.6, 1 / 3),
        (0.61, 1 / 4),
        (0.8, 1 / 4),
        (1.0, 2 / 5),
    ):
        assert metrics.risk_at_coverage(*predictions, coverage=coverage) == pytest.approx(risk), coverage


@pytest.mark.parametrize("coverage", [0.0, -0.1, 1.1, float("nan")])
def test_a_coverage_is_a_share(coverage: float) -> None:
    with pytest.raises(InputError, match="takes a share above 0, up to 1"):
        metrics.risk_at_coverage(*binary([0.9], [1]), coverage=coverage)


def test_a_coverage_is_one_number(unchecked) -> None:
    several: Any = [0.5, 0.8]
    with pytest.raises(InputError, match="takes a share above 0, up to 1"):
        metrics.risk_at_coverage(*binary([0.9], [1]), coverage=several)
    text: Any = "0.8"
    with pytest.raises(InputError, match="coverage is <U3; numbers are needed"):
        metrics.risk_at_coverage(*binary([0.9], [1]), coverage=text)
