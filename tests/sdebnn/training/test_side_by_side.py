"""Models side by side on data that are in memory."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.frameworks import build_learner
from sdebnn.runs import TrainConfig
from sdebnn.training.comparison import read_ended
from sdebnn.training.side_by_side import train_side_by_side

pytest.importorskip("torchsde")

ROWS = np.random.default_rng(0).normal(size=(40, 2))
DATA = Dataset.from_arrays(ROWS, (ROWS[:, 0] > 0).astype(int), name="halves")
CHOICES: dict[str, Any] = {
    "framework": "torch",
    "width": 4,
    "steps": 2,
    "max_steps": 2,
    "test_samples": 1,
    "drift_widths": (2,),
}
CONFIGS = {name: TrainConfig(model=name, **CHOICES) for name in ("odenet", "sdebnn")}


def test_arrays_are_learned_from_and_a_run_that_has_ended_is_of_those_alone(tmp_path: Path) -> None:
    runs = train_side_by_side(build_learner, CONFIGS, tmp_path, dataset=DATA)
    assert [read_ended(run).config.model for run in runs] == ["odenet", "sdebnn"]
    assert {read_ended(run).config.data for run in runs} == {"halves"}
    told: list[str] = []
    again = train_side_by_side(build_learner, CONFIGS, tmp_path, dataset=DATA, tell=told.append)
    assert (again, told) == (runs, [])
    others = dataclasses.replace(DATA, y_train=1 - DATA.y_train)
    with pytest.raises(InputError, match=r"task\.json is of other examples than the run's data"):
        train_side_by_side(build_learner, CONFIGS, tmp_path, dataset=others)
    with pytest.raises(InputError, match="was started with data='halves', and 'others' is asked for"):
        train_side_by_side(build_learner, CONFIGS, tmp_path, dataset=dataclasses.replace(DATA, name="others"))
