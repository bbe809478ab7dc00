import json
import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sdebnn.data import Dataset, TableEncoding
from sdebnn.data.columns import CategoryColumn
from sdebnn.errors import InputError

N = 60
RNG = np.random.default_rng(0)
SALES: dict[str, list[Any]] = {
    "size": [None if row % 12 == 5 else float(value) for row, value in enumerate(RNG.normal(120.0, 30.0, N))],
    "rooms": [int(value) for value in RNG.integers(1, 6, N)],
    "garden": [bool(value) for value in RNG.random(N) > 0.5],
    "town": [str(value) for value in RNG.choice(["Bonn", "Köln", "Trier"], N)],
    "street": [f"Street {row}" for row in range(N)],
    "country": ["DE"] * N,
    "number": list(range(1, N + 1)),
    "price": [float(value) for value in RNG.normal(3e5, 1e5, N)],
}
FRAMES = {"pandas": pd.DataFrame, "polars": pl.DataFrame}


@pytest.fixture(params=FRAMES)
def frame(request: pytest.FixtureRequest) -> Any:
    """One table in either library."""
    return FRAMES[request.param](SALES)


def test_numbers_are_standardised_and_categories_are_one_input_each(frame: Any) -> None:
    encoding = TableEncoding.fit(frame, "price")
    assert encoding.input_names == (
        "size", "rooms", "garden", "number", "size is missing", "town=Bonn", "town=Köln", "town=Trier"
    )  # fmt: skip
    x = encoding.inputs(frame)
    assert x.dtype == np.float32
    rooms = np.array(SALES["rooms"])
    np.testing.assert_allclose(x[:, 1], (rooms - rooms.mean()) / rooms.std(), rtol=1e-6)
    sizes = np.array(SALES["size"], float)
    there = sizes[~np.isnan(sizes)]
    filled = np.where(np.isnan(sizes), np.median(there), sizes)
    np.testing.assert_allclose(x[:, 0], (filled - there.mean()) / there.std(), rtol=1e-6)
    np.testing.assert_array_equal(x[:, 4], np.isnan(sizes))
    np.testing.assert_array_equal(x[:, 5:], np.array(SALES["town"])[:, None] == ["Bonn", "Köln", "Trier"])


def test_what_became_of_each_column_is_said(frame: Any) -> None:
    remarks = TableEncoding.fit(frame, "price").remarks
    for says in (
        "column 'size': 5 missing values are filled with the median",
        "column 'number': it looks like a number of the row",
        "column 'street' is left out: its text is another in every row",
        "column 'country' is left out: it has one value alone",
    ):
        assert [remark for remark in remarks if remark.startswith(says)]
    assert len(remarks) == 4


def test_columns_are_found_by_their_names_in_any_order(frame: Any) -> None:
    encoding = TableEncoding.fit(frame, "price")
    x = encoding.inputs(frame)
    needed = ["town", "number", "garden", "size", "rooms"]
    np.testing.assert_array_equal(encoding.inputs(frame[needed]), x)
    np.testing.assert_array_equal(encoding.inputs(frame[["price", "country", *needed]]), x)


def test_either_library_gives_the_same_numbers() -> None:
    of_one, of_other = (TableEncoding.fit(make(SALES), "price") for make in FRAMES.values())
    assert of_one == of_other
    np.testing.assert_array_equal(of_one.inputs(pl.DataFrame(SALES)), of_one.inputs(pd.DataFrame(SALES)))


def test_an_array_is_taken_in_the_order_of_training() -> None:
    x = RNG.normal([5, 1e6], [0.1, 1e3], size=(40, 2))
    encoding = TableEncoding.fit(x, y=x[:, 0])
    np.testing.assert_allclose(encoding.inputs(x), (x - x.mean(axis=0)) / x.std(axis=0), rtol=1e-5)
    assert encoding.inputs(x[:1]).shape == (1, 2)
    mixed = np.array([[1, "a"], [2, "b"], [3.5, "a"], [None, "b"]], object)
    made = TableEncoding.fit(mixed, y=np.arange(4) + 0.5).inputs(mixed)
    np.testing.assert_array_equal(made[:, 1:], [[0, 1, 0], [0, 0, 1], [0, 1, 0], [1, 0, 1]])


@pytest.mark.parametrize("size", [1e12, 1e-9, 1e200, 1e-200, -3.0])
def test_targets_and_inputs_of_any_magnitude_are_standardised(size: float) -> None:
    standard = (numbers := RNG.normal(size=(200, 1)) - 0.3) - numbers.mean()
    standard /= standard.std()
    encoding = TableEncoding.fit(size * numbers, y=size * numbers[:, 0])
    np.testing.assert_allclose(encoding.inputs(size * numbers), np.sign(size) * standard, atol=1e-5)
    answers = encoding.answers(size * numbers[:, 0])
    assert answers.dtype == np.float32
    assert encoding.target_mean is not None
    assert encoding.target_std is not None
    back = encoding.target_mean + encoding.target_std * answers.astype(np.float64)
    np.testing.assert_allclose(back, size * numbers, rtol=0, atol=1e-6 * abs(size))


def test_values_far_from_the_others_do_not_make_these_alike() -> None:
    x = RNG.normal(50, 3, size=(200, 2))
    x[7, 0] = 1e9
    encoding = TableEncoding.fit(x, y=x[:, 1])
    made = encoding.inputs(x)
    others = np.delete(np.arange(200), 7)
    assert made[others, 0].std() > 0.4
    assert 5 < made[7, 0] < 15
    assert (np.diff(made[np.argsort(x[:, 0]), 0]) > 0).all()
    np.testing.assert_allclose(made[:, 0].std(), 1, rtol=1e-5)
    np.testing.assert_allclose(made[:, 1], (x[:, 1] - x[:, 1].mean()) / x[:, 1].std(), rtol=1e-4, atol=1e-6)
    assert encoding.remarks == [
        "column 'x0': some values are far from the others, so arcsinh((value - median) / spread) is taken"
    ]
    np.testing.assert_array_equal(TableEncoding.from_json(encoding.to_json()).inputs(x), made)
    np.testing.assert_array_equal(TableEncoding.fit(x, y=x[:, 1], scale=False).inputs(x), x.astype(np.float32))


def test_a_difference_that_single_precision_would_lose_is_kept() -> None:
    days = np.arange(100.0) + 1.7e9
    np.testing.assert_allclose(TableEncoding.fit(days[:, None], y=days).inputs(days[:, None]).std(), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("y", "names"),
    [
        (["b", "a", "b", "c", "a", "c"], ("a", "b", "c")),
        ([True, False, True, True, False, False], (False, True)),
        ([7, 3, 3, 7, 3, 3], (3, 7)),
        ([2.0, 1.0, 2.0, 1.0, 1.0, 1.0], (1.0, 2.0)),
        ([2**62, -5, 2**62, -5, -5, -5], (-5, 2**62)),
    ],
)
def test_labels_of_any_type_are_numbered_in_sorted_order_and_keep_their_names(y: list[Any], names: Any) -> None:
    for answers in (np.array(y), np.array(y, object), np.array(y)[:, None], pd.DataFrame({"y": y}), pl.Series(y)):
        encoding = TableEncoding.fit(RNG.normal(size=(6, 2)), y=answers, task="classification")
        assert encoding.labels == names
        assert [type(label) for label in encoding.labels] == [type(name) for name in names]
        numbers = encoding.answers(answers)
        assert numbers.dtype == np.int32
        assert [names[number] for number in numbers] == y
    assert encoding.target_std is None


def test_the_task_is_what_the_answers_are() -> None:
    x = RNG.normal(size=(40, 2))
    for y, labels in (
        (np.arange(40) % 3, (0, 1, 2)),
        (np.arange(40) % 2 == 0, (False, True)),
        (np.array(["u", "v"] * 20), ("u", "v")),
        (RNG.normal(size=40), None),
        (RNG.normal(size=(40, 2)), None),
        (RNG.integers(0, 100, size=(40, 2)), None),
    ):
        assert TableEncoding.fit(x, y=y).labels == labels
    with pytest.raises(InputError, match=r"40 different texts in 40 rows, .*hardly classes"):
        TableEncoding.fit(x, y=np.array([f"h{row}" for row in range(40)]))
    for y in (np.arange(40), np.arange(40) % 3 + 0.0, np.eye(4)[np.arange(40) % 4]):
        with pytest.raises(InputError, match=r"classes, or targets of a regression\? Choose task='classification'"):
            TableEncoding.fit(x, y=y)
    assert TableEncoding.fit(x, y=np.arange(40), task="regression").labels is None
    assert TableEncoding.fit(x, y=np.eye(4)[np.arange(40) % 4], task="classification").labels == (0, 1, 2, 3)


def test_classes_that_the_training_rows_lack_may_be_given() -> None:
    encoding = TableEncoding.fit(RNG.normal(size=(4, 1)), y=np.array(["a", "b"] * 2), labels=("a", "b", "c"))
    assert encoding.answers(np.array(["c"])).tolist() == [2]


def test_columns_that_have_numbers_for_names_are_found() -> None:
    table = pd.DataFrame(RNG.normal(size=(6, 3)))
    encoding = TableEncoding.fit(table, 2)
    assert (encoding.input_names, encoding.target_names) == (("0", "1"), ("2",))
    np.testing.assert_array_equal(encoding.inputs(table[[1, 0]]), encoding.inputs(table))


def test_rare_categories_share_an_input_and_unseen_ones_are_said() -> None:
    towns = ["a", "b", "c"] * 10 + ["x", "y", None]
    table = pl.DataFrame({"town": towns, "size": np.arange(33.0)})
    encoding = TableEncoding.fit(table, y=np.arange(33.0) + 0.5)
    assert encoding.input_names == ("size", "town=a", "town=b", "town=c", "town is another", "town is missing")
    assert encoding.remarks == [
        "column 'town': 2 examples of rare categories share an input and 1 examples without a category share an input"
    ]
    x = encoding.inputs(pl.DataFrame({"town": ["x", None, "new"], "size": [0, 0, 0]}))
    np.testing.assert_array_equal(x[:, 1:], [[0, 0, 0, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 1, 0]])
    common = TableEncoding.fit(table[:30], y=np.arange(30.0) + 0.5)
    with pytest.warns(
        UserWarning, match="Column 'town' has a category such as 'new', which training had not, in 1 rows"
    ):
        x = common.inputs(pl.DataFrame({"town": ["new", "a"], "size": [0, 0]}))
    np.testing.assert_array_equal(x[:, 1:], [[0, 0, 0], [1, 0, 0]])


def test_of_many_categories_the_most_frequent_have_inputs() -> None:
    towns = [f"t{number}" for number in range(50) for _ in range(2 + (number < 5))]
    encoding = TableEncoding.fit(pl.DataFrame({"town": towns}), y=np.arange(len(towns)) + 0.5)
    assert len(encoding.input_names) == 33
    assert {f"town=t{number}" for number in range(5)} < set(encoding.input_names)


def test_categories_are_the_same_whatever_type_they_come_in() -> None:
    codes = [1, 2, 1, 2, 1, 2]
    trained = pd.DataFrame({"code": pd.Categorical(codes), "x": np.arange(6.0)})
    encoding = TableEncoding.fit(trained, y=np.arange(6) + 0.5)
    assert encoding.input_names[1:] == ("code=1", "code=2")
    expected = encoding.inputs(trained)
    decimals = TableEncoding.fit(trained.assign(code=pd.Categorical(np.array(codes, float))), y=np.arange(6) + 0.5)
    mixed = trained.assign(code=[1.0, "b", 1.0, "b", 1.0, "b"])
    assert decimals == encoding
    assert TableEncoding.fit(mixed, y=np.arange(6) + 0.5).input_names[1:] == ("code=1", "code=b")
    for values in (codes, [float(code) for code in codes], [str(code) for code in codes]):
        np.testing.assert_array_equal(encoding.inputs(pl.DataFrame({"code": values, "x": np.arange(6.0)})), expected)


@pytest.mark.parametrize(
    ("categories", "values"),
    [
        (["01067", "2.50", "x"], [1067.0, 2.5]),
        (["true", "false", "maybe"], [True, False]),
        (["01", "2", "1"], ["01", "2"]),
    ],
)
@pytest.mark.parametrize("rare", [[], ["77"]])
def test_categories_are_found_where_all_values_are_read_as_numbers(categories: Any, values: Any, rare: Any) -> None:
    table = pd.DataFrame({"code": categories * 3 + rare})
    encoding = TableEncoding.fit(table, y=np.arange(len(table)) + 0.5)
    expected = encoding.inputs(table[:2])
    np.testing.assert_array_equal(encoding.inputs(pl.DataFrame({"code": values})), expected)
    # Missing ones make floating-point numbers of truth values, and text objects of all.
    for more in (None, "new"):
        objects = np.array([*values, more], object)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            np.testing.assert_array_equal(encoding.inputs(pd.DataFrame({"code": objects}))[:2], expected)


def test_what_is_two_categories_by_its_number_is_none_of_them() -> None:
    encoding = TableEncoding.fit(pd.DataFrame({"code": ["001", "01", "02", "a"] * 3}), y=np.arange(12) + 0.5)
    with pytest.warns(UserWarning, match="a category such as '1', which training had not, in 1 rows"):
        np.testing.assert_array_equal(encoding.inputs(pl.DataFrame({"code": [1, 2]})), [[0] * 4, [0, 0, 1, 0]])
    with pytest.warns(UserWarning, match="a category such as '2'"):
        # Text is another name.
        assert not encoding.inputs(pl.DataFrame({"code": ["2"]})).any()


@pytest.mark.parametrize("values", [pd.Categorical([2.0, 1.5]), np.array([2.0, 1.5, "x"], object)[[0, 1, 2]]])
def test_older_encodings_have_whole_numbers_with_decimals(values: Any) -> None:
    table = pd.DataFrame({"code": values})
    old = TableEncoding((CategoryColumn("code", ("1.5", "2", "2.0", "x"), 0, 0),), True, ("y",), ("1.0", "a"), None)
    np.testing.assert_array_equal(old.inputs(table)[:2], [[0, 0, 1, 0], [1, 0, 0, 0]])
    np.testing.assert_array_equal(old.answers(pd.Series([1.0, "a"], dtype=object)), [0, 1])


def test_an_infinite_number_is_no_category() -> None:
    encoding = TableEncoding.fit(pd.DataFrame({"code": ["01", "x"] * 3}), y=np.arange(6) + 0.5)
    with pytest.warns(UserWarning, match="a category such as 'inf', which training had not"):
        np.testing.assert_array_equal(encoding.inputs(pl.DataFrame({"code": [np.inf]})), [[0, 0]])


@pytest.mark.parametrize(
    "values",
    [
        pd.array([1, None, 3, 5], dtype="Int64"),
        pd.array([1.0, None, 3.0, 5.0], dtype="Float64"),
        pl.Series([1, None, 3, 5], dtype=pl.UInt8),
        pl.Series([1, None, 3, 5], dtype=pl.Int128),
        np.array([1, np.nan, 3, 5], np.float16),
        np.array([1, None, 3, 5], object),
    ],
    ids=lambda values: str(values.dtype),
)
def test_missing_numbers_are_those_of_any_type(values: Any) -> None:
    table = pl.DataFrame({"a": values}) if isinstance(values, pl.Series) else pd.DataFrame({"a": values})
    encoding = TableEncoding.fit(table, y=np.arange(4) + 0.5)
    std = np.array([1, 3, 5]).std()
    np.testing.assert_allclose(encoding.inputs(table), [[-2 / std, 0], [0, 1], [0, 0], [2 / std, 0]], rtol=1e-6)


def test_numbers_that_are_missing_in_prediction_alone_are_filled_and_said() -> None:
    encoding = TableEncoding.fit(pl.DataFrame({"a": [1.0, 2.0, 6.0]}), y=np.arange(3) + 0.5)
    with pytest.warns(UserWarning, match="Column 'a' has 1 missing values, and had none in training: .*median 2"):
        x = encoding.inputs(pl.DataFrame({"a": [None, 2.0]}))
    assert x[0] == x[1]
    with pytest.warns(UserWarning, match="2 missing values"):
        encoding.inputs(pl.DataFrame({"a": [None, None]}))


def test_numbers_that_single_precision_has_none_for_are_told_with_their_column() -> None:
    encoding = TableEncoding.fit(pd.DataFrame({"a": [1.0, 2.0, 6.0], "b": [0.0, 1e-9, 2e-9]}), y=np.arange(3) + 0.5)
    with pytest.raises(InputError, match="'b' is 1e\\+30 in row 1, counted from 0, which is so far from the training"):
        encoding.inputs(pl.DataFrame({"a": [1.0, 1e30], "b": [0.0, 1e30]}))


@pytest.mark.parametrize(
    ("value", "says"), [(10**400, "'a' has 1 infinite values, the first in row 0"), (1j, "holds objects such as 1j")]
)
def test_objects_that_are_no_real_numbers_are_refused(value: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        TableEncoding.fit(pd.DataFrame({"a": pd.Series([value, 1, 2], dtype=object)}), y=np.arange(3) + 0.5)


def test_whole_numbers_that_double_precision_does_not_tell_apart_are_refused() -> None:
    numbers = 2**62 + np.arange(20)
    with pytest.raises(InputError, match=r"'a' has whole numbers from 4611686018427387904 to .*; subtract"):
        TableEncoding.fit(pd.DataFrame({"a": numbers}), y=np.arange(20) + 0.5)
    with pytest.raises(InputError, match="target 'y' has whole numbers"):
        TableEncoding.fit(pd.DataFrame({"a": numbers % 7}), y=numbers, task="regression")
    near = TableEncoding.fit(pd.DataFrame({"a": numbers % 7}), y=2**62 - 2**40 * np.arange(20), task="regression")
    assert near.answers(numbers).shape == (20, 1)
    for fine in (numbers - 2**62, 2**62 - 2**40 * np.arange(20), np.full(20, 2**62)):
        assert TableEncoding.fit(pd.DataFrame({"a": fine, "b": numbers % 7}), y=np.arange(20) + 0.5).columns


def test_numbers_stay_as_they_are_where_that_is_chosen() -> None:
    x = RNG.normal(100, 50, size=(9, 2))
    encoding = TableEncoding.fit(x, y=x[:, 0], scale=False)
    np.testing.assert_array_equal(encoding.inputs(x), x.astype(np.float32))
    np.testing.assert_array_equal(encoding.answers(x[:, 0]), x[:, :1].astype(np.float32))
    np.testing.assert_array_equal([encoding.target_mean, encoding.target_std], [[0.0], [1.0]])


def test_targets_stay_as_they_are_where_inputs_alone_are_standardised() -> None:
    x, counts = RNG.normal(100, 50, size=(9, 2)), np.arange(9)
    encoding = TableEncoding.fit(x, y=counts, task="regression", scale="inputs")
    np.testing.assert_allclose(encoding.inputs(x).std(axis=0), 1, rtol=1e-5)
    np.testing.assert_array_equal(encoding.answers(counts)[:, 0], counts)
    with pytest.raises(InputError, match="scale='targets' is not allowed: it takes True, False, or 'inputs'"):
        TableEncoding.fit(x, y=counts, task="regression", scale="targets")  # type: ignore[arg-type]


def test_it_is_kept_as_json_and_read_back(frame: Any) -> None:
    for target in ("price", "town", ["price", "size"]):
        table = frame if target != ["price", "size"] else frame[[name for name in SALES if name != "x"]]
        if target == ["price", "size"]:
            table = table[:5]
        encoding = TableEncoding.fit(table, target)
        again = TableEncoding.from_json(json.loads(json.dumps(encoding.to_json(), allow_nan=False)))
        assert again == encoding
        np.testing.assert_array_equal(again.inputs(table), encoding.inputs(table))
        np.testing.assert_array_equal(again.answers(table), encoding.answers(table))


@pytest.mark.parametrize(
    "change",
    [
        {"columns": None},
        {"columns": [{"kind": "number"}]},
        {"columns": [{"kind": "stranger", "name": "a"}]},
        {"columns": [{"kind": "dropped", "name": "a", "reason": "dull"}]},
        {"labels": [1, 2]},
        {"target_scales": [[0.0, -1.0]]},
        {"target_scales": [[0.0, float("inf")]]},
        {"target_scales": []},
        {"target_names": [3]},
        {"named": 1},
        {"more": 1},
    ],
)
def test_an_altered_record_is_refused(change: dict[str, Any]) -> None:
    record = TableEncoding.fit(pd.DataFrame(SALES), "price").to_json()
    with pytest.raises(InputError, match="was truncated or altered"):
        TableEncoding.from_json(record | change)


@pytest.mark.parametrize(
    ("change", "target", "says"),
    [
        ({}, "prize", r"no column 'prize' to predict \(did you mean 'price'\?\); it has size, rooms"),
        ({}, [], "name one column or more"),
        ({}, ["price", "price"], "each once"),
        ({}, ["price", "town"], "The target 'town' holds text"),
        ({"price": ["a"] + [1.0] * 59}, "price", r"Column|numbers|holds text"),
        ({"price": [None] + [1.5] * 59}, "price", "target 'price' has no value in 1 of 60 rows, the first is row 0"),
        ({"price": [1.5] * 59 + [np.inf]}, "price", "'price' has 1 infinite values, the first in row 59"),
        ({"town": ["Bonn"] * 60}, "town", "one class alone, 'Bonn'"),
        ({"town": [None, *SALES["town"][1:]]}, "town", "no value in 1 of 60 rows"),
        ({"rooms": [1.0, -np.inf] * 30}, "price", "'rooms' has 30 infinite values, the first in row 1"),
        ({"rooms": ["1"] * 57 + ["2"] * 2 + ["two"]}, "price", "'rooms' holds numbers, but 'two' in row 59"),
        ({"rooms": ["1,5", "2,5 €", "10%"] * 20}, "price", "'rooms' holds text that is written like numbers"),
        (
            {"rooms": [f"{1000 + 37 * row:,}".replace(",", " ") for row in range(60)]},
            "price",
            "numbers, such as '1 000'",
        ),
        ({"rooms": [f"{800 + 10 * row:,}" for row in range(60)]}, "price", "written like numbers, such as '1,000'"),
        ({"rooms": ["(1'200)", "USD 5.50", "R$ 7", "\u22123.5"] * 15}, "price", "written like numbers, such as"),
        ({"rooms": [f"{row / 4} kg" for row in range(60)]}, "price", "numbers with their unit, such as '0.0 kg'"),
        ({"rooms": [*map(str, range(40)), *["error"] * 20]}, "price", "'rooms' holds numbers, but 'error' in row 40"),
        ({"rooms": [f"{2000 + row // 12}-{row % 12 + 1:02}" for row in range(60)]}, "price", "as text, such as '2000-"),
        ({"rooms": [f"Mon, {row % 28 + 1} Jan 2024" for row in range(60)]}, "price", "dates or times as text"),
        ({"rooms": [[1]] * 60}, "price", "numbers or text; make columns of its parts"),
        ({"rooms": [b"a"] * 60}, "price", "numbers or text; decode it, as"),
        (
            {"rooms": list(pd.date_range("2024-01-01", periods=60).date)},
            "price",
            "dates or times, .*the day of the week",
        ),
        ({"rooms": list(pd.to_timedelta(range(60), "h").to_pytimedelta())}, "price", "dates or times"),
        ({"rooms": ["2024-01-01", "2024-12-31"] * 30}, "price", "'rooms' holds dates or times as text, such as '2024"),
        ({"rooms": [f"{row % 12 + 1}/{row % 28 + 1}/24" for row in range(60)]}, "price", "times as text, .*'1/1/24'"),
        ({"rooms": [f"{row % 24:02}:{row:02}" for row in range(60)]}, "price", "times as text, .*put a letter before"),
        ({"rooms": ["2024-01-01", "2025-12-31"] * 26 + ["9999-12-31", "?"] * 4}, "price", "'rooms' holds dates"),
        ({"rooms": ["31.12.2024 23:59", "1.1.2025 0:01"] * 30}, "price", "dates or times as text"),
        ({"rooms": ["31-Dec-2024", "1. Mai 2025", "May 1, 2025"] * 20}, "price", "dates or times as text"),
        ({"rooms": ["9:30 AM", "10:30 Z", "23:59:59.5Z"] * 20}, "price", "dates or times as text, such as '9:30 AM'"),
        ({"rooms": [f"{row % 40}.5" for row in range(60)]}, "price", "'rooms' holds numbers as text, such as '0.5'"),
        ({"rooms": [f"{row}.5" for row in range(60)]}, "price", r"numbers as text, .*make them numbers, as astype"),
        ({"price": [*map(str, SALES["price"][1:]), "oops"]}, "price", "'price' holds numbers, but 'oops' in row 59"),
        ({"price": [*map(str, SALES["price"])]}, "price", "target 'price' holds numbers as text, .*make them numbers"),
        ({"price": ["$1,512", "$2,000"] * 30}, "price", "'price' holds text that is written like numbers"),
        ({"price": ["2024-01-01", "2024-12-31"] * 30}, "price", "target 'price' holds dates or times as text"),
    ],
)
def test_a_table_that_cannot_be_learned_from_is_refused(frame: Any, change: dict, target: Any, says: str) -> None:
    table = type(frame)(SALES | change, **({"strict": False} if isinstance(frame, pl.DataFrame) else {}))
    with pytest.raises(InputError, match=says):
        TableEncoding.fit(table, target, task="classification" if target == "town" else "regression")


def test_a_number_with_a_mistake_is_no_class() -> None:
    x, y = RNG.normal(size=(60, 1)), [*map(str, RNG.integers(0, 4, 59)), "oops"]
    with pytest.raises(InputError, match=r"'y' holds numbers, but 'oops' in row 59.* or choose task='classification'"):
        TableEncoding.fit(x, y=np.array(y))
    labels = ("0", "1", "2", "3", "oops")
    assert TableEncoding.fit(x, y=np.array(y), task="classification").labels == labels
    assert TableEncoding.fit(x[:59], y=np.array(y[:59])).labels == labels[:4]
    with pytest.raises(InputError, match="'y' holds numbers as text"):
        TableEncoding.fit(x, y=np.char.add(np.arange(60).astype(str), ".5"))


def test_text_of_numbers_that_are_names_is_categories(frame: Any) -> None:
    for rooms in (["1", "2"] * 30, ["1.5", "2.5"] * 30, ["v1.2.10", "v1.2.9"] * 30, ["16:9", "4:3"] * 30):
        encoding = TableEncoding.fit(type(frame)({**SALES, "rooms": rooms}), "price")
        assert {f"rooms={room}" for room in rooms} < set(encoding.input_names)
    digits = [f"{row % 40 + 10}{'9' * 400}" for row in range(60)]
    assert "rooms is another" in TableEncoding.fit(type(frame)({**SALES, "rooms": digits}), "price").input_names
    codes = ["53111", "53112"] * 29 + ["53113", "53114"]
    remarks = TableEncoding.fit(type(frame)({**SALES, "rooms": codes}), "price").remarks
    assert [remark for remark in remarks if remark.endswith("make them numbers unless they are names")]


@pytest.mark.parametrize(
    "texts",
    [
        ["Model 3 2019", "Room 12 2020", "week 12 2020"],
        ["10-RED-42", "12 Main 34", "5 pack 12"],
        ["2021.1.3", "2021.2.1"],
        ["2021-1-3", "2021-13-1", "2021-2-1", "2021-3-1", "2021-4-1", "2021-5-1"],
        ["20-10-53", "20-11-12", "20-12-99"],
        ["10/12/14", "8/10/12"],
        ["1:10", "1:50", "3:16"],
        ["09:00", "13:00"],
        ["10:30-12:30", "14:00-16:00"],
        ["2099-12-31", "open"],
        ["9" * 400, "8" * 400],
    ],
)
def test_names_that_dates_and_numbers_are_written_like_are_categories(texts: list[str]) -> None:
    table = pd.DataFrame({"name": texts * 5})
    assert TableEncoding.fit(table, y=RNG.normal(size=len(table))).input_names == tuple(
        f"name={t}" for t in sorted(texts)
    )
    # And classes.
    assert TableEncoding.fit(RNG.normal(size=(len(table), 1)), y=table["name"]).labels == tuple(sorted(texts))


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["2024-01", "2024-02"] * 5, "they are written like dates or times: make them numbers unless"),
        (["2024Q1", "2024Q4"] * 5, "they are written like dates or times: make them numbers unless"),
        (["1.5 kg", "2.5 kg"] * 5, "they are numbers with their unit: make them numbers unless"),
        ([f"{row} kg" for row in range(20)], "written like numbers, dates or times: make them numbers unless"),
        (["4"] * 20 + ["6"] * 20 + ["rotary"] * 2, "most of them are numbers as text"),
        (["Yes", "yes ", "no"] * 5, "'Yes' and 'yes' differ in capitals or spaces alone"),
        (["09:00", "13:00"] * 5, "they are written like dates or times: make them numbers unless they are names"),
        (["1.2"] * 50 + ["1.3"] * 49 + ["1.4"], "they are numbers as text: make them numbers unless they are names"),
        ([f"{row}.5" for row in range(20)], "written like numbers, dates or times: make them numbers unless"),
        (["2021-01-01"] * 20, "it has one value alone"),
        (["$5"] * 20, "it has one value alone"),
        ([None] * 18 + ["2021-01-01", "2022-01-01"], "written like numbers, dates or times: make them numbers unless"),
    ],
)
def test_what_may_be_a_mistake_or_is_left_out_is_said(texts: list[str | None], says: str) -> None:
    table = pd.DataFrame({"name": texts, "x": np.arange(len(texts)) % 7})
    encoding = TableEncoding.fit(table, y=RNG.normal(size=len(texts)))
    assert [remark for remark in encoding.remarks if says in remark]
    assert TableEncoding.from_json(json.loads(json.dumps(encoding.to_json()))) == encoding


@pytest.mark.parametrize("labels", [["2021-01-01", "2022-01-01"], ["$1", "$2"], ["9:00 AM", "1:00 PM"]])
def test_labels_that_are_written_like_numbers_are_names_where_that_is_said(labels: list[str]) -> None:
    x, y = RNG.normal(size=(20, 1)), np.array(labels * 10)
    with pytest.raises(InputError, match=r"or choose task='classification' \(--task\) if these are names of classes"):
        TableEncoding.fit(x, y=y)
    assert TableEncoding.fit(x, y=y, task="classification").labels == tuple(sorted(labels))


def test_rows_of_a_list_keep_their_numbers() -> None:
    encoding = TableEncoding.fit([[1, 2.5, "a"], [2, None, "b"], [3, 4.5, "a"], [5, 1.5, "b"]], y=np.arange(4) + 0.5)
    assert encoding.input_names == ("x0", "x1", "x1 is missing", "x2=a", "x2=b")
    np.testing.assert_array_equal(encoding.inputs([[2, 2.5, "a"]])[0, -2:], [1, 0])


def test_intervals_are_categories_and_periods_are_dates() -> None:
    size = RNG.normal(size=60)
    table = pd.DataFrame({"size": pd.cut(size, [-9, 0, 9]), "x": size})
    encoding = TableEncoding.fit(table, y=size)
    assert encoding.input_names == ("x", "size=(-9, 0]", "size=(0, 9]")
    np.testing.assert_array_equal(encoding.inputs(table)[:, 2], size > 0)
    with pytest.raises(InputError, match="'size' holds dates or times"):
        TableEncoding.fit(table.assign(size=pd.period_range("2024", periods=60)), y=size)


def test_what_is_no_table_is_refused() -> None:
    x = RNG.normal(size=(4, 2))
    y = np.arange(4) + 0.5
    doubled = pd.DataFrame([[1.0, 2.0]] * 4, columns=["price", "price"])
    for table, says in (
        (doubled, "two columns 'price'"),
        (pl.LazyFrame({"a": y}), r"a lazy table, .*collect\(\)"),
        (x[:1], "has 1 row; give at least 2"),
        (x[:0], "has 0 rows; give at least 2"),
        (x.reshape(2, 2, 2), r"of shape \(2, 2, 2\)"),
        (x + 1j, "complex128"),
        ({"a": y}, "is a dict; give a DataFrame of pandas or polars"),
        (np.array(["2024-01-01"] * 4, "datetime64[D]")[:, None], "dates or times"),
        ([[1, 2], [3]], "rows that are all of one length"),
        (np.ones((4, 1)), "No column of the table is left to learn from: column 'x0' is left out: it has one value"),
        (np.full((4, 1), np.nan), "it has no values"),
        (np.ones((2, 50_001)), "50001 columns, and at most 50000"),
    ):
        with pytest.raises(InputError, match=says):
            TableEncoding.fit(table, y=y[: len(table) if hasattr(table, "__len__") else 4], task="regression")
    with pytest.raises(InputError, match="has 4 rows but y has 3"):
        TableEncoding.fit(x, y=y[:3])
    with pytest.raises(InputError, match="answers have no column"):
        TableEncoding.fit(x, y=np.zeros((4, 0)))
    with pytest.raises(InputError, match="either target or y"):
        TableEncoding.fit(x)
    with pytest.raises(InputError, match=r"not whole, such as 0\.5"):
        TableEncoding.fit(x, y=y, task="classification")
    with pytest.raises(InputError, match="classes are one column"):
        TableEncoding.fit(x, y=x, task="classification")


def test_a_column_without_values_is_left_out(frame: Any) -> None:
    table = type(frame)({**SALES, "size": [None] * N})
    encoding = TableEncoding.fit(table, "price")
    assert "column 'size' is left out: it has no values" in encoding.remarks
    assert not [name for name in encoding.input_names if name.startswith("size")]


def test_other_columns_than_those_of_training_are_refused(frame: Any) -> None:
    encoding = TableEncoding.fit(frame, "price")
    names = [name for name in SALES if name != "price"]
    for table, says in (
        (frame[[name for name in names if name != "rooms"]], "no column 'rooms', .*1 of 5 columns are missing"),
        (type(frame)({**SALES, "roms": SALES["rooms"]}), r"a column 'roms' \(did you mean 'rooms'\?\), .*had not"),
        (frame[names[:3]].to_numpy(), "has 3 columns, but training had 7"),
        (type(frame)({**SALES, "rooms": ["many"] * N}), "'rooms' holds text, such as 'many' in row 0, .*numbers in"),
    ):
        with pytest.raises(InputError, match=says):
            encoding.inputs(table)


def test_answers_that_training_had_not_are_refused() -> None:
    classes = TableEncoding.fit(RNG.normal(size=(4, 1)), y=np.array(["a", "b", "a", "b"]))
    with pytest.raises(InputError, match="'c' in row 1, counted from 0, but the classes of training are 'a', 'b'"):
        classes.answers(np.array(["a", "c"]))
    targets = TableEncoding.fit(RNG.normal(size=(4, 1)), y=RNG.normal(size=4))
    with pytest.raises(InputError, match="2 targets, but training had 1"):
        targets.answers(np.zeros((4, 2)))
    with pytest.raises(InputError, match="'y' is 0 in row 0"):
        classes.answers(np.array([0, 1]))
    with pytest.raises(InputError, match="holds text"):
        targets.answers(np.array(["a", "b"]))
    with pytest.raises(InputError, match="infinite values"):
        targets.answers(np.array([np.inf, 1.0]))


def test_a_data_set_takes_no_encoding_of_other_arrays() -> None:
    encoding = TableEncoding.fit(pd.DataFrame(SALES), "price")
    x, y = encoding.inputs(pd.DataFrame(SALES)), encoding.answers(pd.DataFrame(SALES))
    assert Dataset("sales", "regression", x, y, x, y, None, encoding).encoding is encoding
    labels = np.arange(N, dtype=np.int32) % 2
    with pytest.raises(InputError, match="encoding of sales is of 8 inputs and 1 targets"):
        Dataset("sales", "regression", x[:, 1:], y, x[:, 1:], y, None, encoding)
    with pytest.raises(InputError, match="encoding of sales is of 8 inputs and 1 targets"):
        Dataset("sales", "classification", x, labels, x, labels, 2, encoding)


def test_numbers_that_are_written_like_dates_are_said() -> None:
    days = pd.date_range("2023-11-01", periods=90)
    forms = ("%Y%m%d", "%Y%m", "%Y%m%d%H%M", "%Y%m%d%H%M%S")
    dated = pd.DataFrame({form: days.strftime(form).astype(np.int64) for form in forms})
    plain = pd.DataFrame({"day": days.strftime("%Y%m%d").astype(np.int64) % 10**4, "x": 20240101 + np.arange(90) * 7})
    for table, count in ((dated.iloc[::3], 3), (dated, 3), (plain, 0)):
        remarks = TableEncoding.fit(table, y=RNG.normal(size=len(table))).remarks
        assert len([remark for remark in remarks if "written like dates, 20240131" in remark]) == count


def test_a_part_of_the_rows_reads_a_column_as_all_of_them_do() -> None:
    # Of some parts four fifths of the rows are numbers, dates or amounts of money, and of others they are not.
    columns = {
        "size": (["34", "36", "38", "40", "42", "S", "M", "L"], [9, 9, 9, 8, 8, 4, 4, 3]),
        "code": (["12", "13", "A1", "A2", "A3"], [22, 21, 4, 4, 3]),
        "day": (["1/2/2024", "1/3/2024", "soon", "later", "never"], [22, 21, 4, 4, 3]),
        "fee": (["$5", "$7", "free", "paid", "none"], [22, 21, 4, 4, 3]),
    }
    for name, (texts, counts) in columns.items():
        values = np.repeat(np.array(texts, object), counts)
        for seed in range(20):
            part = np.random.default_rng(seed).permutation(len(values))[:40]
            (column,) = TableEncoding.fit(pd.DataFrame({name: values[part]}), y=RNG.normal(size=40)).columns
            assert isinstance(column, CategoryColumn)


def test_text_that_is_nothing_but_spaces_is_missing(frame: Any) -> None:
    texts = (["", "u", " u", "v "] * 15, [None, "u", "u", "v"] * 15)
    encodings = [TableEncoding.fit(type(frame)({"a": text}), y=RNG.normal(size=60)) for text in texts]
    assert encodings[0].input_names == encodings[1].input_names == ("a=u", "a=v", "a is missing")
    tables = [type(frame)({"a": text}) for text in (["", " v"], [None, "v"])]
    for encoding in encodings:
        for table in tables:
            np.testing.assert_array_equal(encoding.inputs(table), [[0, 0, 1], [0, 1, 0]])
    with pytest.raises(InputError, match="target 'y' has no value in 15 of 60 rows, the first is row 0"):
        TableEncoding.fit(RNG.normal(size=(60, 1)), y=pd.Series(texts[0], name="a"))


def test_older_encodings_read_text_with_its_spaces() -> None:
    table = pd.DataFrame({"a": ["", "u", " u"] * 5, "b": np.arange(15) % 4})
    record = TableEncoding.fit(table, y=RNG.normal(size=15)).to_json()
    text, numbers = record["columns"]
    del text["without_spaces"], numbers["dated"]
    older = TableEncoding.from_json(
        {**record, "columns": [text | {"categories": ["", " u", "u"], "missing": 0}, numbers]}
    )
    np.testing.assert_array_equal(older.inputs(table)[:3, 1:], [[1, 0, 0], [0, 0, 1], [0, 1, 0]])


def test_an_index_without_a_name_is_left_out(frame: Any) -> None:
    x, rows = RNG.normal(size=40), np.random.default_rng(0).integers(0, 90, 40)
    for name, index, kept in (
        ("", np.arange(40), False),
        ("Unnamed: 0", rows, False),
        ("row", np.arange(40), True),
        ("", rows % 5, True),
        ("", rows + 0.5, True),
    ):
        encoding = TableEncoding.fit(type(frame)({name: index, "x": x}), y=x)
        assert (name in encoding.input_names) == kept
        assert kept or "has no name and numbers the rows" in encoding.remarks[0]
        assert TableEncoding.from_json(encoding.to_json()) == encoding
        without = [] if not kept else [name]
        assert encoding.inputs(type(frame)({name: index, "x": x})[["x", *without]]).shape == (40, 1 + kept)


def test_many_columns_that_are_left_out_are_said_once() -> None:
    table = pd.DataFrame({f"c{column}": np.full(20, column) for column in range(9)} | {"x": RNG.normal(size=20)})
    (remark,) = TableEncoding.fit(table, y=RNG.normal(size=20)).remarks
    assert remark.startswith("column 'c0' is left out: it has one value alone; 'c1', 'c2', 'c3', 'c4' and 4 more")


def test_classes_that_may_be_one_are_said() -> None:
    x = RNG.normal(size=(40, 1))
    (remark,) = TableEncoding.fit(x, y=np.array(["yes", "Yes", "no", "maybe"] * 10)).remarks
    assert "'Yes' and 'yes' differ in capitals or spaces alone" in remark
    (remark,) = TableEncoding.fit(x, y=np.array(["0"] * 19 + ["1"] * 19 + ["oops"] * 2)).remarks
    assert "most are numbers as text, and 'oops' is none" in remark
