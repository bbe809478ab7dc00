"""Checkpoints of a run: the newest states, from which it is taken up again, and the best average of parameters."""

import os
import reprlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import numpy as np

from sdebnn.errors import InputError, naming_file
from sdebnn.runs import RunFolder, TrainConfig, checkpoint
from sdebnn.training.learner import Learner
from sdebnn.training.task import Task

KEPT = 2
AVERAGE = "average/"


class Position(NamedTuple):
    """How far a run is: gradient steps taken, the seconds that they took, and the length of the log in bytes."""

    step: int
    seconds: float
    log_size: int


def save_state(run: RunFolder, config: TrainConfig, learner: Learner, position: Position, epoch: int) -> Path:
    """Writes the checkpoint of a step, and removes all but the newest two. Returns what `checkpoint.load` takes.

    **Raises:** `StorageError`.

    Beside the arrays it says which choices and which training data it comes of, how many devices took the step, and to
    people which epoch it is of: batches and noise follow from the step and the seed, which is among the choices.
    """
    meta = position._asdict() | {"epoch": epoch, "devices": learner.devices, **_origin(run, config)}
    path = checkpoint.save(run.checkpoints, f"step-{position.step:08d}", learner.state(), meta)
    checkpoint.prune(run.checkpoints, keep=KEPT)
    return path


def load_state(run: RunFolder, config: TrainConfig, learner: Learner, total_steps: int) -> Position | None:
    """Takes the learner to the newest checkpoint, if there is one. Warns when that was of another number of devices.

    **Raises:** `InputError`, naming the file, when it is damaged, of another model or a longer run, or comes of other
    choices or data than the run's.
    """
    if not checkpoint.find(run.checkpoints):
        best = checkpoint.find(run.checkpoints, "best")
        # Of a run that was killed early it has a score; of a posterior that was saved alone it has none.
        if best and "nll" not in checkpoint.load(best[-1])[1]:
            raise InputError(
                f"{run.path} holds a posterior that was saved by itself: it predicts, and has nothing of the training "
                "that could go on; start another run."
            )
        return None
    path = checkpoint.latest(run.checkpoints)
    state, meta = checkpoint.load(path)
    with naming_file(path):
        _refuse_another_origin(meta, _origin(run, config))
        position = _position(meta, total_steps)
        _refuse_not_finite(state)
        learner.load_state(state)
    # Older runs do not say.
    before = meta.get("devices")
    if _is_count(before) and before != learner.devices:
        warnings.warn(
            f"The run was trained on {before} device{'s' * (before != 1)} and goes on with {learner.devices}: its "
            "numbers stay the same up to rounding, not to the bit.",
            stacklevel=2,
        )
    return position


def save_if_best(run: RunFolder, config: TrainConfig, learner: Learner, step: int, nll: float) -> Path | None:
    """Keeps the averaged parameters as the best checkpoint if their validation NLL is finite and below that of the one
    before. Returns what `checkpoint.load` takes, or `None` where they are not the best.

    **Raises:** `InputError` when that one is damaged; `StorageError`.
    """
    # A likelihood may hold an answer for impossible.
    if not np.isfinite(nll):
        return None
    before = checkpoint.find(run.checkpoints, "best")
    if before:
        best = checkpoint.load(before[-1])[1].get("nll")
        if not _is_number(best):
            raise InputError(f"{before[-1]}.json was altered: nll={reprlib.repr(best)} is no number; remove it.")
        if best <= nll:
            return None
    meta = {"step": step, "nll": nll, **_origin(run, config)}
    path = checkpoint.save(run.checkpoints, f"best-{step:08d}", average_of(learner.state()), meta)
    checkpoint.prune(run.checkpoints, "best", keep=1)
    return path


def save_average(run: RunFolder, config: TrainConfig, learner: Learner) -> Path:
    """Writes the averaged parameters alone, as the checkpoint that makes predictions; training cannot go on from them.
    Returns what `checkpoint.load` takes.

    **Raises:** `StorageError`.
    """
    return checkpoint.save(run.checkpoints, "best-00000000", average_of(learner.state()), _origin(run, config))


def load_average(run: RunFolder, config: TrainConfig, learner: Learner) -> None:
    """Gives the learner the averaged parameters that make predictions: of the best checkpoint where a validation split
    chose one, else of the newest.

    **Arguments:** `config` has the choices that the run was trained with; those of the learner may differ.

    **Raises:** `InputError` when there is none, or it is damaged, of another model, or comes of other choices or data
    than the run's.
    """
    kind = "best" if checkpoint.find(run.checkpoints, "best") else "step"
    path = checkpoint.latest(run.checkpoints, kind)
    arrays, meta = checkpoint.load(path)
    average = average_of(arrays)
    with naming_file(path):
        _refuse_another_origin(meta, _origin(run, config))
        _refuse_not_finite(average)
        learner.load_average(average)


def average_of(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The averaged parameters of a state of `Learner.state`, which predictions use."""
    return {name: array for name, array in state.items() if name.startswith(AVERAGE)}


def _origin(run: RunFolder, config: TrainConfig) -> dict[str, Any]:
    """What a checkpoint comes of: the choices, and the digest of the training data where the run's folder keeps it."""
    task = run.path / "task.json"
    return {"config": config.to_json(), "trained_on": Task.read(run).digest if os.path.lexists(task) else None}


def _refuse_another_origin(meta: Mapping[str, Any], origin: Mapping[str, Any]) -> None:
    """Checkpoints of older versions say less of what they come of: what they do not say is not compared."""
    before, now = meta.get("config"), origin["config"]
    if isinstance(before, dict):
        # The data may have moved: what they are, their digest says.
        for name in sorted(before.keys() & now.keys() - {"data"}):
            if before[name] != now[name]:
                raise InputError(
                    f"it comes of a run with {name}={reprlib.repr(before[name])}, and config.json of this run says "
                    f"{name}={reprlib.repr(now[name])}: one of them was altered or is of another run; restore it, or "
                    "train anew."
                )
    digests = meta.get("trained_on"), origin["trained_on"]
    if None not in digests and digests[0] != digests[1]:
        raise InputError(
            "it comes of other training data than those that task.json of this run describes: one of them was altered "
            "or is of another run; restore it, or train anew."
        )


def _position(meta: Mapping[str, Any], total_steps: int) -> Position:
    step, seconds, log_size = (meta.get(name) for name in Position._fields)
    if not (_is_count(step) and _is_number(seconds) and _is_count(log_size)):
        raise InputError(f"its record of the progress was altered: {reprlib.repr(dict(meta))}; use another checkpoint.")
    if step > total_steps:
        raise InputError(f"it is of gradient step {step}, but the run ends at {total_steps}; use another checkpoint.")
    return Position(step, float(seconds), log_size)


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refuse_not_finite(arrays: Mapping[str, np.ndarray]) -> None:
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise InputError(f"its array {name!r} has values that are NaN or infinite; use another checkpoint.")
