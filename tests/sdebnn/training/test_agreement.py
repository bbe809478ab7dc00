import dataclasses
import functools
from collections.abc import Callable

import pytest

from sdebnn.errors import InputError, PeerError
from sdebnn.training.agreement import first_alone, refuse_different_runs


def noted(numbers: list[int]) -> Callable[[int], int]:
    """The largest of one process, which is its own number; the list has them all."""

    def largest(number: int) -> int:
        numbers.append(number)
        return number

    return largest


def refusals(runs) -> list[str]:
    """What each of the processes is told."""
    sent: list[list[int]] = [[] for _ in runs]
    for (config, dataset), own in zip(runs, sent, strict=True):
        # Alone a process agrees with itself.
        refuse_different_runs(config, dataset, noted(own))
    told = []
    for config, dataset in runs:
        answers = iter([max(numbers) for numbers in zip(*sent, strict=True)])
        try:
            refuse_different_runs(config, dataset, functools.partial(lambda answers, _: next(answers), answers))
            told.append("")
        except InputError as error:
            told.append(str(error))
        # All take part in every comparison, however it ends.
        assert next(answers, None) is None
    return told


def test_processes_of_one_run_agree(table, quick) -> None:
    elsewhere = dataclasses.replace(quick, data="/another/path/of/the/same.npz")
    assert refusals([(quick, table), (elsewhere, table), (quick, table)]) == ["", "", ""]


@pytest.mark.parametrize("odd", [0, 1, 2])
def test_different_choices_or_data_are_refused_in_every_process(odd: int, table, quick) -> None:
    seed = dataclasses.replace(quick, seed=7)
    other = dataclasses.replace(table, x_train=2 * table.x_train)
    for run, says in (((seed, table), "choices;"), ((quick, other), "data;"), ((seed, other), "choices and data;")):
        runs = [(quick, table)] * 3
        runs[odd] = run
        told = refusals(runs)
        assert all(f"started with different {says}" in refusal for refusal in told), told


def test_where_the_first_process_fails_the_others_are_told(table, quick, build) -> None:
    learner = build(quick, table)
    told: list[int] = []
    learner.largest_of_ranks = noted(told)
    with first_alone(learner):
        pass
    with pytest.raises(InputError, match="no folder"), first_alone(learner):
        raise InputError("no folder")
    assert told == [0, 1]
    learner.largest_of_ranks = lambda number: 1
    with pytest.raises(PeerError), first_alone(learner):
        pass
