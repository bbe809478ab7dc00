import math
from typing import Any

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from sdebnn import metrics
from sdebnn.errors import InputError


def binary(confidence: list[float], right: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Labels that make predictions of class 1 right or wrong, and those, of the given confidences above one half."""
    c = np.array(confidence)
    return np.array(right), np.stack([1 - c, c], axis=1)


# Of width 1/5: (0.6, 0.8] holds 0.65 and 0.75, half of them right; (0.8, 1] holds the others, two of three right.
EXAMPLE = binary([0.65, 0.75, 0.85, 0.95, 1.0], [1, 0, 1, 0, 1])


def test_a_worked_example_in_groups_of_equal_width() -> None:
    groups = metrics.reliability_bins(*EXAMPLE, bins=5)
    np.testing.assert_array_equal(groups.counts, [0, 0, 0, 2, 3])
    np.testing.assert_allclose(groups.confidence, [np.nan, np.nan, np.nan, 0.7, 2.8 / 3])
    np.testing.assert_allclose(groups.accuracy, [np.nan, np.nan, np.nan, 0.5, 2 / 3])
    assert metrics.expected_calibration_error(*EXAMPLE, bins=5) == pytest.approx((2 * 0.2 + 3 * (0.8 / 3)) / 5)
    assert metrics.maximum_calibration_error(*EXAMPLE, bins=5) == pytest.approx(0.8 / 3)


def test_a_worked_example_in_groups_of_equal_mass() -> None:
    # Two groups of three and two: the lower three are right twice, the upper two once.
    groups = metrics.reliability_bins(*EXAMPLE, bins=2, scheme="mass")
    np.testing.assert_array_equal(groups.counts, [3, 2])
    np.testing.assert_allclose(groups.confidence, [0.75, 0.975])
    np.testing.assert_allclose(groups.accuracy, [2 / 3, 0.5])
    expected = (3 * (0.75 - 2 / 3) + 2 * 0.475) / 5
    assert metrics.expected_calibration_error(*EXAMPLE, bins=2, scheme="mass") == pytest.approx(expected)
    assert metrics.maximum_calibration_error(*EXAMPLE, bins=2, scheme="mass") == pytest.approx(0.475)


def test_a_group_is_closed_on_the_right() -> None:
    groups = metrics.reliability_bins(*binary([0.75, 0.75, 0.76], [1, 1, 1]), bins=4)
    np.testing.assert_array_equal(groups.counts, [0, 0, 2, 1])


@pytest.mark.parametrize("scheme", ["width", "mass"])
def test_the_order_of_the_examples_does_not_matter_with_ties(scheme: str) -> None:
    rng = np.random.default_rng(0)
    labels, probs = binary(list(rng.choice([0.6, 0.7, 0.9], size=50)), list(rng.integers(2, size=50)))
    errors = set()
    for _ in range(5):
        order = rng.permutation(50)
        error = metrics.expected_calibration_error(labels[order], probs[order], bins=7, scheme=scheme)
        errors.add(round(error, 12))
    assert len(errors) == 1


@pytest.mark.parametrize("scheme", ["width", "mass"])
def test_one_example(scheme: str) -> None:
    labels, probs = binary([0.75], [0])
    assert metrics.expected_calibration_error(labels, probs, scheme=scheme) == pytest.approx(0.75)
    assert metrics.maximum_calibration_error(labels, probs, scheme=scheme) == pytest.approx(0.75)


def test_groups_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    labels, probs = binary(list(rng.uniform(0.5, 1, size=500)), list(rng.integers(2, size=500)))
    groups = metrics.reliability_bins(labels, probs, bins=10)
    accuracy, confidence = calibration_curve(labels, probs[:, 1], n_bins=10)
    np.testing.assert_allclose(groups.accuracy[5:], accuracy)
    np.testing.assert_allclose(groups.confidence[5:], confidence)


@pytest.mark.parametrize("scheme", ["width", "mass"])
def test_labels_drawn_from_the_probabilities_are_calibrated_and_sharpened_ones_are_not(scheme: str) -> None:
    rng = np.random.default_rng(2)
    probs = rng.dirichlet(np.ones(5), size=40_000)
    labels = (rng.random((40_000, 1)) > probs.cumsum(axis=1)).sum(axis=1).clip(max=4)
    # A group's accuracy is then Gaussian around its confidence, with variance p (1 - p) / count.
    groups = metrics.reliability_bins(labels, probs, scheme=scheme)
    noise = np.sqrt(np.nan_to_num(groups.confidence * (1 - groups.confidence)) * groups.counts) / 40_000
    expected, deviation = math.sqrt(2 / math.pi) * noise.sum(), math.sqrt((1 - 2 / math.pi) * np.sum(noise**2))
    error = metrics.expected_calibration_error(labels, probs, scheme=scheme)
    assert error == pytest.approx(expected, abs=4 * deviation)
    assert error < 0.02
    sharp = probs**3 / np.sum(probs**3, axis=1, keepdims=True)
    gap = sharp.max(axis=1).mean() - metrics.accuracy(labels, sharp)
    assert metrics.expected_calibration_error(labels, sharp, scheme=scheme) == pytest.approx(gap, abs=0.01)
    assert gap > 0.2


def test_groups_of_equal_mass_hold_the_same_number() -> None:
    rng = np.random.default_rng(3)
    labels, probs = binary(list(rng.uniform(0.5, 1, size=150)), list(rng.integers(2, size=150)))
    np.testing.assert_array_equal(metrics.reliability_bins(labels, probs, scheme="mass").counts, np.full(15, 10))


def test_refuses_no_groups_and_an_unknown_scheme(unchecked) -> None:
    wrong: tuple[Any, ...] = 0, 1.5, "15", True
    for bins in wrong:
        with pytest.raises(InputError, match=f"bins={bins!r} is not allowed: it takes a whole number, 1 or more"):
            metrics.reliability_bins(*EXAMPLE, bins=bins)
    with pytest.raises(InputError, match="scheme='depth' is not allowed: it takes width or mass"):
        metrics.reliability_bins(*EXAMPLE, scheme="depth")


def test_classwise_calibration_of_a_worked_example() -> None:
    """Of three classes the first is always said with 0.5 and never there; the other two share the rest evenly."""
    probs = np.tile([0.5, 0.25, 0.25], (4, 1))
    labels = np.array([1, 2, 1, 2])
    assert metrics.classwise_calibration_error(labels, probs) == pytest.approx((0.5 + 0.25 + 0.25) / 3)
    assert metrics.classwise_calibration_error(np.array([0, 0, 1, 2]), probs) == 0


def test_the_classes_of_two_have_one_calibration_error() -> None:
    """The groups of the second class are those of the first, mirrored, where no probability is on their edges."""
    rng = np.random.default_rng(0)
    p = rng.random(200)
    labels = rng.integers(2, size=200)
    of_one = metrics.classwise_calibration_error(labels, np.stack([1 - p, p], axis=1), bins=10)
    group = (10 * p).astype(int)
    gaps = [abs(labels[group == k].sum() - p[group == k].sum()) for k in range(10)]
    assert of_one == pytest.approx(sum(gaps) / 200)
