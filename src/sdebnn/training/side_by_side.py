"""Several models on the same data, each in a run folder of its own."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.runs import RunFolder, TrainConfig
from sdebnn.runs.started import read_start
from sdebnn.training.building import Build
from sdebnn.training.run import check_start, load_again, resume_run, start_run, wherever_one_is


def train_side_by_side(
    build: Build,
    configs: Mapping[str, TrainConfig],
    output: str | Path,
    *,
    data_dir: str | Path | None = None,
    dataset: Dataset | None = None,
    tell: Callable[[str], object] = lambda name: None,
) -> list[RunFolder]:
    """Trains a run for each configuration. What has ended is left as it is, and what was broken off goes on: called
    again with more of them, it trains those that are new.

    **Arguments:**

    - `build`, `data_dir`, `dataset`: as for `start_run`; all learn from the same data.
    - `configs`: by the name of the run's folder.
    - `output`: the folder that these are in.
    - `tell`: is told the name of each run before it is trained.

    **Returns:** the run folders, in this order.

    **Raises:** as `start_run`, for what is new before anything is trained; `InputError` for a folder that has a run
    with other choices, or that learned from other examples than `dataset`.
    """
    folders = {name: Path(output) / name for name in configs}
    left = []
    for name, config in configs.items():
        if not _has_begun(folders[name]):
            RunFolder.check_new(folders[name])
            left.append(name)
            continue
        run = RunFolder.open(folders[name])
        name_of_data = dataset.name if dataset else wherever_one_is(config.data)
        _refuse_other_choices(run, dataclasses.replace(config, data=name_of_data))
        if dataset is not None and os.path.lexists(run.report):
            load_again(run, read_start(run)[1], config, dataset=dataset).task.confirm(run)
        if not os.path.lexists(run.report):
            left.append(name)
    # The seed matters to none of the checks.
    new = {dataclasses.replace(configs[name], seed=0) for name in left if not _has_begun(folders[name])}
    for config in new:
        check_start(build, config, data_dir=data_dir, dataset=dataset)
    for name in left:
        tell(name)
        if _has_begun(folders[name]):
            resume_run(build, folders[name], data_dir=data_dir, dataset=dataset)
        else:
            start_run(build, configs[name], folders[name], data_dir=data_dir, dataset=dataset)
    return [RunFolder.open(folder) for folder in folders.values()]


def _has_begun(folder: Path) -> bool:
    return os.path.lexists(folder / "config.json")


def _refuse_other_choices(run: RunFolder, config: TrainConfig) -> None:
    there = read_start(run)[0]
    for field in dataclasses.fields(TrainConfig):
        had, wanted = getattr(there, field.name), getattr(config, field.name)
        if had != wanted:
            raise InputError(
                f"The run {run.path} was started with {field.name}={had!r}, and {wanted!r} is asked for; choose "
                "another folder for the output, or remove that one."
            )
