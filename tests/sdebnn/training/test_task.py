import dataclasses

import pytest

from sdebnn.errors import InputError
from sdebnn.runs import RunFolder, strict_json
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
