import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from sdebnn.data import Dataset, describe, doubts
from sdebnn.data.description import hint_of_counts

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)).astype(np.float32)
Y = RNG.normal(size=(60, 1)).astype(np.float32)
LABELS = np.arange(60, dtype=np.int32) % 2


def regression(x: Any = X, y: Any = Y) -> Dataset:
    return Dataset("mine", "regression", x[:40], y[:40], x[40:], y[40:], None)


def classification(x: Any = X, y: Any = LABELS, classes: int = 2) -> Dataset:
    return Dataset("mine", "classification", x[:40], y[:40].astype(np.int32), x[40:], y[40:].astype(np.int32), classes)


def test_what_was_made_of_the_data_is_said_in_a_line() -> None:
    mean, std = Y[:40].mean(), Y[:40].std()
    assert describe(regression()) == (
        f"regression: 60 rows of 3 inputs, 1 target (mean {mean:.3g}, std {std:.3g}); 40 for training, 20 for testing"
    )
    images = np.zeros((60, 4, 5, 1), np.uint8)
    assert describe(classification(images), 7) == (
        "classification: 67 grey images of 4 x 5, pixels divided by 255, 2 classes; 40 for training, 7 for validation, "
        "20 for testing"
    )
    assert "60 images of 3 channels of 4 x 5, 2 classes" in describe(
        classification(np.zeros((60, 4, 5, 3), np.float32))
    )


@pytest.mark.parametrize(
    ("dataset", "says"),
    [
        (regression(y=5e4 * Y + 2e5), "1 of 1 targets are not standardised"),
        (regression(y=1e-5 * Y), "1 of 1 targets are not standardised"),
        (regression(x=X * np.array([1, 1000, 1], np.float32)), r"1 of 3 inputs are not standardised, .*column 1: mean"),
        (regression(x=X + np.array([0, 0, 1e6], np.float32)), r"inputs are not standardised, .*column 2: mean 1e\+06"),
        (classification(np.full((60, 4, 4, 1), 16, np.uint8)), "whole numbers of at most 16, and are divided by 255"),
        (classification(np.full((60, 4, 4, 1), 200, np.float32)), "numbers in the images are not standardised"),
        (classification(np.zeros((60, 3, 8, 8), np.float32)), r"8 channels of 3 x 8; .*transpose\(0, 2, 3, 1\)"),
        (classification(y=np.where(np.arange(60) == 3, 1, 0)), "imbalanced: class 1 has 1 of 40 .*class-weight"),
        (classification(y=LABELS * 2, classes=4), r"Of 4 classes 2 have no training examples \(1, 3\)"),
        (
            regression(y=np.exp(9 * Y)),
            r"so far from the others \(column 0: half of them are from .*train on their logarithm",
        ),
        (
            Dataset.from_arrays(X, np.concatenate([Y[:-1], [[1e6]]]), X, Y),
            r"so far from the others \('y0': .* the largest is 1e\+06",
        ),
        (classification(y=np.arange(60) % 40, classes=40), "up to 39 are taken as 40 classes; .*--task"),
    ],
)
def test_what_is_doubtful_is_said_with_a_remedy(dataset: Dataset, says: str) -> None:
    assert any(re.search(says, sentence) for sentence in doubts(dataset))


COUNTED = np.random.default_rng(1).poisson(2.0, (60, 1)).astype(np.float32)


def test_counts_are_told_of_their_law() -> None:
    sentence = hint_of_counts(regression(y=COUNTED))
    assert sentence is not None
    assert "whole numbers from 0 to" in sentence
    assert "choose likelihood='poisson' (--likelihood)" in sentence
    for y in (COUNTED + 1, 100 * COUNTED, np.minimum(COUNTED, 1), Y):
        assert hint_of_counts(regression(y=y)) is None
    # They are not standardised.
    assert doubts(regression(y=500 * COUNTED), "poisson") == []
    assert doubts(regression(y=500 * COUNTED)) != []


def test_targets_that_are_all_the_same_are_doubtful() -> None:
    (sentence,) = doubts(regression(y=np.full((60, 2), 3, np.float32)))
    assert "same target (2 of 2 targets, 3)" in sentence


def test_targets_that_are_skewed_a_little_are_not_doubtful() -> None:
    assert doubts(Dataset.from_arrays(X, np.exp(Y), X, np.exp(Y))) == []
    # Half of them are alike, so that nothing says how far is far.
    y = np.where(np.arange(60)[:, None] % 10, 0.0, Y)
    (sentence,) = doubts(Dataset.from_arrays(X, y, X, y))
    assert "54 of 60 training examples have one value" in sentence


def test_nothing_is_said_of_data_as_the_network_wants_them() -> None:
    one_hot = np.eye(3, dtype=np.float32)[np.arange(60) % 3]
    photographs = np.arange(60 * 48).reshape(60, 4, 4, 3).astype(np.uint8)
    for dataset in (regression(), classification(), classification(one_hot), classification(photographs)):
        assert doubts(dataset) == []
    assert doubts(dataclasses.replace(regression(), y_train=3 * Y[:40])) == []
