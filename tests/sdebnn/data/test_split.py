import numpy as np
import pytest

from sdebnn.data import Dataset, train_validation_split
from sdebnn.data.held_out import hold_out
from sdebnn.errors import InputError


def table(n: int, *, labels: bool) -> Dataset:
    x = np.arange(n, dtype=np.float32)[:, None]
    if labels:
        y = (np.arange(n) % 3 == 0).astype(np.int32)
        return Dataset("mine", "classification", x, y, x, y, 2)
    return Dataset("mine", "regression", x, 2 * x, x, 2 * x, None)


def test_every_class_gives_its_share() -> None:
    classes = np.repeat(np.arange(4), [7, 100, 31, 62])
    keep, held = hold_out(200, 0.3, 5, classes)
    assert sorted([*keep, *held]) == list(range(200))
    assert len(held) == 60
    assert np.abs(np.bincount(classes[held]) - 0.3 * np.bincount(classes)).max() < 1


def test_the_held_out_examples_are_drawn_evenly() -> None:
    # Each of 10 examples is held out with probability 0.3: 1000 seeds give 300 +- 14.5.
    times = np.zeros(10)
    for seed in range(1000):
        times[hold_out(10, 0.3, seed, None)[1]] += 1
    assert np.abs(times - 300).max() < 5 * np.sqrt(1000 * 0.3 * 0.7)


@pytest.mark.parametrize("labels", [True, False])
def test_a_validation_split_parts_the_training_examples(labels: bool) -> None:
    whole = table(50, labels=labels)
    rest, x, y = train_validation_split(whole, 0.2, 1)
    assert len(x) == len(y) == 10
    np.testing.assert_array_equal(np.sort(np.concatenate([rest.x_train, x]), axis=0), whole.x_train)
    np.testing.assert_array_equal(whole.y_train[x[:, 0].astype(int)], y)
    assert rest.x_test is whole.x_test
    np.testing.assert_array_equal(train_validation_split(whole, 0.2, 1)[1], x)
    assert not np.array_equal(train_validation_split(whole, 0.2, 2)[1], x)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, 1.5, 0.001, float("nan")])
def test_a_split_with_an_empty_side_is_refused(fraction: float) -> None:
    with pytest.raises(InputError, match="leaves nothing on one side"):
        train_validation_split(table(50, labels=True), fraction, 0)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(InputError, match="seed must be 0 or more"):
        train_validation_split(table(50, labels=True), 0.5, -1)
