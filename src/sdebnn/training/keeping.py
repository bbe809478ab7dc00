"""What a run keeps on disk while it trains: the newest states, from which it is taken up again; the best average."""

import contextlib
import reprlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import numpy as np

from sdebnn.errors import InputError
from sdebnn.runs import RunFolder, TrainConfig, checkpoint
from sdebnn.training.learner import Learner

KEPT = 2
AVERAGE = "average/"


class Reached(NamedTuple):
    """How far a run is: gradient steps taken, the seconds that they took, and the length of the log in bytes."""

    step: int
    seconds: float
    log_size: int


def read_choices(run: RunFolder, changes: Mapping[str, Any] | None = None) -> TrainConfig:
    """The choices of a run, with `changes` in place of them where given.

    **Raises:** `InputError`, naming the file, when they are missing or not allowed; and for changes that are not
    choices, or not allowed.
    """
    record = run.read_config()
    with _naming(run.config_file):
        config = TrainConfig.from_json(record)
    return TrainConfig.from_json(config.to_json() | dict(changes or {}))


def save_state(run: RunFolder, learner: Learner, reached: Reached, about: Mapping[str, Any]) -> None:
    """Writes the checkpoint of a step, and removes all but the newest two. **Raises:** `StorageError`.

    **Arguments:** `about` is what the JSON beside the arrays says to people, and to resume is not needed.
    """
    meta = reached._asdict() | dict(about)
    checkpoint.save(run.checkpoints, f"step-{reached.step:08d}", learner.state(), meta)
    checkpoint.prune(run.checkpoints, keep=KEPT)


def load_state(run: RunFolder, learner: Learner, total_steps: int) -> Reached | None:
    """Takes the learner to the newest checkpoint, if there is one.

    **Raises:** `InputError`, naming the file, when it is damaged, or of another model or a longer run.
    """
    if not checkpoint.find(run.checkpoints):
        return None
    path = checkpoint.latest(run.checkpoints)
    state, meta = checkpoint.load(path)
    with _naming(path):
        reached = _reached(meta, total_steps)
        _refuse_not_finite(state)
        learner.load_state(state)
    return reached


def save_if_best(run: RunFolder, learner: Learner, step: int, nll: float) -> None:
    """Keeps the averaged parameters as the best checkpoint if their validation NLL is below that of the one before.

    **Raises:** `InputError` when that one is damaged; `StorageError`.
    """
    before = checkpoint.find(run.checkpoints, "best")
    if before:
        best = checkpoint.load(before[-1])[1].get("nll")
        if not _is_number(best):
            raise InputError(f"{before[-1]}.json was altered: nll={reprlib.repr(best)} is no number; remove it.")
        if best <= nll:
            return
    checkpoint.save(run.checkpoints, f"best-{step:08d}", _average(learner.state()), {"step": step, "nll": nll})
    checkpoint.prune(run.checkpoints, "best", keep=1)


def load_average(run: RunFolder, learner: Learner) -> None:
    """Gives the learner the averaged parameters that make predictions: of the best checkpoint where a validation split
    chose one, else of the newest.

    **Raises:** `InputError` when there is none, or it is damaged or of another model.
    """
    kind = "best" if checkpoint.find(run.checkpoints, "best") else "step"
    path = checkpoint.latest(run.checkpoints, kind)
    average = _average(checkpoint.load(path)[0])
    with _naming(path):
        _refuse_not_finite(average)
        learner.load_average(average)


def refuse_bad(run: RunFolder, config: TrainConfig, learner: Learner) -> None:
    """Ends a run whose loss or gradient is no longer finite. Waits for the device.

    **Raises:** `FloatingPointError` saying at which gradient step it began, and where the last good state is.
    """
    if bad := learner.first_bad():
        raise FloatingPointError(
            f"The loss or its gradient became NaN or infinite at step {bad}. "
            f"{_advice(config, checkpoint.find(run.checkpoints))}"
        )


def refuse_bad_outputs(run: RunFolder, config: TrainConfig, outputs: np.ndarray) -> None:
    """Ends a run whose predictions are not finite. **Raises:** `FloatingPointError`."""
    if not np.isfinite(outputs).all():
        # A run is saved before it is scored: the newest state is the one that gave them.
        advice = _advice(config, checkpoint.find(run.checkpoints)[:-1])
        raise FloatingPointError(f"The network's outputs became NaN or infinite. {advice}")


def _advice(config: TrainConfig, good: list[Path]) -> str:
    kept = f"The last good state is {good[-1]}.safetensors" if good else "No good state was saved before"
    return (
        f"{kept}; resuming would repeat this, so train again with a lower learning_rate (now {config.learning_rate}) "
        f"or sigma (now {config.sigma}), or with clip_norm (now {config.clip_norm})."
    )


def _average(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: array for name, array in state.items() if name.startswith(AVERAGE)}


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Says of which file an `InputError` of its block is."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path} cannot be used: {error}") from None


def _reached(meta: Mapping[str, Any], total_steps: int) -> Reached:
    step, seconds, log_size = (meta.get(name) for name in Reached._fields)
    if not (_is_count(step) and _is_number(seconds) and _is_count(log_size)):
        raise InputError(f"its record of the progress was altered: {reprlib.repr(dict(meta))}; use another checkpoint.")
    if step > total_steps:
        raise InputError(f"it is of gradient step {step}, but the run ends at {total_steps}; use another checkpoint.")
    return Reached(step, float(seconds), log_size)


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refuse_not_finite(arrays: Mapping[str, np.ndarray]) -> None:
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise InputError(f"its array {name!r} has values that are NaN or infinite; use another checkpoint.")
