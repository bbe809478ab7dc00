"""What one run has compiled, the next like it does not compile again."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import PRNGKeyArray

from sdebnn.brax import BayesianLayer, JaxLearner, build_learner, devices
from sdebnn.brax.learning.committee import gather
from sdebnn.brax.learning.model import build_model
from sdebnn.data import Dataset
from sdebnn.runs import TrainConfig
from sdebnn.training import prediction_file, restore, start_run
from sdebnn.training.committee import STEPS, Examples, train_committee

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int32)
TABLE = Dataset("table", "classification", X, Y, X[:9], Y[:9], 2)
CONFIG = TrainConfig(max_steps=2, batch_size=8, width=4, steps=2, augment=1, drift_widths=(2,), test_samples=2)

compilations: list[str] = []
jax.monitoring.register_event_duration_secs_listener(lambda event, duration_secs, **_: compilations.append(event))


@pytest.fixture(autouse=True)
def standard_promotion() -> Iterator[None]:
    """Adam of optax raises floats to whole numbers, which the strict lane of these tests refuses."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def compiled() -> int:
    """Programs compiled since it was asked last."""
    number = sum(name.endswith("backend_compile_duration") for name in compilations)
    compilations.clear()
    return number


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "first"
    with jax.numpy_dtype_promotion("standard"):
        start_run(build_learner, CONFIG, folder, dataset=TABLE)
    return folder


def test_another_seed_compiles_nothing_and_has_numbers_of_its_own(run: Path, tmp_path: Path) -> None:
    other = dataclasses.replace(CONFIG, seed=1, checkpoint_steps=1)
    compiled()
    second = start_run(build_learner, other, tmp_path / "second", dataset=TABLE)
    shared = compiled()
    # What the picture of weight paths compiles depends on it alone.
    assert shared <= 1
    alone = JaxLearner(other, build_model(other, TABLE), 40, devices.make_mesh())
    assert alone._step is not second.learner._step
    first = build_learner(CONFIG, TABLE)
    assert first._step is second.learner._step
    x, y = X[None, :8], Y[None, :8]
    losses = [float(learner.gradient_step(x, y, 0)["loss"]) for learner in (alone, build_learner(other, TABLE), first)]
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


def test_what_changes_the_step_is_compiled_anew() -> None:
    one = build_learner(CONFIG, TABLE)
    for changes in ({"kl_coef": 0.5}, {"clip_norm": 1.0}, {"train_samples": 2}):
        assert build_learner(dataclasses.replace(CONFIG, **changes), TABLE)._step is not one._step
    for changes in ({"width": 5}, {"sigma": 0.3}, {"test_samples": 3}, {"test_steps": 3}):
        assert build_learner(dataclasses.replace(CONFIG, **changes), TABLE)._sampler is not one._sampler


def test_schedules_are_numbers_that_the_step_is_handed() -> None:
    one = build_learner(CONFIG, TABLE)
    for changes in (
        {"learning_rate": 0.1},
        {"schedule": "stairs"},
        {"warmup_steps": 0},
        {"max_steps": 3},
        {"epochs": 1},
    ):
        assert build_learner(dataclasses.replace(CONFIG, **changes), TABLE)._step is one._step


def test_batches_of_other_sizes_compile_a_few_times(run: Path) -> None:
    restored = restore(build_learner, run, dataset=TABLE)
    whole = restored.outputs(X[:8])
    compiled()
    for n in range(1, 8):
        np.testing.assert_allclose(restored.outputs(X[:n]), whole[:, :n], atol=1e-6)
    assert compiled() == 0
    for n in range(9, 41):
        assert restored.outputs(X[:n]).shape == (2, n, 2)
    # Of 16, 32 and 64 examples.
    assert compiled() <= 3


def test_a_second_prediction_compiles_nothing(run: Path) -> None:
    expected = prediction_file.predict(build_learner, run, X[:5])
    compiled()
    found = prediction_file.predict(build_learner, run, X[:5])
    restore(build_learner, run, dataset=TABLE).outputs(X[:5])
    assert compiled() == 0
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


def test_fits_of_one_shape_share_their_programs() -> None:
    def fit(steps: int = 2, **others: Any) -> None:
        config = dataclasses.replace(CONFIG, likelihood="categorical", **others)
        assert isinstance(config.sigma, float)
        candidates = [dataclasses.replace(config, sigma=config.sigma * factor) for factor in (1, 2)]
        train_committee(
            gather, candidates, Examples(X, Y, np.ones(40, np.float32)), 2, members=2, steps=steps * STEPS,
            patience=9, held_out=0.5, falls=(0.5,),
        )  # fmt: skip

    compiled()
    fit()
    # Those that make keys, begin, take steps, judge and keep.
    assert compiled() == 5
    fit(seed=1, learning_rate=0.1, kl_coef=0.5, clip_norm=1.0, sigma=0.7)
    assert compiled() == 0
    # Of the last of these stretches the steps are half as long, and begin at the best parameters.
    fit(steps=4)
    assert compiled() == 0


def test_the_second_gradient_step_compiles_nothing() -> None:
    learner = build_learner(CONFIG, TABLE)
    x, y = X[None, :8], Y[None, :8]
    learner.gradient_step(x, y, 0)
    compiled()
    learner.gradient_step(x, y, 1)
    assert compiled() == 0


def test_a_start_that_cannot_be_traced_is_drawn() -> None:
    """By numpy, of the key's numbers, as a user's own layer may."""
    model = build_model(CONFIG, TABLE)

    def init(rng: PRNGKeyArray, shape: tuple[int, ...]) -> tuple[Any, Any]:
        output_shape, params = model.network.init(rng, shape)
        scale = np.random.default_rng(np.asarray(jax.random.key_data(rng))).uniform(0.5, 1)
        return output_shape, jax.tree.map(lambda leaf: leaf * jnp.float32(scale), params)

    own = model._replace(network=BayesianLayer(init, model.network.apply))
    learner = JaxLearner(CONFIG, own, 40, devices.make_mesh())
    assert learner.outputs(X).shape == (2, 40, 2)
    learner.load_average({name: array for name, array in learner.state().items() if name.startswith("average/")})


def test_predictions_need_no_start_of_training() -> None:
    trained, loaded = build_learner(CONFIG, TABLE), build_learner(CONFIG, TABLE)
    trained.gradient_step(X[None, :8], Y[None, :8], 0)
    average = {name: array for name, array in trained.state().items() if name.startswith("average/")}
    loaded.load_average(average)
    np.testing.assert_array_equal(loaded.outputs(X), trained.outputs(X))
    assert "_state" not in vars(loaded)
    for name, array in average.items():
        np.testing.assert_array_equal(loaded.state()[name], array)
