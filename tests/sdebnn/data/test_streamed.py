import dataclasses
import itertools
from typing import Any, Literal

import numpy as np
import pytest

from sdebnn.data import Dataset, StreamedDataset, describe, train_validation_split
from sdebnn.errors import InputError

X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int32)


def streamed(stream: Any, size: int = 20, x: np.ndarray = X, y: np.ndarray = Y, classes: int | None = 2) -> Any:
    task: Literal["classification", "regression"] = "regression" if classes is None else "classification"
    return StreamedDataset("mine", task, x[:4], y[:4], x[4:], y[4:], classes, stream=stream, size=size)


def taken(dataset: Dataset, count: int, *, start: int = 0, batch_size: int = 8) -> list[Any]:
    return list(itertools.islice(dataset.training_batches(batch_size, seed=0, start=start), count))


def test_a_stream_is_gone_through_again_and_taken_up_where_it_was() -> None:
    pairs = [(X[:8], Y[:8]), (X[8:16], Y[8:16]), (X[16:], Y[16:])]
    dataset = streamed(pairs)
    assert dataset.train_size == 20
    for start in (0, 1, 4):
        for number, (x, y) in enumerate(taken(dataset, 5, start=start), start):
            np.testing.assert_array_equal(x, pairs[number % 3][0])
            np.testing.assert_array_equal(y, pairs[number % 3][1])


def test_examples_in_memory_are_counted_and_come_in_the_order_of_training() -> None:
    dataset = Dataset("mine", "classification", X, Y, X, Y, 2)
    assert dataset.train_size == 20
    assert sorted(np.concatenate([x for x, _ in taken(dataset, 2, batch_size=10)])[:, 0]) == sorted(X[:, 0])


def test_numbers_of_other_types_are_converted() -> None:
    x, y = taken(streamed([(X.astype(np.float64), Y.astype(np.int64))]), 1, batch_size=20)[0]
    assert (x.dtype, y.dtype) == (np.float32, np.int32)
    targets = streamed([(X, X[:, 0].astype(np.float64))], y=X[:, :1], classes=None)
    assert taken(targets, 1, batch_size=20)[0][1].shape == (20, 1)


def test_pixels_stay_pixels() -> None:
    images = np.random.default_rng(0).integers(256, size=(6, 5, 5, 1))
    pixels = images.astype(np.uint8)
    dataset = streamed([(images, Y[:6])], x=pixels, y=Y[:6])
    np.testing.assert_array_equal(taken(dataset, 1)[0][0], pixels)


def test_what_is_made_of_it_counts_all_examples() -> None:
    assert "1000 for training, 16 for testing" in describe(streamed([], size=1000))


@pytest.mark.parametrize(
    ("stream", "says"),
    [
        ([X[:2]], r"Batch 1 of mine is a ndarray, but it must be a pair \(x, y\)"),
        ([(X[:2],)], "is a tuple, but it must be a pair"),
        ([(X[:2], Y[:3])], "2 examples and 3 answers"),
        ([(X, Y)], "20 examples .* up to 8; .* choose batch_size=20"),
        ([(X[:0], Y[:0])], "0 examples and 0 answers"),
        ([(X[:2, :2], Y[:2])], r"x of Batch 1 of mine is float32 of shape \(2, 2\), but an example .* shape \(3,\)"),
        ([(np.full((2, 3), np.nan), Y[:2])], "x of Batch 1 of mine has 6 values that are NaN"),
        ([(X[:2], np.array([0, 2]))], "y of Batch 1 of mine has labels from 0 to 2, but with 2 classes"),
        ([(X[:2], np.array([0.5, 1.0]))], "numbers that are not whole, such as 0.5"),
    ],
)
def test_refuses_batches_unlike_its_examples(stream: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        taken(streamed(stream), 1)


def test_refuses_a_stream_that_ends_too_early_and_one_that_is_none() -> None:
    with pytest.raises(InputError, match=r"have ended after 3, before the run has; .*max_steps=3"):
        taken(streamed((X[:2], Y[:2]) for _ in range(3)), 4)
    with pytest.raises(InputError, match=r"stream of mine is a function, .* call a function that makes one"):
        streamed(lambda: X)
    with pytest.raises(InputError, match="size of mine is 0; it takes the number of all training examples"):
        streamed([], size=0)


def test_refuses_to_hold_examples_out() -> None:
    with pytest.raises(InputError, match=r"A share of 0.1 of mine cannot be held out: .* take validation=0"):
        train_validation_split(streamed([]), 0.1, 0)


def test_it_is_a_data_set_whose_test_examples_may_be_others() -> None:
    fewer = dataclasses.replace(streamed([(X[:2], Y[:2])]), x_test=X[:5], y_test=Y[:5])
    assert len(taken(fewer, 3)) == 3
