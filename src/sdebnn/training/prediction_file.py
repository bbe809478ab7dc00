"""Predictions of a finished run for new inputs, and the file that holds them."""

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sdebnn import metrics, storage
from sdebnn.errors import InputError
from sdebnn.prediction_choices import prediction_choices
from sdebnn.runs import RunFolder
from sdebnn.training import keeping
from sdebnn.training.building import Build, built
from sdebnn.training.learner import Learner
from sdebnn.training.memory import refuse_more_than_memory
from sdebnn.training.predictions import sample_probabilities, target_moments
from sdebnn.training.task import Task

# Inputs that go through the network at a time: memory does not grow with their number, but for the predictions.
CHUNK = 2000
SUFFIXES = (".npz", ".csv")


def predict(
    build: Build, folder: str | Path, x: Any, *, changes: Mapping[str, Any] | None = None
) -> dict[str, np.ndarray]:
    """What a run says of inputs that it has never seen. The training data are not needed.

    **Arguments:**

    - `build`: as for `start_run`.
    - `folder`: of a run.
    - `x`: examples like those that it was trained on: of the same shape, pixels as whole numbers where those were
      pixels. Whatever NumPy makes an array of.
    - `changes`: as for `restore`.

    **Returns:** by name, one row an example. For labels `label` (n,), `probabilities` (n, classes), `entropy` and
    `mutual_information` (n,), in nats: the second is what more data could resolve. For targets `mean` and `std` (n, d);
    `std` has the noise in it, `epistemic_std` has not.

    **Raises:** `InputError` for inputs unlike those of training, and for a folder without a usable checkpoint;
    `FloatingPointError` when outputs are not finite.
    """
    run = RunFolder.open(folder)
    config = keeping.read_choices(run, dict(changes or {}) | {"test_examples": 0})
    task = Task.read(run)
    x = task.inputs(x)
    refuse_more_than_memory(config, task.num_classes or task.targets, trained=1, scored=min(len(x), CHUNK))
    learner = built(build, prediction_choices(config), task.placeholder())
    keeping.load_average(run, keeping.read_choices(run), learner)
    parts = []
    for start in range(0, len(x), CHUNK):
        outputs = learner.outputs(x[start : start + CHUNK])
        keeping.refuse_bad_outputs(run, config, outputs, saved=True)
        parts.append(_of_labels(learner, outputs) if task.num_classes else _of_targets(learner, outputs))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def write(predictions: Mapping[str, np.ndarray], path: Path) -> None:
    """Writes predictions, whole or not at all: as arrays to .npz, as a table with a header to .csv.

    **Raises:** `InputError` for another suffix and for a path that cannot be written; `StorageError` for a full disk.
    """
    check_output(path)
    buffer = io.BytesIO()
    if path.suffix == ".npz":
        np.savez(buffer, **predictions)  # type: ignore[arg-type]
    else:
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        columns = {
            name if column.shape[1] == 1 else f"{name}_{number}": column[:, number]
            for name, column in ((name, array.reshape(len(array), -1)) for name, array in predictions.items())
            for number in range(column.shape[1])
        }
        writer.writerow(columns)
        writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
        buffer.write(text.getvalue().encode())
    storage.write(path.parent.resolve() / path.name, buffer.getvalue())


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


def _of_labels(learner: Learner, outputs: np.ndarray) -> dict[str, np.ndarray]:
    of_samples = sample_probabilities(learner, outputs)
    probabilities = of_samples.mean(axis=0)
    return {
        "label": probabilities.argmax(axis=1),
        "probabilities": probabilities,
        "entropy": metrics.entropy(probabilities),
        "mutual_information": metrics.mutual_information(of_samples),
    }


def _of_targets(learner: Learner, outputs: np.ndarray) -> dict[str, np.ndarray]:
    means, variances = target_moments(learner, outputs)
    epistemic = means.std(axis=0)
    # The law of total variance; without a square of the first part that could be too large.
    std = np.hypot(epistemic, np.sqrt(variances.mean(axis=0)))
    return {"mean": means.mean(axis=0), "std": std, "epistemic_std": epistemic}
