"""The end of a run whose numbers are no longer finite, with what to do about it."""

from pathlib import Path

import numpy as np

from sdebnn.runs import RunFolder, TrainConfig, checkpoint
from sdebnn.training.ivon import Ivon
from sdebnn.training.learner import Learner


def check_loss(run: RunFolder, config: TrainConfig, learner: Learner) -> None:
    """Ends a run whose loss or gradient is no longer finite. Waits for the device.

    **Raises:** `FloatingPointError` saying at which gradient step it began, and where the last good state is.
    """
    if bad := learner.first_bad():
        raise FloatingPointError(
            f"The loss or its gradient became NaN or infinite at step {bad}. "
            f"{_advice(config, checkpoint.find(run.checkpoints))}"
        )


def check_outputs(run: RunFolder, config: TrainConfig, outputs: np.ndarray, *, saved: bool) -> None:
    """Ends a run whose predictions are not finite. **Raises:** `FloatingPointError`.

    **Arguments:**

    - `outputs`: of posterior samples.
    - `saved`: whether the state that gave them is the newest checkpoint.
    """
    if not np.isfinite(outputs).all():
        found = checkpoint.find(run.checkpoints)
        advice = _advice(config, found[:-1] if saved else found)
        raise FloatingPointError(f"The network's outputs became NaN or infinite. {advice}")


def _advice(config: TrainConfig, good: list[Path]) -> str:
    kept = f"The last good state is {good[-1]}.safetensors" if good else "No good state was saved before"
    shorter = "a smaller clip_radius" if Ivon.chosen(config) else "clip_norm"
    now = config.clip_radius if Ivon.chosen(config) else config.clip_norm
    return (
        f"{kept}; resuming would repeat this, so train again with a lower learning_rate (now {config.learning_rate}) "
        f"or sigma (now {config.sigma}), or with {shorter} (now {now})."
    )
