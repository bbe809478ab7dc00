from pathlib import Path

import numpy as np
import pytest

from sdebnn.data import is_published, is_table, load, load_uci
from sdebnn.data.uci import FOLDERS, RAW, ROWS, SPLITS
from sdebnn.errors import InputError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(ROWS, "yacht", 20)
    folder = tmp_path / "uci" / "yacht" / "data"
    folder.mkdir(parents=True)
    (folder / "data.txt").write_text("".join(f" {i}.5\t{2 * i}  {3 * i}e0 \n" for i in range(20)) + "\n")
    (folder / "index_features.txt").write_text("0\n2.000e+00\n")
    (folder / "index_target.txt").write_text("1\n")
    return tmp_path


def test_columns_go_where_the_index_files_say(home: Path) -> None:
    dataset = load_uci("yacht", 3, home)
    assert dataset.x_train.shape == (18, 2)
    assert dataset.y_test.shape == (2, 1)
    i = dataset.y_train[:, 0] / 2
    np.testing.assert_array_equal(dataset.x_train, np.stack([i + np.float32(0.5), 3 * i], axis=1))
    assert len({*dataset.y_train[:, 0], *dataset.y_test[:, 0]}) == 20
    assert not np.array_equal(load_uci("yacht", 4, home).y_test, dataset.y_test)


def test_a_gap_is_the_middle_third_of_a_column_and_tails_are_the_sixths_at_its_ends(home: Path) -> None:
    """Of 20 rows in the order of both columns: 6 to 13, and 0 to 2 with 17 to 19."""
    for split, held in (("gap1", range(6, 14)), ("tail0", (0, 1, 2, 17, 18, 19))):
        dataset = load_uci("yacht", split, home)
        assert sorted(dataset.y_test[:, 0] / 2) == list(held)
        assert sorted(dataset.y_train[:, 0] / 2) == sorted(set(range(20)) - set(held))
        assert (dataset.x_test[:, 0] == dataset.y_test[:, 0] / 2 + 0.5).all()


def test_a_split_is_a_data_set_by_name_and_standardised_by_what_is_learned_from(home: Path) -> None:
    dataset = load("uci/yacht:gap1", home, scale=True)
    assert dataset.encoding is not None
    np.testing.assert_allclose(dataset.x_train.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(dataset.encoding.in_user_units(dataset.y_test), load_uci("yacht", "gap1", home).y_test)
    np.testing.assert_array_equal(load("uci/yacht:3", home).x_test, load_uci("yacht", 3, home).x_test)
    assert is_table("uci/yacht:3")
    assert is_published("uci/yacht:3")
    assert not is_published("uci/sales.csv")


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twenty rows of airfoil and of bike, as the UCI repository has them."""
    for name in RAW:
        (tmp_path / "uci" / name).mkdir(parents=True)
        monkeypatch.setitem(ROWS, name, 20)
    rows = ["\t".join(f"{10 * column + row}" for column in range(6)) for row in range(20)]
    (tmp_path / "uci" / RAW["airfoil"].file).write_text("\n".join(rows) + "\n")
    rows = [f"{row},2011-01-01,{','.join(str(100 * column + row) for column in range(2, 17))}" for row in range(20)]
    (tmp_path / "uci" / RAW["bike"].file).write_text("\r\n".join([RAW["bike"].head, *rows]))
    return tmp_path


def test_airfoil_and_bike_are_read_as_the_repository_has_them(raw: Path) -> None:
    airfoil, bike = load_uci("airfoil", 19, raw), load_uci("bike", "gap0", raw)
    rows = airfoil.y_train[:, 0] - 50
    np.testing.assert_array_equal(airfoil.x_train, rows[:, None] + 10 * np.arange(5, dtype=np.float32))
    assert (airfoil.x_train.shape, airfoil.x_test.shape) == ((18, 5), (2, 5))
    # Neither the date nor the number of the row, and of the target neither part.
    assert sorted(bike.y_test[:, 0] - 1600) == list(range(6, 14))
    np.testing.assert_array_equal(bike.x_test[0], bike.y_test[0] - 1600 + 100 * np.arange(2, 14))
    assert is_table("uci/bike:4")
    with pytest.raises(InputError, match="bike has the splits 0 to 4, but split 5 was asked for"):
        load_uci("bike", 5, raw)


def test_an_airfoil_or_bike_that_is_not_the_published_one_is_refused(raw: Path) -> None:
    airfoil, bike = (raw / "uci" / RAW[name].file for name in ("airfoil", "bike"))
    whole, lines = airfoil.read_text(), bike.read_text().split("\r\n")
    for text, sentence in (
        (
            whole[: len(whole) // 2].rpartition("\n")[0],
            r"The table airfoil in .*uci has \d+ rows, not 20: it is cut short .* get it again from https",
        ),
        (whole.replace("13", "?", 1), r"noise\.dat is not a table of numbers"),
        ("1 2 3", r"noise\.dat is not a table of numbers"),
        ("", r"noise\.dat is not a table of numbers \(it is empty\)"),
    ):
        airfoil.write_text(text)
        with pytest.raises(InputError, match=sentence):
            load_uci("airfoil", 0, raw)
    bike.write_text("\n".join(lines[1:]))
    with pytest.raises(InputError, match=r"hour\.csv does not begin with the line 'instant,dteday,"):
        load_uci("bike", 0, raw)
    bike.unlink()
    with pytest.raises(InputError, match=r"hour\.csv is missing: get it from https.*dataset/275"):
        load_uci("bike", 0, raw)


@pytest.mark.parametrize("name", FOLDERS)
def test_splits_are_the_published_ones(data_dir: Path, name: str) -> None:
    folder = data_dir / "uci" / FOLDERS[name] / "data"
    table = np.loadtxt(folder / "data.txt", dtype=np.float32)
    target = int(np.loadtxt(folder / "index_target.txt"))
    for split in (0, SPLITS[name] - 1):
        dataset = load_uci(name, split, data_dir)
        for part, y in (("train", dataset.y_train), ("test", dataset.y_test)):
            rows = np.loadtxt(folder / f"index_{part}_{split}.txt").astype(int)
            np.testing.assert_array_equal(y[:, 0], table[rows, target])


def test_unknown_names_and_splits_are_refused(home: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'yacht'"):
        load_uci("yachts", 0, home)
    with pytest.raises(InputError, match="protein has the splits 0 to 4, but split 5"):
        load_uci("protein", 5, home)
    with pytest.raises(InputError, match="yacht has the splits 0 to 19, but split -1"):
        load_uci("yacht", -1, home)
    with pytest.raises(InputError, match="yacht have the columns 0 to 1, but a gap split by column 2"):
        load_uci("yacht", "gap2", home)
    for split in ("", "gap", "gap-1", "middle1", "1.5", "01"):
        with pytest.raises(InputError, match=f"uci/yacht:{split} names no split: write a number"):
            load_uci("yacht", split, home)
    with pytest.raises(InputError, match="did you mean 'yacht'"):
        load("uci/yachts:3", home)
    with pytest.raises(InputError, match="task='classification' and layout='auto' do not fit uci/yacht:3"):
        load("uci/yacht:3", home, task="classification")
    folder = home / "uci" / "yacht" / "data"
    (folder / "data.txt").write_text("".join(f"{i} {i} 7\n" for i in range(20)))
    with pytest.raises(InputError, match="Column 1 of yacht is the same in every row, so it has no gap"):
        load_uci("yacht", "gap1", home)


def test_missing_files_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"wine-quality-red/data/data\.txt is missing.*--data-dir"):
        load_uci("wine", 0, tmp_path)


@pytest.mark.parametrize("text", ["", "1 2 3\n4 5\n", "1 2 three\n", "\udcff"])
def test_what_is_not_a_table_is_refused_by_name(home: Path, text: str) -> None:
    (home / "uci" / "yacht" / "data" / "data.txt").write_text(text, errors="surrogateescape")
    with pytest.raises(InputError, match=r"data\.txt is not a table of numbers"):
        load_uci("yacht", 0, home)


@pytest.mark.parametrize("column", ["3", "-1", "0.5", "nan"])
def test_columns_that_are_not_there_are_refused(home: Path, column: str) -> None:
    (home / "uci" / "yacht" / "data" / "index_target.txt").write_text(column)
    with pytest.raises(InputError, match=r"index_target\.txt names columns"):
        load_uci("yacht", 0, home)


def test_a_target_of_two_columns_is_refused(home: Path) -> None:
    (home / "uci" / "yacht" / "data" / "index_target.txt").write_text("0 1")
    with pytest.raises(InputError, match=r"index_target\.txt names 2 columns, and the target is one"):
        load_uci("yacht", 0, home)


def test_a_table_that_is_cut_short_is_refused(home: Path) -> None:
    """Its splits would be others, of the rows that are left."""
    data = home / "uci" / "yacht" / "data" / "data.txt"
    data.write_text("".join(data.read_text().splitlines(keepends=True)[:12]))
    with pytest.raises(InputError, match=r"The table yacht in .*uci has 12 rows, not 20: it is cut short"):
        load_uci("yacht", 3, home)
