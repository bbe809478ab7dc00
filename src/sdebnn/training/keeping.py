"""What a run keeps on disk while it trains: the newest states, from which it is taken up again; the best average."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from sdebnn.runs import RunFolder, TrainConfig, checkpoint
from sdebnn.training.learner import Learner

KEPT = 2
AVERAGE = "average/"


def save_state(run: RunFolder, learner: Learner, meta: Mapping[str, Any]) -> None:
    """Writes the checkpoint of `meta["step"]`, and removes all but the newest two."""
    checkpoint.save(run.checkpoints, f"step-{meta['step']:08d}", learner.state(), meta)
    checkpoint.prune(run.checkpoints, keep=KEPT)


def save_if_best(run: RunFolder, learner: Learner, step: int, nll: float) -> None:
    """Keeps the averaged parameters as the best checkpoint if their validation NLL is below that of the one before."""
    before = checkpoint.find(run.checkpoints, "best")
    if before and float(checkpoint.load(before[-1])[1]["nll"]) <= nll:
        return
    checkpoint.save(run.checkpoints, f"best-{step:08d}", _average(learner.state()), {"step": step, "nll": nll})
    checkpoint.prune(run.checkpoints, "best", keep=1)


def load_average(run: RunFolder, learner: Learner) -> None:
    """Gives the learner the averaged parameters that make predictions: of the best checkpoint where a validation split
    chose one, else of the newest.

    **Raises:** `InputError` when there is none, or it is of another model.
    """
    kind = "best" if checkpoint.find(run.checkpoints, "best") else "step"
    arrays, _ = checkpoint.load(checkpoint.latest(run.checkpoints, kind))
    learner.load_average(_average(arrays))


def refuse_bad(run: RunFolder, config: TrainConfig, learner: Learner) -> None:
    """Ends a run whose loss or gradient is no longer finite. Waits for the device.

    **Raises:** `FloatingPointError` saying at which gradient step it began, and where the last good state is.
    """
    if bad := learner.first_bad():
        raise FloatingPointError(
            f"The loss or its gradient became NaN or infinite at step {bad}. {_advice(run, config)}"
        )


def refuse_bad_outputs(run: RunFolder, config: TrainConfig, outputs: np.ndarray) -> None:
    """Ends a run whose predictions are not finite. **Raises:** `FloatingPointError`."""
    if not np.isfinite(outputs).all():
        raise FloatingPointError(f"The network's outputs became NaN or infinite. {_advice(run, config)}")


def _advice(run: RunFolder, config: TrainConfig) -> str:
    good = checkpoint.find(run.checkpoints)
    kept = f"The last good state is {good[-1]}.safetensors" if good else "No checkpoint had been written yet"
    return (
        f"{kept}; resuming would repeat this, so train again with a lower learning_rate (now {config.learning_rate}) "
        f"or sigma (now {config.sigma}), or with clip_norm (now {config.clip_norm})."
    )


def _average(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: array for name, array in state.items() if name.startswith(AVERAGE)}
