"""SWAG: moments of the weights' way in closed form, draws with their law, runs that resume to the bit."""

import dataclasses
import pickle
import threading
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import sdebnn
from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.frameworks import build_learner
from sdebnn.runs import TrainConfig
from sdebnn.training import Posterior, start_run
from sdebnn.training.building import built
from sdebnn.training.comparison import compare
from sdebnn.training.swag import RANK, Swag
from sdebnn.training.task import Task

DRAWN = True
X = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
Y = (X[:, :1] ** 2).astype(np.float32)
DATA = Dataset("squares", "regression", X, Y, X, Y, None)
SMALL: dict[str, Any] = {
    "model": "swag_odenet", "schedule": "constant", "width": 4, "steps": 2, "augment": 1, "batch_size": 20,
    "test_samples": 3, "learning_rate": 0.01,
}  # fmt: skip


@pytest.fixture(autouse=True)
def standard_promotion():
    """Adam of optax raises floats to whole numbers, which the strict lane of these tests refuses."""
    with jax.numpy_dtype_promotion("standard"):
        yield


class Wanderer:
    """A learner of two weights that go a known way, whose outputs are the weights."""

    ranks = 1

    def __init__(self, way: np.ndarray) -> None:
        self.way, self.at, self.average = way.astype(np.float32), -1, np.zeros(2, np.float32)

    def gradient_step(self, x, y, step):
        self.at = step
        return {}

    def state(self):
        return {"params/w": self.way[self.at].copy(), "average/w": self.average.copy(), "moments": np.zeros(1)}

    def load_average(self, average):
        (name,) = average
        assert name == "average/w"
        self.average = average[name]

    def outputs(self, x):
        return self.average[None, None]


def wandering(steps: int, samples: int = 1) -> tuple[Swag, np.ndarray]:
    way = np.random.default_rng(1).normal([3, -1], [0.5, 2], (steps, 2))
    config = TrainConfig(**SMALL | {"test_samples": samples, "epochs": steps // 2})
    swag = Swag(Wanderer(way), config, DATA)  # type: ignore[arg-type]
    for step in range(steps):
        swag.gradient_step(None, None, step)
    return swag, way


def test_moments_are_those_of_the_second_half_of_the_way(unchecked) -> None:
    swag, way = wandering(400)
    looked_at = way[200:][4::5]
    state = swag.state()
    assert state["average/swag/looks"] == len(looked_at) == 40
    np.testing.assert_allclose(state["average/swag/mean/w"], looked_at.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(state["average/swag/square/w"], (looked_at**2).mean(axis=0), rtol=1e-5)
    # Each from the mean of those before it, as they come.
    before = np.cumsum(looked_at, axis=0) / np.arange(1, 41)[:, None]
    np.testing.assert_allclose(state["average/swag/deviations/w"], (looked_at - before)[-RANK:], atol=1e-5)


def test_draws_have_the_covariance_of_low_rank_plus_diagonal(unchecked) -> None:
    swag, _ = wandering(400, samples=20_000)
    state = swag.state()
    mean, square, deviations = (state[f"average/swag/{part}/w"] for part in ("mean", "square", "deviations"))
    drawn = swag.outputs(X)[:, 0]
    covariance = np.diag(square - mean**2) / 2 + deviations.T @ deviations / (2 * (RANK - 1))
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=4 * np.sqrt(np.diag(covariance).max() / 20_000))
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.04 * covariance.max())
    assert (swag.state()["average/w"] == 0).all(), "what the learner had is put back"


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_a_run_predicts_with_samples_that_differ_and_is_read_back(framework: Any, tmp_path: Path) -> None:
    config = TrainConfig(**SMALL, framework=framework, epochs=30, members=2)
    run = start_run(build_learner, config, tmp_path / "run", dataset=DATA)
    outputs = run.learner.outputs(X)
    assert outputs.shape == (6, 40, 1)
    assert (outputs.std(axis=0) > 1e-4).all()
    (kind,) = compare([tmp_path / "run"])
    plain = built(build_learner, dataclasses.replace(config, model="odenet", members=1), DATA).state()
    assert kind.parameters == 2 * sum(array.size for name, array in plain.items() if name.startswith("average/"))
    loaded = sdebnn.load(tmp_path / "run")
    np.testing.assert_allclose(loaded.outputs(X), outputs, rtol=1e-6, atol=1e-6)
    other = sdebnn.load(tmp_path / "run", framework="torch" if framework == "jax" else "jax")
    np.testing.assert_allclose(other.outputs(X), outputs, rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="none can be drawn alone"):
        loaded.draw(0)


def test_what_is_pickled_while_it_predicts_has_the_average(monkeypatch) -> None:
    config = TrainConfig(**SMALL, framework="torch", epochs=20)
    learner = built(build_learner, config, DATA)
    for step in range(40):
        learner.gradient_step(X[None, :20], Y[None, :20], step)
    posterior = Posterior(config, Task.of(DATA), learner, build=build_learner)
    expected = pickle.dumps(posterior)
    inner, seen = learner.outputs, threading.Event()

    def slowly(x):
        seen.set()
        return np.concatenate([inner(x) for _ in range(5)])[: config.test_samples]

    monkeypatch.setattr(learner, "outputs", slowly)
    thread = threading.Thread(target=lambda: posterior.outputs(X))
    thread.start()
    seen.wait()
    found = [pickle.dumps(posterior) for _ in range(3)]
    thread.join()
    assert all(one == expected for one in found)


def test_a_state_goes_on_to_the_bit() -> None:
    config = TrainConfig(**SMALL, framework="torch", epochs=20)
    whole, first, second = (built(build_learner, config, DATA) for _ in range(3))
    batches = np.random.default_rng(2).integers(0, 40, (40, 1, 20))
    for step, rows in enumerate(batches):
        whole.gradient_step(X[rows], Y[rows], step)
        if step < 27:
            first.gradient_step(X[rows], Y[rows], step)
    second.load_state(first.state())
    for step in range(27, 40):
        second.gradient_step(X[batches[step]], Y[batches[step]], step)
    expected, found = whole.state(), second.state()
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    assert expected["average/swag/looks"] == 20


def test_before_there_is_a_gaussian_it_says_so() -> None:
    learner = built(build_learner, TrainConfig(**SMALL, framework="torch"), DATA)
    with pytest.warns(UserWarning, match="no Gaussian yet and all posterior samples are alike"):
        outputs = learner.outputs(X)
    assert (outputs == outputs[:1]).all()


def test_parameters_of_another_model_and_other_schedules_are_refused() -> None:
    config = TrainConfig(**SMALL, framework="torch")
    swag = built(build_learner, config, DATA)
    plain = built(build_learner, dataclasses.replace(config, model="odenet"), DATA)
    with pytest.raises(InputError, match="not those of a run of SWAG of this network"):
        swag.load_state(plain.state())
    with pytest.raises(InputError, match="fits its Gaussian to steps of one size, which schedule='cosine' changes"):
        built(build_learner, dataclasses.replace(config, schedule="cosine"), DATA)
    with pytest.raises(
        InputError, match=r"validation=0\.2 would keep the parameters of a step before; take validation=0"
    ):
        built(build_learner, dataclasses.replace(config, validation=0.2), DATA)
    assert TrainConfig.for_data("digits", model="swag_odenet").schedule == "constant"
    assert TrainConfig.for_table(model="swag_odenet").schedule == "constant"
