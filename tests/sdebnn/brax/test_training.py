"""A whole run in JAX: that it learns, what it logs, and that it may be interrupted."""

import os
import signal

import jax
import numpy as np
import pytest

from sdebnn.brax import build_learner
from sdebnn.data import Dataset
from sdebnn.runs import MetricsLog, RunFolder, TrainConfig, checkpoint
from sdebnn.training import Fitted, Stopped, fit

X = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int32)
TABLE = Dataset("table", "classification", X, Y, X[:10], Y[:10], 2)
CONFIG = TrainConfig(
    epochs=40, batch_size=8, width=4, steps=2, augment=1, drift_widths=(2,), test_samples=3, evaluate_every=10,
    learning_rate=2e-2, kl_warmup=4.0, snr=True, checkpoint_steps=50,
)  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def standard_promotion():
    """Adam of optax raises floats to whole numbers, which the strict lane of these tests refuses."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[RunFolder, Fitted]:
    run = RunFolder.create(tmp_path_factory.mktemp("whole") / "run")
    return run, fit(build_learner(CONFIG, TABLE), CONFIG, TABLE, run)


def test_training_learns_logs_and_averages(whole) -> None:
    run, fitted = whole
    records = MetricsLog.read(run)
    losses = [record["loss"] for record in records if record["split"] == "train"]
    tests = [record for record in records if record["split"] == "test"]
    assert np.mean(losses[-3:]) < 0.6 * losses[0]
    assert fitted.scores["accuracy"] >= 0.9
    assert [record["step"] for record in tests] == [38, 75, 113, 150]
    assert tests[-1]["accuracy"] == fitted.scores["accuracy"]


def test_tensorboard_shows_the_numbers_of_the_log(whole) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    pytest.importorskip("tensorboardX")
    run, _ = whole
    board = accumulator.EventAccumulator(str(run.tensorboard), size_guidance={"scalars": 0})
    board.Reload()
    train = ("loss", "nll", "kl", "accuracy", "gradient_norm", "gradient_snr")
    system = ("examples_per_second", "memory_mib", "devices")
    shown = {f"train/{name}" for name in train} | {"test/ece"} | {f"system/{name}" for name in system}
    assert shown <= set(board.Tags()["scalars"])
    for record in MetricsLog.read(run):
        for name, value in record.items():
            if name not in ("step", "time", "split"):
                events = {event.step: event.value for event in board.Scalars(f"{record['split']}/{name}")}
                np.testing.assert_allclose(events[record["step"]], value, rtol=1e-6)


def test_a_run_that_was_stopped_ends_with_the_same_bits(whole, tmp_path, monkeypatch) -> None:
    """Stopped within an epoch, with the step size, the KL and the order of batches in full swing."""
    run = RunFolder.create(tmp_path / "run")
    learner = build_learner(CONFIG, TABLE)
    gradient_step = learner.gradient_step

    def interrupted(x, y, step):
        if step == 7:
            os.kill(os.getpid(), signal.SIGTERM)
        return gradient_step(x, y, step)

    monkeypatch.setattr(learner, "gradient_step", interrupted)
    with pytest.raises(Stopped, match=r"step 8 of 150"):
        fit(learner, CONFIG, TABLE, run)
    again = fit(build_learner(CONFIG, TABLE), CONFIG, TABLE, run)
    first, second = (checkpoint.load(checkpoint.latest(folder.checkpoints))[0] for folder in (whole[0], run))
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)
    np.testing.assert_array_equal(whole[1].test_outputs, again.test_outputs)


def test_a_gradient_that_is_not_finite_is_dated(tmp_path) -> None:
    learner = build_learner(CONFIG, TABLE)
    for step in range(3):
        x = X[None, :8] * np.float32(np.nan if step == 1 else 1)
        learner.gradient_step(x, Y[None, :8], step)
    assert learner.first_bad() == 2
