import numpy as np
import pytest
from sklearn.metrics import roc_curve

from sdebnn import metrics
from sdebnn.errors import InputError


@pytest.mark.parametrize("decimals", [8, 1])
def test_agrees_with_its_meaning_with_and_without_ties(decimals: int) -> None:
    rng = np.random.default_rng(0)
    familiar, strange = rng.normal(size=300).round(decimals), rng.normal(1.0, 1.5, size=170).round(decimals)
    scores, is_strange = np.concatenate([familiar, strange]), np.repeat([0, 1], [300, 170])
    higher = (strange[:, None] > familiar) + 0.5 * (strange[:, None] == familiar)
    assert metrics.auroc(familiar, strange) == pytest.approx(higher.mean(), rel=1e-12)
    precisions = [np.mean(is_strange[scores >= score]) for score in strange]
    assert metrics.average_precision(familiar, strange) == pytest.approx(np.mean(precisions), rel=1e-12)
    false_positive, true_positive, _ = roc_curve(1 - is_strange, -scores, drop_intermediate=False)
    assert metrics.fpr95(familiar, strange) == pytest.approx(false_positive[np.argmax(true_positive >= 0.95)])


def test_worked_examples() -> None:
    assert metrics.auroc(np.array([0.0, 1.0]), np.array([2.0, 3.0])) == 1.0
    assert metrics.auroc(np.array([2.0]), np.array([1.0])) == 0.0
    assert metrics.auroc(np.array([1.0]), np.array([1.0])) == 0.5
    assert metrics.auroc(np.array([1.0, 2.0]), np.array([2.0, 0.0, 3.0, 2.0])) == pytest.approx((1.5 + 0 + 2 + 1.5) / 8)


def test_worked_examples_of_average_precision() -> None:
    assert metrics.average_precision(np.array([0.0, 1.0]), np.array([2.0, 3.0])) == 1.0
    assert metrics.average_precision(np.ones(3), np.ones(1)) == 0.25
    assert metrics.average_precision(np.array([[2.0]]), np.array([[1.0, 3.0]])) == pytest.approx((1 + 2 / 3) / 2)


def test_the_threshold_lets_nineteen_of_twenty_pass() -> None:
    familiar = np.arange(20.0)
    assert metrics.fpr95(familiar, np.array([18.0, 18.5])) == 0.5
    assert metrics.fpr95(np.array([1.0]), np.array([0.0, 1.0, 2.0, 3.0])) == 0.5


def test_refuses_nothing_and_nan() -> None:
    for score in (metrics.auroc, metrics.average_precision, metrics.fpr95):
        with pytest.raises(InputError, match="in_scores is empty"):
            score(np.zeros(0), np.zeros(1))
        with pytest.raises(InputError, match="out_scores is empty"):
            score(np.zeros(1), np.zeros(0))
    with pytest.raises(InputError, match="out_scores holds NaN"):
        metrics.fpr95(np.zeros(1), np.array([np.nan]))
    with pytest.raises(InputError, match="in_scores holds NaN"):
        metrics.auroc(np.array([np.inf]), np.zeros(1))
