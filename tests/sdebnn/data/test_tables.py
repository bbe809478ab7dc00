"""Tables in files."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from sdebnn import extras, machine
from sdebnn.data import load, read_inputs, read_table, tables
from sdebnn.errors import InputError

CSV = "size,town,price\n" + "".join(f"{size},{'Bonn' if size % 3 else 'Trier'},{size * 1.5}\n" for size in range(30))


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    """A csv of 30 sales."""
    path = tmp_path / "sales.csv"
    path.write_text(CSV)
    return path


def test_a_csv_is_a_data_set_by_its_target(sales: Path) -> None:
    dataset = load(sales, target="price", scale=True)
    assert (dataset.name, dataset.task) == ("sales", "regression")
    assert dataset.encoding is not None
    assert dataset.encoding.input_names == ("size", "town=Bonn", "town=Trier")
    assert dataset.encoding.target_names == ("price",)
    assert load(sales, target="town", scale=True).encoding.labels == ("Bonn", "Trier")
    several = load(sales, target="price, size", task="regression", scale=True)
    assert several.y_train.shape == (20, 2)


@pytest.mark.parametrize("suffix", [".CSV", ".Parquet", ".csv", ".tsv", ".parquet"])
def test_every_kind_of_table_gives_the_same_numbers(suffix: str, sales: Path) -> None:
    table, path = read_table(sales), sales.with_name(f"same{suffix}")
    if suffix.lower() == ".parquet":
        table.write_parquet(path)
    else:
        table.write_csv(path, separator="\t" if suffix == ".tsv" else ";")
    np.testing.assert_array_equal(
        load(path, target="price", scale=True).x_train, load(sales, target="price", scale=True).x_train
    )
    assert read_inputs(path).equals(table)


def test_names_that_are_written_like_dates_are_categories_in_a_csv(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("version,ratio,y\n" + "2021.1.3,1:10,0.5\n2021.2.1,1:50,1.5\n" * 6)
    encoding = load(path, target="y", scale=True).encoding
    assert encoding is not None
    assert encoding.input_names == ("version=2021.1.3", "version=2021.2.1", "ratio=1:10", "ratio=1:50")
    path.write_text("day,y\n" + "2021-01-03,0.5\n2021-02-01,1.5\n" * 6)
    with pytest.raises(InputError, match="'day' holds dates or times"):
        load(path, target="y", scale=True)


def test_what_other_programs_write_for_missing_values_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "gaps.csv"
    path.write_text("a,b\n1.5,x\nNA,y\nNaN,?\n,\nnull,#N/A\n2,N/A\n")
    table = read_table(path)
    assert table["a"].to_list() == [1.5, None, None, None, None, 2.0]
    assert table["b"].to_list() == ["x", "y", None, None, None, None]


def test_spaces_and_commas_of_other_programs_are_no_matter(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("a, b, c\n1.5, x, 3\n NA, y , ?\n2, x, 4\n")
    table = read_table(path)
    assert table.columns == ["a", "b", "c"]
    assert table["a"].to_list() == [1.5, None, 2.0]
    assert table["b"].to_list() == ["x", "y", "x"]
    assert table["c"].to_list() == [3, None, 4]
    path.write_text("a;b\n1,5;x\n-2,25;y\n")
    assert read_table(path)["a"].to_list() == [1.5, -2.25]


def test_cells_that_were_used_once_are_nothing(tmp_path: Path) -> None:
    path = tmp_path / "cells.csv"
    rows = "".join(f"{row / 7},{row / 3},,\n" for row in range(9))
    path.write_text(f'a,"price",,\n{rows},,,\n,,,\n\n')
    assert read_table(path).columns == ["a", "price"]
    dataset = load(path, target="price", scale=True)
    assert len(dataset.x_train) + len(dataset.x_test) == 9
    # An index that pandas wrote.
    path.write_text(",a,,price\n0,1.5,,2.5\n")
    assert read_table(path).columns == ["", "a", "price"]
    path.write_text("a|price\n1.5|2,5\n")
    assert read_table(path).columns == ["a", "price"]


def test_the_type_of_a_column_is_that_of_all_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "late.csv"
    path.write_text("a\n" + "1\n" * 5000 + "2.5\n")
    assert read_table(path)["a"][-1] == 2.5


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty; give a csv"),
        (b"\n\n", "is empty; give a csv"),
        (b"\na,price\n1,2\n", "begins with an empty line; give a csv"),
        ("a,price\n1,2\n".encode("utf-16"), "is text in UTF-16; save it again in UTF-8"),
        (b"a,,price,\n1,2,3,4\n", "two columns ''"),
        (b"Sales of 2024\na,price\n1,2\n", "line 2 has 2 values, and the first line names 1 columns"),
        (b"\x93NUMPY\x01\x00v\x00{'descr': '<f8'", "is not text"),
        ("größe,b\n1,2\n".encode("latin-1"), "not text in UTF-8"),
        (b"a,b\n1,\xe9\n", "not text in UTF-8; save it again"),
        (b"a,b\n1,2,3\n", "cannot be read as a table: line 2 has 3 values, and the first line names 2 columns"),
        (b'\xef\xbb\xbf"a,\nb",c\n1,2\n3,4,5\n', "line 4 has 3 values, and the first line names 2 columns"),
        (b"price,price\n1,2\n", "two columns 'price'"),
        (b"price, price \n1,2\n", "two columns 'price'"),
        (b"a,price\r1,2\r", "end in a carriage return alone"),
        (b'a,price\n"1,5",2.5\n"2,5",3.5\n"1,5",4.5\n"2,5",2.5\n', "'a' holds text that is written like numbers"),
        (b"a,b\n", "has no rows"),
        (b"a,price\n1,2.5\n2,3.5\n", "has 2 rows, of which a third"),
        (b"day,price\n2024-01-02,2.5\n2024-01-03,3.5\n2024-01-04,1.5\n", "Column 'day' holds dates"),
        (b"a,price\n1,2.5\ninf,3.5\n3,1.5\n4,2.5\n", "'a' has 1 infinite values"),
        (b"a,price\n1,2.5\n2,x\n3,1.5\n4,2.5\n", "The target 'price' holds text"),
        (b"a,cost\n1,2.5\n2,2\n3,1.5\n", r"bad\.csv cannot be used: The table has no column 'price'"),
    ],
)
def test_a_csv_that_is_none_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=says) as refusal:
        load(path, target="price", task="regression", scale=True)
    assert "\n" not in str(refusal.value)


def test_a_parquet_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.parquet"
    path.write_text(CSV)
    with pytest.raises(InputError, match=r"bad\.parquet cannot be read as a table of type \.parquet"):
        read_table(path)
    with pytest.raises(InputError, match=r"none\.parquet can't be read"):
        read_table(tmp_path / "none.parquet")


def test_a_table_that_does_not_fit_into_memory_is_refused_with_its_size(
    tmp_path: Path, sales: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "huge.csv"
    path.write_text("a,price\n")
    with path.open("r+b") as file:
        # A hole, which takes no room on the disk.
        file.truncate(2**42)
    with pytest.raises(
        InputError, match=r"huge\.csv has 4\.1e\+03 GiB, .* GiB are at hand; take a sample of its rows or fewer columns"
    ):
        read_table(path)
    packed = tmp_path / "packed.parquet"
    pl.DataFrame({"a": np.zeros(100_000)}).write_parquet(packed)
    monkeypatch.setattr(machine, "memory_at_hand", lambda: 4_000_000)
    assert packed.stat().st_size < 100_000
    with pytest.raises(InputError, match=r"packed\.parquet has .* takes about 0\.0041 GiB of memory"):
        read_table(packed)
    read_table(sales)
    np.savez_compressed(tmp_path / "packed.npz", x=np.zeros((300_000, 1)), y=np.zeros(300_000))
    with pytest.raises(InputError, match=r"packed\.npz has 0\.00447 GiB"):
        load(tmp_path / "packed.npz")
    monkeypatch.setattr(machine, "memory_at_hand", lambda: None)
    read_table(packed)


@pytest.fixture
def short_start(monkeypatch: pytest.MonkeyPatch) -> int:
    """Files are judged by so many first bytes, so that a longer one need not be of megabytes."""
    monkeypatch.setattr(tables, "HEADER", 2**15)
    return 2**15


def test_what_a_csv_takes_is_told_by_its_first_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short_start: int
) -> None:
    """A value of one digit takes two bytes of the file; a category an object, and an input for each other one."""
    rows = 13_000
    digits, letters = (np.arange(rows) % 10).astype(np.int8), np.array(list("abcdefghij"))[np.arange(rows) % 10]
    for name, values, of_value in (("digits", digits, 44), ("letters", letters, 160 + 10 * 16)):
        path = tmp_path / f"{name}.csv"
        pl.DataFrame({"a": values, "b": values}).write_csv(path)
        assert path.stat().st_size > 1.5 * short_start
        needed = 2 * rows * of_value
        monkeypatch.setattr(machine, "memory_at_hand", lambda needed=needed: 0.99 * needed)
        with pytest.raises(InputError, match=rf"{name}\.csv has 4\.84e-05 GiB, which takes about"):
            read_table(path)
        monkeypatch.setattr(machine, "memory_at_hand", lambda needed=needed: 1.01 * needed)
        assert read_table(path).height == rows


def test_the_first_rows_decide_of_no_type(tmp_path: Path, short_start: int) -> None:
    """The first of them have whole numbers, and another value comes after them."""
    rows = "".join(f"{i % 10},{i % 7}\n" for i in range(13_000))
    assert len(rows) > 1.5 * short_start
    for name, last, dtype in (("number", "1.5", pl.Float64), ("text", "x", pl.String)):
        path = tmp_path / f"{name}.csv"
        path.write_text(f"a,b\n{rows}{last},2\n{rows}")
        table = read_table(path)
        assert (table.height, table["a"].dtype) == (26_001, dtype)
        assert table["a"][13_000] == (1.5 if name == "number" else "x")


def test_what_is_no_category_is_no_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short_start: int) -> None:
    """Numbers after a space are numbers; names that are all different are left out; text in quotes has lines."""
    rows = 7_000
    for name, line, of_row in (
        ("spaces", " 1.5, 2.5", 88),
        ("names", "name-{i:07d},1", 160 + 44),
        ("lines", '"a\nb",{i}', 160 + 44),
    ):
        path = tmp_path / f"{name}.csv"
        path.write_text("a,b\n" + "".join(line.format(i=i) + "\n" for i in range(rows)))
        assert path.stat().st_size > 1.5 * short_start
        monkeypatch.setattr(machine, "memory_at_hand", lambda needed=rows * of_row: 1.05 * needed)
        assert read_table(path).height == rows


def test_memory_at_hand_is_what_others_and_a_container_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < machine.memory_at_hand() <= machine.physical_memory()
    available, limit, none = (tmp_path / name for name in ("meminfo", "memory.max", "none"))
    monkeypatch.setattr(machine, "AVAILABLE", available)
    monkeypatch.setattr(machine, "LIMITS", (limit, none))
    monkeypatch.setattr(machine, "physical_memory", lambda: 8_000_000)
    assert machine.memory_at_hand() == 8_000_000
    available.write_text("MemTotal:        7812 kB\nMemAvailable:    2000 kB\n")
    limit.write_text("max\n")
    assert machine.memory_at_hand() == 2_048_000
    limit.write_text("1000000\n")
    assert machine.memory_at_hand() == 1_000_000
    monkeypatch.setattr(machine, "physical_memory", lambda: None)
    for file in (available, limit):
        file.unlink()
    assert machine.memory_at_hand() is None


def test_what_does_not_fit_a_table_or_a_target_is_refused(tmp_path: Path, sales: Path) -> None:
    np.savez(tmp_path / "mine.npz", x=np.ones((4, 2)), y=np.arange(4) % 2)
    wrong: tuple[tuple[str | Path, dict[str, Any], str], ...] = (
        (sales, {}, "has the columns 'size', 'town', 'price'; say which of them is to be predicted"),
        (sales, {"target": "prize"}, r"no column 'prize' to predict \(did you mean 'price'\?\)"),
        (sales, {"target": "price", "layout": "images"}, "layout='images' does not fit"),
        (tmp_path / "mine.npz", {"target": "y"}, "target='y' does not fit"),
        ("digits", {"target": "label"}, "target='label' does not fit digits"),
        (tmp_path / "sales.xlsx", {"target": "price"}, "a file that ends in .csv, .tsv, .parquet; save a table as one"),
    )
    for name, choices, says in wrong:
        with pytest.raises(InputError, match=says):
            load(name, **choices)


def test_without_polars_its_extra_is_named(sales: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "_found", lambda name: name != "polars")
    with pytest.raises(InputError, match=r"Reading \.csv files needs polars, .*sdebnn\[tables"):
        read_table(sales)


def test_rows_of_an_npz_are_standardised_where_that_is_chosen(tmp_path: Path) -> None:
    path, rng = tmp_path / "mine.npz", np.random.default_rng(0)
    x = rng.normal(100, 20, size=(30, 2))
    np.savez(path, x=np.where(x > 140, np.nan, x), y=np.array(["b", "a", "c"] * 10))
    dataset = load(path, scale=True)
    assert dataset.encoding is not None
    assert dataset.encoding.labels == ("a", "b", "c")
    np.testing.assert_allclose(dataset.x_train[:, :2].mean(axis=0), 0, atol=0.1)
    np.savez(path, x=x, y=x[:, 0], x_test=x[:3], y_test=x[:3, 0])
    assert load(path, scale=True).y_test.shape == (3, 1)
    assert load(path).encoding is None
    np.savez(path, x=x, y=np.arange(30))
    with pytest.raises(InputError, match=r"mine\.npz cannot be used: The target 'y' has 30 different whole numbers"):
        load(path, scale=True)
    np.savez(path, x=rng.integers(0, 256, size=(30, 4, 4)), y=np.arange(30) % 3)
    assert load(path, scale=True).encoding is None
