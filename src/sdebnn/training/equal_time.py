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
            "leave it out, or compare at equal steps."
        )
    if config.samples_posterior:
        raise InputError(
            f"The pace of model={config.model!r} is that of its draws, without the steps that adapt its chains, so "
            "there is no equal time; leave it out, or compare at equal steps."
        )


def longer(runs: Sequence[RunFolder]) -> list[TrainConfig]:
    """The choices of those runs that the slowest would have trained longer than, at the pace that was measured of each,
    with as many gradient steps as fill its time. What was compiled does not count: it does not grow with the steps.

    **Arguments:**

    - `runs`: that have ended, one of each model.

    **Raises:** `InputError` for a run that has not ended, and one of so few steps that its pace was not measured.
    """
    ended = [read_ended(run) for run in runs]
    for run in ended:
        if not run.pace > 0:
            raise InputError(
                f"The run {run.path} of {run.steps} gradient steps has no pace that was measured; take a hundred or "
                "more."
            )
    seconds = [run.steps * run.config.batch_size / run.pace for run in ended]
    filled = []
    for run, took in zip(ended, seconds, strict=True):
        share = max(seconds) / took
        steps = round(share * run.steps)
        if share > ALIKE and steps > run.steps:
            # The limit of steps is to be the one that holds.
            epochs = math.ceil(share * run.config.epochs) + 1
            filled.append(dataclasses.replace(run.config, max_steps=steps, epochs=epochs))
    return filled
