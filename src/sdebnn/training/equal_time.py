"""Models that are given the same time, where some take their gradient steps faster than others."""

import dataclasses
import math
from collections.abc import Sequence

from sdebnn.errors import InputError
from sdebnn.runs import RunFolder, TrainConfig
from sdebnn.training.comparison import read_ended

ALIKE = 1.05
"""Times whose ratio is less are the same."""


def refuse_no_equal_time(config: TrainConfig) -> None:
    """**Raises:** `InputError` for choices by which the data decide how long training takes."""
    if config.tuning == "folds":
        raise InputError(
            "With tuning='folds' the examples held out decide how long a model trains, so there is no equal time; "
            "compare at equal steps, or choose tuning='none' and a length by epochs or max_steps."
        )


def longer(runs: Sequence[RunFolder]) -> list[TrainConfig]:
    """The choices of those runs that the slowest took longer than, with as many gradient steps as fill its time. Time
    is that of training with its compilation, so that more steps take less than in proportion.

    **Arguments:**

    - `runs`: that have ended, one of each model.

    **Raises:** `InputError` for a run that has not ended, and where it was not kept how long one took.
    """
    ended = [read_ended(run) for run in runs]
    for run in ended:
        if not run.seconds > 0:
            raise InputError(f"The run {run.path} does not say how long it took; train it anew.")
    slowest = max(run.seconds for run in ended)
    return [
        # A limit of steps is to be the one that holds.
        dataclasses.replace(
            run.config, max_steps=round(share * run.steps), epochs=math.ceil(share * run.config.epochs) + 1
        )
        for run in ended
        if (share := slowest / run.seconds) > ALIKE
    ]
