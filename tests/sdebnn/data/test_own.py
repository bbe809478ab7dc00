"""Data sets of tables and arrays of one's own, in memory."""

import json
import re
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sdebnn.data import Dataset, TableEncoding, describe, doubts
from sdebnn.errors import InputError

N = 90
RNG = np.random.default_rng(0)
TOWN = RNG.choice(["Bonn", "Köln", "Trier"], N)
SIZE = RNG.normal(120, 30, N)
TABLE = {"size": SIZE, "town": TOWN, "price": 3e3 * SIZE + 5e4 * (TOWN == "Bonn"), "sold": SIZE > 110}


def test_a_third_is_held_out_and_the_rest_tells_how_numbers_are_standardised() -> None:
    dataset = Dataset.from_frame(pl.DataFrame(TABLE), "price", name="sales")
    assert (dataset.name, dataset.task, dataset.num_classes) == ("sales", "regression", None)
    assert (len(dataset.x_train), len(dataset.x_test)) == (60, 30)
    assert dataset.encoding is not None
    assert dataset.encoding.input_names == ("size", "sold", "town=Bonn", "town=Köln", "town=Trier")
    np.testing.assert_allclose(dataset.x_train[:, :2].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(dataset.y_train.std(), 1, rtol=1e-5)
    back = dataset.encoding.in_user_units(np.concatenate([dataset.y_train, dataset.y_test]))
    np.testing.assert_allclose(np.sort(back[:, 0]), np.sort(TABLE["price"]), rtol=1e-6)
    again = Dataset.from_frame(pd.DataFrame(TABLE), "price", seed=0)
    np.testing.assert_array_equal(again.x_test, dataset.x_test)
    other = Dataset.from_frame(pd.DataFrame(TABLE), "price", seed=1)
    assert (other.x_test != dataset.x_test).any()


def test_classes_keep_their_proportions_and_their_names() -> None:
    dataset = Dataset.from_frame(pd.DataFrame(TABLE), "town")
    assert dataset.encoding is not None
    assert dataset.encoding.labels == ("Bonn", "Köln", "Trier")
    assert dataset.num_classes == 3
    both = np.bincount(dataset.y_train) + np.bincount(dataset.y_test)
    assert np.abs(np.bincount(dataset.y_test) - both / 3).max() < 1


def test_a_class_of_one_example_is_a_class_wherever_it_falls() -> None:
    for seed in range(4):
        table = pl.DataFrame({"x": RNG.normal(size=31), "y": ["a"] * 15 + ["b"] * 15 + ["c"]})
        dataset = Dataset.from_frame(table, "y", seed=seed)
        assert dataset.num_classes == 3


def test_a_test_set_is_taken_as_given() -> None:
    table = pl.DataFrame(TABLE)
    dataset = Dataset.from_frame(table[:80], "price", test=table[80:])
    assert dataset.encoding is not None
    np.testing.assert_array_equal(dataset.x_test, dataset.encoding.inputs(table[80:]))
    np.testing.assert_array_equal(dataset.y_test, dataset.encoding.answers(table[80:]))
    np.testing.assert_allclose(dataset.x_train[:, 0], (SIZE[:80] - SIZE[:80].mean()) / SIZE[:80].std(), rtol=1e-4)
    with pytest.raises(InputError, match="no column 'price' to predict"):
        Dataset.from_frame(table, "price", test=table.drop("price"))
    with pytest.raises(InputError, match="no column 'size'"):
        Dataset.from_frame(table, "price", test=table.drop("size"))
    with pytest.raises(InputError, match=r"'Trier' in row .*classes of training are 'Bonn', 'Köln'"):
        Dataset.from_frame(table.filter(pl.col("town") != "Trier"), "town", test=table)


def test_what_is_taken_as_a_whole_is_taken_whatever_is_held_out() -> None:
    # Four fifths of these are not numbers, but of some parts of them are.
    mostly = ["1", "2", "3"] * 23 + ["a", "b", "c"] * 7
    for seed in range(6):
        assert Dataset.from_frame(pl.DataFrame({**TABLE, "code": mostly}), "price", seed=seed).encoding is not None


def test_a_table_is_read_as_a_run_of_before_read_it() -> None:
    days = [f"2024-{row % 2 + 1:02}-01" for row in range(N)]
    table = pl.DataFrame({**TABLE, "day": days})
    with pytest.raises(InputError, match="'day' holds dates"):
        Dataset.from_frame(table, "price")
    as_names = Dataset.from_frame(table.with_columns(day="d" + pl.col("day")), "price")
    assert as_names.encoding is not None
    record = json.loads(json.dumps(as_names.encoding.to_json()).replace("d2024", "2024"))
    before = TableEncoding.from_json(record)
    again = Dataset.from_frame(table, "price", encoding=before)
    assert again.encoding is before
    for part in ("x_train", "y_train", "x_test", "y_test"):
        np.testing.assert_array_equal(getattr(again, part), getattr(as_names, part))


@pytest.mark.parametrize("row", [0, 40, 89])
def test_rows_are_those_of_the_whole_table(row: int) -> None:
    sizes: list[Any] = SIZE.tolist()
    sizes[row] = np.inf
    with pytest.raises(InputError, match=f"'size' has 1 infinite values, the first in row {row},"):
        Dataset.from_frame(pl.DataFrame({**TABLE, "size": sizes}), "price")
    with pytest.raises(InputError, match=f"'size' has 1 infinite values, the first in row {row},"):
        Dataset.from_frame(pl.DataFrame({**TABLE, "size": sizes})["town", "size"], "size")
    sizes = [str(size) for size in SIZE]
    sizes[row] = "large"
    with pytest.raises(InputError, match=f"'size' holds numbers, but 'large' in row {row},"):
        Dataset.from_frame(pl.DataFrame({**TABLE, "size": sizes}), "price")


def test_arrays_are_standardised_and_labels_of_any_type_named() -> None:
    x = RNG.normal([0, 1e6], [1e-3, 1e5], size=(N, 2))
    dataset = Dataset.from_arrays(x, TOWN)
    assert dataset.encoding is not None
    assert dataset.encoding.labels == ("Bonn", "Köln", "Trier")
    np.testing.assert_allclose(dataset.x_train.std(axis=0), 1, rtol=1e-5)
    given = Dataset.from_arrays(x[:60], x[:60, 0], x[60:], x[60:, 0])
    np.testing.assert_allclose(given.y_test[:, 0], (x[60:, 0] - x[:60, 0].mean()) / x[:60, 0].std(), rtol=1e-4)
    sequences = Dataset.from_arrays(x.reshape(N // 2, 2, 2), TOWN[: N // 2], layout="table")
    assert sequences.x_train.shape == (30, 4)


def test_images_stay_as_they_are() -> None:
    x = RNG.integers(0, 256, size=(30, 4, 4))
    dataset = Dataset.from_arrays(x, np.arange(30) % 3)
    assert dataset.encoding is None
    assert dataset.x_train.dtype == np.uint8
    given = Dataset.from_arrays(x[:20], np.arange(20) % 3, x[20:], np.arange(10) % 3)
    np.testing.assert_array_equal(given.x_test[..., 0], x[20:])


def test_what_was_made_of_a_table_is_said_in_its_own_words() -> None:
    said = describe(Dataset.from_frame(pl.DataFrame(TABLE), "price"))
    assert "90 rows of 5 inputs from 3 columns, 1 target (mean 3." in said
    assert "e+05, std " in said
    assert "3 classes (Bonn, Köln, Trier)" in describe(Dataset.from_frame(pl.DataFrame(TABLE), "town"))
    assert "rows of 2 inputs, " in describe(Dataset.from_arrays(RNG.normal(size=(30, 2)), RNG.normal(size=30)))


def test_what_is_not_standardised_is_named() -> None:
    found = doubts(Dataset.from_frame(pl.DataFrame(TABLE), "price", scale=False))
    assert any("('size': mean 1" in sentence and "--scale 1" in sentence for sentence in found)
    assert any("1 of 1 targets are not standardised, which the network is made for ('price'" in s for s in found)
    assert doubts(Dataset.from_frame(pl.DataFrame(TABLE), "price")) == []
    rare = pl.DataFrame({"x": SIZE, "y": ["common"] * 83 + ["seldom"] * 7})
    (said,) = doubts(Dataset.from_frame(rare, "y"))
    assert re.search("class seldom has [45] of 60 training examples, class common has", said)


@pytest.mark.parametrize(
    ("arrays", "choices", "says"),
    [
        ((np.ones((1, 2)), [1.5]), {}, "has 1 row, of which a third is to be held out; give at least 3"),
        ((np.ones((2, 2)), [1.5, 2]), {}, "has 2 rows, of which a third"),
        ((np.ones((4, 2)), [1, 2, 3]), {}, "has 4 rows but y has 3"),
        ((np.ones((4, 2)), [1, 2, 3, 4], np.ones((4, 2))), {}, "one of x_test and y_test"),
        ((np.ones((4, 2)), [1.5, 2, 3, 4]), {"task": "clustering"}, "'clustering' is not a task"),
        ((np.ones((4, 2)), [1.5, 2, 3, 4]), {"layout": "rows"}, "'rows' is not a layout"),
        ((np.ones((4, 2, 2)), ["a", "b", "a", "b"]), {}, "y of arrays holds words"),
        ((np.ones((4, 2)), ["a", "b", "a", "b"]), {"task": "regression"}, "'y' holds text, such as 'a'"),
    ],
)
def test_arrays_that_cannot_be_used_are_refused(arrays: Any, choices: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Dataset.from_arrays(*arrays, **choices)
