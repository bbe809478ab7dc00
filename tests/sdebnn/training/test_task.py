import dataclasses
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sdebnn.data import Dataset, TableEncoding, load
from sdebnn.errors import InputError
from sdebnn.runs import RunFolder, TrainConfig, strict_json
from sdebnn.runs.started import STANDARD, Started, read_start
from sdebnn.training.run import check_shown, load_again
from sdebnn.training.task import Task


@pytest.fixture
def run(tmp_path) -> RunFolder:
    return RunFolder.create(tmp_path / "run")


@pytest.mark.parametrize("part", ["x_train", "y_train", "x_test", "y_test"])
def test_data_that_have_changed_since_are_refused(part: str, table, run) -> None:
    Task.of(table).write(run)
    Task.of(table).confirm(run)
    changed = dataclasses.replace(table, **{part: getattr(table, part)[::-1].copy()})
    for act in (Task.of(changed).confirm, Task.of(changed).write):
        with pytest.raises(InputError, match=r"task\.json is of other examples than the run's data"):
            act(run)


@pytest.mark.parametrize("part", [0, 1])
def test_validation_examples_that_have_changed_since_are_refused(part: int, table, run) -> None:
    validation = [table.x_test, table.y_test]
    Task.of(table, tuple(validation)).write(run)
    validation[part] = validation[part][::-1]
    with pytest.raises(InputError, match="other examples"):
        Task.of(table, tuple(validation)).confirm(run)


def test_an_older_run_answers_for_the_examples_that_it_was_trained_on(table, run) -> None:
    record = Task.of(table)._asdict()
    del record["held_out"]
    strict_json.write(run.path / "task.json", record)
    other_test = dataclasses.replace(table, x_test=2 * table.x_test)
    Task.of(other_test).confirm(run)
    with pytest.raises(InputError, match="other examples"):
        Task.of(dataclasses.replace(table, x_train=2 * table.x_train)).confirm(run)


@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_the_table_of_an_older_run_is_read_as_it_was(kind: str, run: RunFolder, tmp_path: Path) -> None:
    """A new run refuses dates; to an older one they were categories."""
    table = pl.DataFrame(
        {"day": ["2024-01-01", "2024-02-01", "2024-03-01"] * 10, "y": [row + 0.5 for row in range(30)]}
    )
    file = tmp_path / f"table.{kind}"
    names = table.with_columns(day="d" + pl.col("day"))
    if kind == "csv":
        table.write_csv(file)
        taken = Dataset.from_frame(names, "y")
    else:
        np.savez(file, x=table["day"].to_numpy().astype(str)[:, None], y=table["y"].to_numpy())
        taken = Dataset.from_arrays(names["day"].to_numpy()[:, None], names["y"].to_numpy())
    assert taken.encoding is not None
    encoding = TableEncoding.from_json(json.loads(json.dumps(taken.encoding.to_json()).replace('"d20', '"20')))
    config = TrainConfig.for_table(data=str(file), target="y" if kind == "csv" else "")
    run.write_config(Started(STANDARD, False).record(config))
    with pytest.raises(InputError, match="holds dates or times as text"):
        load(file, target=config.target, scale=True)
    Task.of(dataclasses.replace(taken, encoding=encoding)).write(run)
    config, started = read_start(run)
    load_again(run, started, config).task.confirm(run)
    # Also where others are trained beside it.
    check_shown(config, ["rmse"], [], folder=run.path)
    with pytest.raises(InputError, match="holds dates or times as text"):
        check_shown(config, ["rmse"], [], folder=tmp_path / "new")
