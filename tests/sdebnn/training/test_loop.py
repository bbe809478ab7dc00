import dataclasses
import itertools
import os
import signal
import time
from collections.abc import Iterator

import numpy as np
import pytest

from sdebnn.data import train_validation_split
from sdebnn.errors import InputError
from sdebnn.runs import MetricsLog, RunFolder, TrainConfig, checkpoint, strict_json
from sdebnn.training import Stopped, checkpointing, fit, loop
from sdebnn.training.task import Task


def at_step(learner, wanted: int, act):
    """The learner, with `act` called before one of its gradient steps."""
    gradient_step = learner.gradient_step

    def step_and_act(x, y, step):
        if step == wanted:
            act()
        return gradient_step(x, y, step)

    learner.gradient_step = step_and_act
    return learner


@pytest.mark.parametrize(("held_out", "total"), [(1 / 3, 16), (0.2, 19)])
def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(
    held_out: float, total: int, tmp_path, table, quick, build, untimed
) -> None:
    """Stopped within an epoch, and later at the end of one; batches of 8 that divide the 16 examples, and that do not
    divide 19.
    """
    config = dataclasses.replace(quick, epochs=8, checkpoint_steps=5, validation=held_out)
    rest, x, y = train_validation_split(table, held_out, 0)
    whole, cut = RunFolder.create(tmp_path / "whole"), RunFolder.create(tmp_path / "cut")
    fitted = fit(build(config, rest), config, rest, whole, validation=(x, y))
    for step in (6, 11):
        learner = at_step(build(config, rest), step, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Stopped, match=rf"stopped at step {step + 1} of {total}.*--resume") as stop:
            fit(learner, config, rest, cut, validation=(x, y))
        assert stop.value.exit_code == 143
    again = fit(build(config, rest), config, rest, cut, validation=(x, y))
    for kind in ("step", "best"):
        first, second = (checkpoint.load(checkpoint.latest(run.checkpoints, kind)) for run in (whole, cut))
        assert first[1]["step"] == second[1]["step"]
        for name, array in first[0].items():
            np.testing.assert_array_equal(array, second[0][name], err_msg=name)
    np.testing.assert_array_equal(fitted.test_outputs, again.test_outputs)
    assert untimed(whole) == untimed(cut)


def test_a_finished_run_taken_up_again_is_only_scored(tmp_path, table, quick, build, untimed) -> None:
    run = RunFolder.create(tmp_path / "run")
    first = fit(build(quick, table), quick, table, run)
    lines = untimed(run)
    again = fit(build(quick, table), quick, table, run)
    assert again.scores == first.scores
    assert again.seconds >= first.seconds > 0
    assert untimed(run) == lines


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Shells let what they start in the background ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_is_130_and_a_second_one_does_not_wait(interruptible, tmp_path, table, quick, build) -> None:
    learner = at_step(build(quick, table), 0, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Stopped) as stop:
        fit(learner, quick, table, RunFolder.create(tmp_path / "once"))
    assert stop.value.exit_code == 130

    def impatient() -> None:
        signal.raise_signal(signal.SIGINT)
        # Two at once would be one.
        deadline = time.monotonic() + 10
        while signal.getsignal(signal.SIGINT) is not signal.default_int_handler and time.monotonic() < deadline:
            time.sleep(0.001)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(at_step(build(quick, table), 0, impatient), quick, table, RunFolder.create(tmp_path / "twice"))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("scoring", [1, 2, 5, 6])
def test_a_signal_while_predictions_are_scored_ends_the_run_at_once(
    scoring, tmp_path, table, quick, build, untimed
) -> None:
    """After the first epoch: on the validation examples, then on the test examples; and after the last."""
    config = dataclasses.replace(quick, epochs=3, validation=1 / 3, evaluate_every=1, checkpoint_steps=100)
    rest, x, y = train_validation_split(table, 1 / 3, 0)
    whole, cut = RunFolder.create(tmp_path / "whole"), RunFolder.create(tmp_path / "cut")
    fitted = fit(build(config, rest), config, rest, whole, validation=(x, y))
    learner, scorings = build(config, rest), 0
    outputs = learner.outputs

    def signalled_outputs(x):
        nonlocal scorings
        scorings += 1
        if scorings == scoring:
            signal.raise_signal(signal.SIGTERM)
            raise AssertionError("the run went on")
        return outputs(x)

    learner.outputs = signalled_outputs
    with pytest.raises(Stopped, match=rf"stopped at step {2 if scoring < 3 else 6} of 6.*--resume") as stop:
        fit(learner, config, rest, cut, validation=(x, y))
    assert stop.value.exit_code == 143
    again = fit(build(config, rest), config, rest, cut, validation=(x, y))
    np.testing.assert_array_equal(fitted.test_outputs, again.test_outputs)
    assert untimed(whole) == untimed(cut)


def test_a_signal_while_several_processes_score_is_agreed_on_after_a_later_step(tmp_path, table, quick, build) -> None:
    """One that ended by itself would leave the others waiting for it."""
    config = dataclasses.replace(quick, epochs=20, evaluate_every=1)
    learner = build(config, table)
    learner.ranks = 2
    agreed, outputs = [], learner.outputs

    def largest(number):
        agreed.append(number)
        return number

    def signalled_outputs(x):
        signal.raise_signal(signal.SIGTERM)
        return outputs(x)

    learner.largest_of_ranks, learner.outputs = largest, signalled_outputs
    with pytest.raises(Stopped, match="stopped at step 10 of 60"):
        fit(learner, config, table, RunFolder.create(tmp_path / "run"))
    assert [number for number in agreed if number] == [signal.SIGTERM]


def test_sigterm_may_come_twice(tmp_path, table, quick, build) -> None:
    def signalled() -> None:
        signal.raise_signal(signal.SIGTERM)
        time.sleep(0.01)
        signal.raise_signal(signal.SIGTERM)

    run = RunFolder.create(tmp_path / "run")
    with pytest.raises(Stopped) as stop:
        fit(at_step(build(quick, table), 0, signalled), quick, table, run)
    assert stop.value.exit_code == 143
    assert len(checkpoint.find(run.checkpoints)) == 1


def test_a_run_that_died_before_its_first_checkpoint_begins_its_log_anew(tmp_path, table, quick, build) -> None:
    expected = RunFolder.create(tmp_path / "whole")
    fit(build(quick, table), quick, table, expected)
    run = RunFolder.create(tmp_path / "died")
    with MetricsLog(run) as log:
        log.write(1, {"loss": 7.0}, split="train")
    # What a crash leaves of a line.
    with run.metrics_file.open("a") as file:
        file.write('{"step": 2, "ti')
    fit(build(quick, table), quick, table, run)
    names = ("step", "split", "loss")
    lines = [[[line.get(name) for name in names] for line in MetricsLog.read(folder)] for folder in (run, expected)]
    assert lines[0] == lines[1]


@pytest.mark.parametrize(("every", "kept"), [(4, [12, 15]), (3, [12, 15])])
def test_only_the_newest_two_checkpoints_stay(every, kept, tmp_path, table, quick, build) -> None:
    config = dataclasses.replace(quick, epochs=5, checkpoint_steps=every)
    run = RunFolder.create(tmp_path / "run")
    fit(build(config, table), config, table, run)
    assert [path.name for path in checkpoint.find(run.checkpoints)] == [f"step-{step:08d}" for step in kept]


def test_short_epochs_write_no_checkpoint_each(tmp_path, table, quick, build, monkeypatch) -> None:
    config = dataclasses.replace(quick, epochs=5)
    for seconds, kept in ((1e9, [15]), (0.0, [12, 15])):
        monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", seconds)
        run = RunFolder.create(tmp_path / str(seconds))
        fit(build(config, table), config, table, run)
        assert [path.name for path in checkpoint.find(run.checkpoints)] == [f"step-{step:08d}" for step in kept]


def test_a_checkpoint_of_other_choices_or_data_is_refused(tmp_path, table, quick, build) -> None:
    run = RunFolder.create(tmp_path / "run")
    Task.of(table).write(run)
    fit(build(quick, table), quick, table, run)
    other = dataclasses.replace(quick, seed=quick.seed + 1)
    with pytest.raises(
        InputError, match=rf"comes of a run with seed={quick.seed}, and config\.json .* seed={other.seed}"
    ):
        fit(build(other, table), other, table, run)
    task = Task.of(table)
    strict_json.write(run.path / "task.json", task._replace(digest=64 * "0")._asdict())
    with pytest.raises(InputError, match="comes of other training data"):
        fit(build(quick, table), quick, table, run)


def test_a_checkpoint_says_of_which_choices_and_how_far_it_is(tmp_path, table, quick, build) -> None:
    run = RunFolder.create(tmp_path / "run")
    fit(build(quick, table), quick, table, run)
    meta = checkpoint.load(checkpoint.latest(run.checkpoints))[1]
    assert TrainConfig.from_json(meta["config"]) == quick
    assert (meta["step"], meta["epoch"]) == (6, 2)


def test_a_loss_that_is_not_finite_ends_the_run_says_where_and_keeps_the_last_good_state(
    tmp_path, table, quick, build
) -> None:
    config = dataclasses.replace(quick, epochs=20, checkpoint_steps=3)
    run = RunFolder.create(tmp_path / "run")
    learner = build(config, table)
    at_step(learner, 12, lambda: setattr(learner, "weights", learner.weights * np.nan))
    with pytest.raises(
        FloatingPointError,
        match=r"at step 13\. The last good state is .*step-00000012\.safetensors.*lower learning_rate",
    ):
        fit(learner, config, table, run)
    state, meta = checkpoint.load(checkpoint.latest(run.checkpoints))
    assert meta["step"] == 12
    assert all(np.isfinite(array).all() for array in state.values())


@pytest.mark.parametrize(
    ("scoring", "says"), [(1, "No good state was saved before;"), (2, "step-00000003.safetensors;")]
)
def test_the_state_whose_outputs_are_not_finite_is_not_called_good(
    scoring: int, says: str, tmp_path, table, quick, build
) -> None:
    config = dataclasses.replace(quick, checkpoint_steps=3)
    learner, scorings = build(config, table), itertools.count(1)
    learner.outputs = lambda x, outputs=learner.outputs: outputs(x) * (np.nan if next(scorings) == scoring else 1)
    with pytest.raises(FloatingPointError, match=f"outputs became NaN or infinite.*{says}"):
        fit(learner, config, table, RunFolder.create(tmp_path / "run"))


def test_the_best_epoch_by_validation_makes_the_predictions(tmp_path, table, quick, build) -> None:
    config = dataclasses.replace(quick, epochs=8, ema=0.0, learning_rate=0.1, validation=1 / 3)
    rest, x, y = train_validation_split(table, 1 / 3, 0)
    run = RunFolder.create(tmp_path / "run")
    learner = build(config, rest)
    at_step(learner, 9, lambda: setattr(learner, "weights", -learner.weights))
    fit(learner, config, rest, run, validation=(x, y))
    nlls = {record["step"]: record["nll"] for record in MetricsLog.read(run) if record["split"] == "validation"}
    (best,) = checkpoint.find(run.checkpoints, "best")
    arrays, meta = checkpoint.load(best)
    assert len(nlls) == 8
    assert (meta["step"], meta["nll"]) == min(nlls.items(), key=lambda item: item[1])
    assert meta["step"] < max(nlls)
    np.testing.assert_array_equal(learner.average, arrays["average/w"])


def test_batches_come_in_the_slices_asked_for(tmp_path, table, quick, build) -> None:
    config = dataclasses.replace(quick, accumulate=4)
    learner = build(config, table)
    shapes = set()
    gradient_step = learner.gradient_step

    def noting(x, y, step):
        shapes.add((x.shape, y.shape))
        return gradient_step(x, y, step)

    learner.gradient_step = noting
    fit(learner, config, table, RunFolder.create(tmp_path / "run"))
    assert shapes == {((4, 2, 2), (4, 2))}


def test_another_number_of_devices_is_said(build, quick, table, tmp_path) -> None:
    run = RunFolder.create(tmp_path / "run")
    learner = build(quick, table)
    checkpointing.save_state(run, quick, learner, checkpointing.Position(3, 1.0, 0), 1)
    assert checkpointing.load_state(run, quick, learner, 6) == (3, 1.0, 0)
    learner.devices = 2
    with pytest.warns(UserWarning, match="was trained on 1 device and goes on with 2"):
        checkpointing.load_state(run, quick, learner, 6)


def test_every_training_example_is_seen_once_a_pass(tmp_path, table, quick, build) -> None:
    """22 examples in batches of 8: the sixth batch ends the second pass with two of the third."""
    config = dataclasses.replace(quick, epochs=2, evaluate_every=0)
    rest = dataclasses.replace(table, x_train=table.x_train[:22], y_train=table.y_train[:22])
    seen: list[tuple[float, ...]] = []
    learner = build(config, rest)
    gradient_step = learner.gradient_step

    def noting(x, y, step):
        seen.extend(map(tuple, x.reshape(-1, 2).tolist()))
        return gradient_step(x, y, step)

    learner.gradient_step = noting
    fit(learner, config, rest, RunFolder.create(tmp_path / "run"))
    rows = set(map(tuple, rest.x_train.tolist()))
    assert len(seen) == 48
    assert [config.epochs_after(step, 22) for step in range(7)] == [0, 0, 0, 1, 1, 1, 2]
    assert set(seen[:22]) == set(seen[22:44]) == rows
