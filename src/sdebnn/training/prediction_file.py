"""Predictions of a finished run for new inputs, and the file that holds them."""

import contextlib
import csv
import io
import os
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from sdebnn import metrics, storage
from sdebnn.data import TableEncoding
from sdebnn.errors import InputError
from sdebnn.runs import RunFolder
from sdebnn.runs.started import read_start
from sdebnn.training import checkpointing, divergence
from sdebnn.training.building import Build, built_again
from sdebnn.training.learner import Learner
from sdebnn.training.memory import refuse_more_than_memory
from sdebnn.training.prediction_choices import prediction_choices
from sdebnn.training.predictions import sample_probabilities, target_moments
from sdebnn.training.run import load_again
from sdebnn.training.task import Task

# Inputs that go through the network at a time: memory does not grow with their number, but for the predictions.
CHUNK = 2000
SUFFIXES = (".npz", ".csv")
# How what a spreadsheet computes begins.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def predict(
    build: Build, folder: str | Path, x: Any, *, changes: Mapping[str, Any] | None = None
) -> dict[str, np.ndarray]:
    """What a run says of inputs that it has never seen. The training data are not needed.

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
    parts = list(predict_in_parts(build, folder, x, changes=changes))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def predict_in_parts(
    build: Build, folder: str | Path, x: Any, *, changes: Mapping[str, Any] | None = None
) -> Iterator[dict[str, np.ndarray]]:
    """As `predict`, a part of the inputs at a time: for so many that their predictions do not fit into memory. What is
    refused is refused at once, before the first part is asked for.
    """
    run = RunFolder.open(folder)
    config, started = read_start(run, dict(changes or {}) | {"test_examples": 0})
    task = Task.read(run)
    if "data" in (changes or {}):
        load_again(run, started, config).task.confirm(run)
    inputs = task.inputs(x, config.layout)
    refuse_more_than_memory(config, task.num_classes or task.targets, trained=1, scored=min(len(inputs), CHUNK))
    learner = built_again(build, run, started, prediction_choices(config), task.placeholder())
    checkpointing.load_average(run, read_start(run)[0], learner)

    if config.test_samples == 1:
        warnings.warn(
            "One posterior sample (test_samples=1) says nothing of ignorance: what tells of it is NaN; take "
            "test_samples=2 or more.",
            stacklevel=3,
        )

    def part(start: int) -> dict[str, np.ndarray]:
        outputs = learner.outputs(inputs[start : start + CHUNK])
        divergence.check_outputs(run, config, outputs, saved=True)
        return (_of_labels if task.num_classes else _of_targets)(learner, outputs, task.encoding)

    return map(part, range(0, len(inputs), CHUNK))


def write(predictions: Mapping[str, np.ndarray], path: Path) -> None:
    """Writes predictions, whole or not at all: as arrays to .npz, as a table with a header to .csv.

    **Raises:** `InputError` for another suffix and for a path that cannot be written; `StorageError` for a full disk.
    """
    write_in_parts([predictions], path)


def write_in_parts(parts: Iterable[Mapping[str, np.ndarray]], path: Path) -> list[str]:
    """Writes predictions as `write` does, each part as it comes, and returns their names."""
    check_output(path)
    with storage.writing(path.parent.resolve() / path.name) as file:
        return _write_arrays(parts, file, path.parent) if path.suffix == ".npz" else _write_table(parts, file)


def _write_table(parts: Iterable[Mapping[str, np.ndarray]], file: BinaryIO) -> list[str]:
    text = io.TextIOWrapper(file, "utf-8", newline="")
    names: list[str] = []
    writer = csv.writer(text)
    for part in parts:
        columns = {
            name if column.shape[1] == 1 else f"{name}_{number}": column[:, number]
            for name, column in ((name, array.reshape(len(array), -1)) for name, array in part.items())
            for number in range(column.shape[1])
        }
        if not names:
            names = list(part)
            writer.writerow(columns)
        writer.writerows(zip(*map(_cells, columns.values()), strict=True))
    text.detach()
    return names


def _cells(column: np.ndarray) -> list[Any]:
    """A column of a table as it is written: no text in it is one that a spreadsheet would compute."""
    if column.dtype.kind != "U":
        return column.tolist()
    return [f"'{text}" if text.startswith(FORMULA) else text for text in column.tolist()]


def _write_arrays(parts: Iterable[Mapping[str, np.ndarray]], file: BinaryIO, folder: Path) -> list[str]:
    """An .npz has its arrays one after the other, and each part has rows of all: they are put aside in files that have
    no name, on the disk that the result has to fit on anyway.
    """
    with contextlib.ExitStack() as open_now:
        aside: dict[str, tuple[BinaryIO, np.ndarray]] = {}
        rows = 0
        for part in parts:
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
    if not path.parent.is_dir():
        raise InputError(f"The folder {path.parent} of the output is not there; make it first.")
    if os.path.lexists(path) and not path.is_file():
        raise InputError(f"The output {path} is a folder, a pipe or a device; give the name of a file.")
    longest = os.pathconf(path.parent, "PC_NAME_MAX")
    if len(os.fsencode(path.name)) > longest:
        raise InputError(f"The name of the output, {path.name}, is too long: a name may have {longest} bytes.")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"The output {path} can't be written: you may not write in its folder.")


def _of_labels(learner: Learner, outputs: np.ndarray, encoding: TableEncoding | None) -> dict[str, np.ndarray]:
    of_samples = sample_probabilities(learner, outputs)
    probabilities = of_samples.mean(axis=0)
    label = probabilities.argmax(axis=1)
    return {
        "label": label if encoding is None else np.array(encoding.labels)[label],
        "probabilities": probabilities,
        "entropy": metrics.entropy(probabilities),
        "mutual_information": metrics.mutual_information(of_samples),
    }


def _of_targets(learner: Learner, outputs: np.ndarray, encoding: TableEncoding | None) -> dict[str, np.ndarray]:
    means, variances = target_moments(learner, outputs)
    epistemic = means.std(axis=0) if len(means) > 1 else np.full(means.shape[1:], np.nan)
    # The law of total variance; without a square of the first part that could be too large.
    std = np.hypot(epistemic, np.sqrt(variances.mean(axis=0)))
    predicted = {"mean": means.mean(axis=0), "std": std, "epistemic_std": epistemic}
    if encoding is None:
        return predicted
    unit = encoding.target_std
    return {"mean": encoding.in_user_units(predicted["mean"]), "std": unit * std, "epistemic_std": unit * epistemic}
