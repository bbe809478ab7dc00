"""What callbacks are told, and that one of them can end a run."""

import dataclasses
import itertools
import signal
from typing import Any

import numpy as np
import pytest

from sdebnn.data import train_validation_split
from sdebnn.errors import InputError
from sdebnn.runs import MetricsLog, RunFolder, checkpoint
from sdebnn.training import Callback, Stopped, fit, loop, resume_run, start_run
from sdebnn.training.callbacks import check_callbacks


class Noting(Callback):
    """Notes all that it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, int]] = []
        self.lines: list[dict[str, Any]] = []

    def on_start(self, training) -> None:
        self.told.append(("start", training.step))

    def on_metrics(self, training, split, values) -> None:
        self.told.append((split, training.step))
        self.lines.append({"step": training.step, "split": split, **values})

    def on_checkpoint(self, training, path) -> None:
        assert checkpoint.load(path)[1]["step"] == training.step
        self.told.append((path.name.split("-")[0], training.step))

    def on_end(self, training, error) -> None:
        self.told.append((type(error), training.step))


class StopAt(Callback):
    """Asks to stop when a line of one part of the data is logged at a step or later."""

    def __init__(self, step: int, split: str) -> None:
        self.step, self.split = step, split

    def on_metrics(self, training, split, values) -> None:
        if split == self.split and training.step >= self.step:
            training.ask_to_stop()


@pytest.fixture
def held_out(quick, table):
    """Choices, data and validation examples: two gradient steps an epoch."""
    rest, *validation = train_validation_split(table, 1 / 3, 0)
    return dataclasses.replace(quick, epochs=6, validation=1 / 3, checkpoint_steps=2), rest, tuple(validation)


def test_they_are_told_of_the_start_every_line_every_checkpoint_and_the_end(
    tmp_path, table, quick, build, untimed
) -> None:
    run, first, second = RunFolder.create(tmp_path / "run"), Noting(), Noting()
    config = dataclasses.replace(quick, checkpoint_steps=2)
    fit(build(config, table), config, table, run, callbacks=[first, second])
    assert first.told == second.told
    expected = [("start", 0), ("step", 2), ("test", 3), ("step", 4), ("train", 6), ("system", 6), ("step", 6)]
    assert first.told == [*expected, ("test", 6), (type(None), 6)]
    assert [line for line in first.lines if line["split"] != "system"] == untimed(run)


def test_the_best_checkpoint_is_told_of_too(tmp_path, build, held_out) -> None:
    config, rest, validation = held_out
    noting = Noting()
    fit(
        build(config, rest), config, rest, RunFolder.create(tmp_path / "run"), validation=validation, callbacks=[noting]
    )
    order = [name for name, step in noting.told if step == 2]
    assert order == ["step", "validation", "best", "test"]


def test_an_error_reaches_them_and_theirs_ends_the_run(tmp_path, table, quick, build) -> None:
    class Failing(Callback):
        def on_metrics(self, training, split, values) -> None:
            raise ConnectionError("no server")

    noting = Noting()
    with pytest.raises(ConnectionError, match="no server"):
        fit(build(quick, table), quick, table, RunFolder.create(tmp_path / "run"), callbacks=[noting, Failing()])
    assert noting.told[-1] == (ConnectionError, 3)

    learner, noting = build(quick, table), Noting()

    def signalled(x, y, step):
        signal.raise_signal(signal.SIGTERM)
        return {"loss": 0.0}

    learner.gradient_step = signalled
    with pytest.raises(Stopped):
        fit(learner, quick, table, RunFolder.create(tmp_path / "stopped"), callbacks=[noting])
    assert noting.told[-2:] == [("step", 1), (Stopped, 1)]


@pytest.mark.parametrize(("split", "at", "ends"), [("train", 10, 10), ("validation", 3, 4), ("test", 3, 4)])
def test_one_may_ask_to_stop_after_which_the_run_ends_as_if_it_were_over(
    split, at, ends, tmp_path, build, held_out
) -> None:
    config, rest, validation = held_out
    run = RunFolder.create(tmp_path / "run")
    learner = build(config, rest)
    fitted = fit(learner, config, rest, run, validation=validation, callbacks=[StopAt(at, split)])
    assert checkpoint.load(checkpoint.latest(run.checkpoints))[1]["step"] == ends
    best = checkpoint.load(checkpoint.latest(run.checkpoints, "best"))[0]
    np.testing.assert_array_equal(learner.average, best["average/w"])
    *_, last = MetricsLog.read(run)
    assert (last["step"], last["split"], last["nll"]) == (ends, "test", fitted.scores["nll"])


@pytest.mark.parametrize("checkpoint_steps", [2, 0])
def test_a_run_that_was_asked_to_stop_ends_when_resumed_as_if_it_had_not_been(
    tmp_path, build, held_out, untimed, checkpoint_steps
) -> None:
    config, rest, validation = held_out
    config = dataclasses.replace(config, checkpoint_steps=checkpoint_steps)
    whole, cut = RunFolder.create(tmp_path / "whole"), RunFolder.create(tmp_path / "cut")
    expected = fit(build(config, rest), config, rest, whole, validation=validation)
    fit(build(config, rest), config, rest, cut, validation=validation, callbacks=[StopAt(4, "validation")])
    noting = Noting()
    again = fit(build(config, rest), config, rest, cut, validation=validation, callbacks=[noting])
    assert noting.told[0] == ("start", 4)
    np.testing.assert_array_equal(again.test_outputs, expected.test_outputs)
    assert untimed(cut) == untimed(whole)


def test_what_is_no_callback_is_refused_and_signals_are_the_callers_at_the_end(tmp_path, table, quick, build) -> None:
    for given in (Noting(), [Noting], [print]):
        with pytest.raises(InputError, match="it takes a list of objects whose class inherits"):
            check_callbacks(given)

    class Ending(Callback):
        def on_end(self, training, error) -> None:
            self.handler = signal.getsignal(signal.SIGTERM)

    ending, before = Ending(), signal.getsignal(signal.SIGTERM)
    fit(build(quick, table), quick, table, RunFolder.create(tmp_path / "run"), callbacks=[ending])
    assert ending.handler == before


def test_the_first_of_several_processes_has_them_and_all_end_together(tmp_path, table, quick, build) -> None:
    config = dataclasses.replace(quick, epochs=20)
    for rank, expected in ((0, 10), (1, 60)):
        learner, noting = build(config, table), Noting()
        learner.rank, learner.ranks = rank, 2
        run = RunFolder.create(tmp_path / str(rank))
        fit(learner, config, table, run, callbacks=[noting, StopAt(3, "test")])
        assert [step for name, step in noting.told if name is type(None)] == ([10] if rank == 0 else [])
        assert learner.steps == expected

    learner, agreed = build(config, table), itertools.count(1)
    learner.rank, learner.ranks = 1, 2
    # The first asks once ten steps are taken.
    learner.largest_of_ranks = lambda number: int(next(agreed) == 4)
    fit(learner, config, table, RunFolder.create(tmp_path / "follows"))
    assert learner.steps == 10


def test_start_run_and_resume_run_take_them(tmp_path, table, quick, build) -> None:
    noting = Noting()
    config = dataclasses.replace(quick, checkpoint_steps=2)
    start_run(build, config, tmp_path / "run", dataset=table, callbacks=[noting])
    assert noting.told[0] == ("start", 0)
    noting = Noting()
    resume_run(build, tmp_path / "run", dataset=table, callbacks=[noting])
    assert noting.told == [("start", 6), ("test", 6), (type(None), 6)]


def test_scoring_is_not_counted_as_training_and_all_steps_are(tmp_path, table, quick, build, monkeypatch) -> None:
    """A step takes a second of this clock, and scoring a thousand."""
    now = [0.0]
    monkeypatch.setattr(loop.time, "perf_counter", lambda: now[0])
    learner = build(quick, table)

    def lasting(method, seconds: float):
        def call(*arguments):
            now[0] += seconds
            return method(*arguments)

        return call

    learner.gradient_step = lasting(learner.gradient_step, 1.0)
    learner.outputs = lasting(learner.outputs, 1000.0)
    assert fit(learner, quick, table, RunFolder.create(tmp_path / "run")).seconds == 6.0
