import numpy as np
import pytest

from sdebnn import metrics
from sdebnn.errors import InputError

REFERENCE = np.array([[0.7, 0.2, 0.1], [0.2, 0.3, 0.5]])
PREDICTION = np.array([[0.5, 0.4, 0.1], [0.2, 0.6, 0.2]])


def test_a_worked_example() -> None:
    assert metrics.agreement(REFERENCE, PREDICTION) == 0.5
    assert metrics.total_variation(REFERENCE, PREDICTION) == pytest.approx((0.2 + 0.3) / 2)
    assert metrics.agreement(REFERENCE, REFERENCE) == 1
    assert metrics.total_variation(REFERENCE, REFERENCE) == 0


def test_total_variation_is_the_largest_difference_over_events() -> None:
    """Its definition, over all eight sets of three classes."""
    events = np.array([[number >> k & 1 for k in range(3)] for number in range(8)])
    largest = np.abs((REFERENCE - PREDICTION) @ events.T).max(axis=1)
    assert metrics.total_variation(REFERENCE, PREDICTION) == pytest.approx(largest.mean())
    assert metrics.total_variation([[1.0, 0.0]], [[0.0, 1.0]]) == 1


@pytest.mark.parametrize("score", [metrics.agreement, metrics.total_variation])
def test_what_cannot_be_compared_is_refused(score) -> None:
    with pytest.raises(InputError, match=r"the prediction has shape \(1, 3\) but the reference has \(2, 3\)"):
        score(REFERENCE, PREDICTION[:1])
    with pytest.raises(InputError, match="If these are logits, pass their softmax"):
        score(REFERENCE, np.log(PREDICTION))
    for samples in (np.stack([REFERENCE, PREDICTION]), REFERENCE[0]):
        with pytest.raises(InputError, match=r"\(examples, classes\) is needed: average posterior samples first"):
            score(samples, samples)
