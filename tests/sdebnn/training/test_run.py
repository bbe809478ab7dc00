import dataclasses

import numpy as np
import pytest

from sdebnn.errors import InputError
from sdebnn.training import restore, start_run


@pytest.fixture
def saved(tmp_path, table, quick):
    """The choices of a run on a file of data, and how to write other data to it."""
    path = tmp_path / "mine.npz"

    def write(dataset) -> None:
        np.savez(path, x=dataset.x_train, y=dataset.y_train, x_test=dataset.x_test, y_test=dataset.y_test)

    write(table)
    return dataclasses.replace(quick, data=str(path)), write


def test_fewer_test_examples_can_be_scored_but_not_others(tmp_path, table, saved, build) -> None:
    config, write = saved
    start_run(build, config, tmp_path / "run")
    assert len(restore(build, tmp_path / "run", changes={"test_examples": 3}).dataset.x_test) == 3
    write(dataclasses.replace(table, x_test=2 * table.x_test))
    for changes in ({}, {"test_examples": 3}):
        with pytest.raises(InputError, match="other examples than the run's data"):
            restore(build, tmp_path / "run", changes=changes)
