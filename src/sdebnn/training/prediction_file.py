"""Predictions of a finished run for new inputs, and the file that holds them."""

import contextlib
import csv
import io
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from sdebnn import storage
from sdebnn.data.frames import Table
from sdebnn.errors import InputError
from sdebnn.extras import require
from sdebnn.training.building import Build
from sdebnn.training.posterior import load_posterior
from sdebnn.training.prediction import Prediction, columns_of

SUFFIXES = (".npz", ".csv", ".parquet")
# How what a spreadsheet computes begins.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def predict(
    build: Build, folder: str | Path, x: Table, *, changes: Mapping[str, Any] | None = None
) -> dict[str, np.ndarray]:
    """What a run says of inputs that it has never seen. The training data are not needed. To ask more than once, load
    the run: `sdebnn.load`.

    **Arguments:**

    - `build`: that of `start_run`.
    - `folder`: of a run.
    - `x`: examples like those that it was trained on: of the same shape, pixels as whole numbers where those were
      pixels, in the run's `layout` where it has one. Whatever NumPy makes an array of, and for a run on a table
      DataFrames, whose columns are found by their names.
    - `changes`: as for `restore`. Of `data`, a file, no more is asked than that they are the run's.

    **Returns:** by name, one row an example. For labels `label` (n,), `probabilities` (n, classes), `entropy` and
    `mutual_information` (n,), in nats: the second is what more data could resolve. For targets `mean` and `std` (n, d);
    `std` has the noise in it, `epistemic_std` has not. Labels have the user's names, targets are in the user's units.
    One posterior sample says nothing of ignorance: with
    `test_samples=1` `mutual_information`, `std` and `epistemic_std` are NaN, with a warning.

    **Raises:** `InputError` for inputs unlike those of training, and for a folder without a usable checkpoint;
    `FloatingPointError` when outputs are not finite.
    """
    return load_posterior(build, folder, changes=changes).predict(x).arrays()


def predict_in_parts(
    build: Build, folder: str | Path, x: Table, *, changes: Mapping[str, Any] | None = None
) -> Iterator[Prediction]:
    """As `predict`, a part of the inputs at a time: for so many that their predictions do not fit into memory. What is
    refused is refused at once, before the first part is asked for.
    """
    return load_posterior(build, folder, changes=changes).predict_in_parts(x)


def write(predictions: Prediction | Mapping[str, np.ndarray], path: Path) -> None:
    """Writes predictions, whole or not at all: as arrays to .npz, as a table to .csv, with a header, or to .parquet.
    Text that a program of tables would take for a formula has a `'` before it in a .csv.

    **Raises:** `InputError` for another suffix, for a path that cannot be written, and for .parquet without polars;
    `StorageError` for a full disk.
    """
    write_in_parts([predictions], path)


def write_in_parts(parts: Iterable[Prediction | Mapping[str, np.ndarray]], path: Path) -> list[str]:
    """Writes predictions as `write` does, each part as it comes, and returns their names. A .parquet is written when
    all are there, which has them in memory.
    """
    check_output(path)
    with storage.writing(path.parent.resolve() / path.name) as file:
        if path.suffix == ".npz":
            return _write_arrays(parts, file, path.parent)
        return _write_parquet(parts, file) if path.suffix == ".parquet" else _write_table(parts, file)


def _write_table(parts: Iterable[Prediction | Mapping[str, np.ndarray]], file: BinaryIO) -> list[str]:
    text = io.TextIOWrapper(file, "utf-8", newline="")
    names: list[str] = []
    writer = csv.writer(text)
    for part in parts:
        columns = part.columns() if isinstance(part, Prediction) else columns_of(part)
        if not names:
            names = list(_arrays(part))
            writer.writerow(map(_no_formula, columns))
        cells = ([_no_formula(cell) for cell in column.tolist()] for column in columns.values())
        writer.writerows(zip(*cells, strict=True))
    text.detach()
    return names


def _write_parquet(parts: Iterable[Prediction | Mapping[str, np.ndarray]], file: BinaryIO) -> list[str]:
    import polars as pl

    names: list[str] = []
    tables = []
    for part in parts:
        names = names or list(_arrays(part))
        columns = part.columns() if isinstance(part, Prediction) else columns_of(part)
        # Arrays of objects that are text are none of polars'.
        tables.append(pl.DataFrame({name: c if c.dtype.kind in "buif" else c.tolist() for name, c in columns.items()}))
    # What polars writes to a file that has no room is no error of the operating system.
    written = io.BytesIO()
    pl.concat(tables).write_parquet(written)
    file.write(written.getbuffer())
    return names


def _no_formula(cell: object) -> Any:
    """A cell of a table as it is written: no text is one that a spreadsheet would compute."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def _arrays(part: Prediction | Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    return part.arrays() if isinstance(part, Prediction) else part


def _write_arrays(parts: Iterable[Prediction | Mapping[str, np.ndarray]], file: BinaryIO, folder: Path) -> list[str]:
    """An .npz has its arrays one after the other, and each part has rows of all: they are put aside in files that have
    no name, on the disk that the result has to fit on anyway.
    """
    with contextlib.ExitStack() as open_now:
        aside: dict[str, tuple[BinaryIO, np.ndarray]] = {}
        rows = 0
        for part in map(_arrays, parts):
            for name, array in part.items():
                if name not in aside:
                    aside[name] = (open_now.enter_context(tempfile.TemporaryFile(dir=folder)), array)
                aside[name][0].write(np.ascontiguousarray(array).data)
            rows += len(array)
        archive = open_now.enter_context(zipfile.ZipFile(file, "w"))
        for name, (kept, like) in aside.items():
            header = {"descr": np.lib.format.dtype_to_descr(like.dtype), "fortran_order": False}
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array_header_1_0(member, header | {"shape": (rows, *like.shape[1:])})
                kept.seek(0)
                shutil.copyfileobj(kept, member, 2**20)
    return list(aside)


def check_output(path: Path) -> None:
    """**Raises:** `InputError` for a path that predictions cannot be written to, before any are made."""
    if path.suffix not in SUFFIXES:
        raise InputError(f"The output {path} ends in {path.suffix or 'nothing'!r}; it takes {' or '.join(SUFFIXES)}.")
    if path.suffix == ".parquet":
        require("Writing .parquet files", "tables")
    if not path.parent.is_dir():
        raise InputError(f"The folder {path.parent} of the output is not there; make it first.")
    if os.path.lexists(path) and not path.is_file():
        raise InputError(f"The output {path} is a folder, a pipe or a device; give the name of a file.")
    longest = os.pathconf(path.parent, "PC_NAME_MAX")
    if len(os.fsencode(path.name)) > longest:
        raise InputError(f"The name of the output, {path.name}, is too long: a name may have {longest} bytes.")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"The output {path} can't be written: you may not write in its folder.")
