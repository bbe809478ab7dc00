import dataclasses
import math
from typing import Any

import jax
import numpy as np
import pytest

from sdebnn.brax import build_learner
from sdebnn.brax.learning import gradient_noise
from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.runs import TrainConfig

QUICK = TrainConfig(batch_size=12, width=4, steps=2, augment=1, drift_widths=(2,), test_samples=3)
X = np.random.default_rng(0).normal(size=(12, 2)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int32)
TABLE = Dataset("table", "classification", X, Y, X, Y, 2)


@pytest.fixture(autouse=True)
def standard_promotion():
    """Adam of optax raises floats to whole numbers, which the strict lane of these tests refuses."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.mark.parametrize("train_samples", [1, 2])
def test_slices_give_the_gradient_of_the_whole_batch(train_samples: int) -> None:
    """Read off Adam's first moment, which is a tenth of the first gradient."""
    moments: list[dict[str, Any]] = []
    for slices in (1, 3):
        config = dataclasses.replace(QUICK, accumulate=slices, train_samples=train_samples)
        learner = build_learner(config, TABLE)
        values = learner.gradient_step(X.reshape(slices, -1, 2), Y.reshape(slices, -1), 0)
        state = learner.state()
        moments.append({name: array for name, array in state.items() if "/mu/" in name} | {"loss": values["loss"]})
    assert len(moments[0]) > 3
    for name, whole in moments[0].items():
        np.testing.assert_allclose(moments[1][name], whole, rtol=2e-5, atol=2e-7, err_msg=name)


def test_a_batch_that_cannot_be_cut_into_equal_slices_is_refused() -> None:
    with pytest.raises(InputError, match=r"batch of 12 examples cannot be cut into accumulate=5 equal slices"):
        build_learner(dataclasses.replace(QUICK, accumulate=5), TABLE)


@pytest.mark.parametrize("batch_paths", [0, 3])
def test_slices_with_weight_paths_of_their_own_are_refused(batch_paths: int) -> None:
    with pytest.raises(InputError, match=r"slices of it \(accumulate=2\) do not; take accumulate=1, or batch_paths=1"):
        build_learner(dataclasses.replace(QUICK, accumulate=2, batch_paths=batch_paths), TABLE)


def test_predictions_use_the_average_of_the_parameters(check_average) -> None:
    learner = build_learner(dataclasses.replace(QUICK, ema=0.25, learning_rate=0.1, warmup_steps=0), TABLE)
    states = [learner.state()]
    for step in range(4):
        learner.gradient_step(X[None], Y[None], step)
        states.append(learner.state())
    check_average(states)


def test_a_state_of_another_model_is_refused_by_the_array() -> None:
    learner = build_learner(QUICK, TABLE)
    with pytest.raises(InputError, match=r"array 'average/network.*of another model or configuration"):
        learner.load_state(build_learner(dataclasses.replace(QUICK, width=5), TABLE).state())


@pytest.mark.parametrize("schedule", ["cosine", "exponential", "stairs", "constant"])
def test_step_sizes_and_shares_of_the_kl_are_those_of_the_choices(schedule: Any) -> None:
    """Adam's first step changes no parameter by more than the step size, and those whose gradient is not 0 by it."""
    choices: dict[str, Any] = {"epochs": 90, "warmup_steps": 20, "kl_warmup": 30.0, "learning_rate": 0.1}
    config = dataclasses.replace(QUICK, model="meanfield_odenet", schedule=schedule, **choices)
    for step in (0, 7, 20, 50, 89):
        learner = build_learner(config, TABLE)
        before = learner.state()
        values = learner.gradient_step(X[None], Y[None], step)
        after = learner.state()
        changes = [np.abs(after[name] - before[name]).max() for name in before if name.startswith("params/")]
        assert max(changes) == pytest.approx(config.step_size(step, 90), rel=1e-3, abs=1e-6)
        of_kl = float(values["loss"]) - float(values["nll"])
        assert of_kl == pytest.approx(config.kl_share(step, 1.0) * float(values["kl"]) / 12, rel=1e-4, abs=1e-6)


def test_long_gradients_are_cut_to_the_norm_asked_for() -> None:
    norms = []
    for clip in (0.0, 1e-3):
        learner = build_learner(dataclasses.replace(QUICK, clip_norm=clip), TABLE)
        learner.gradient_step(X[None], Y[None], 0)
        moments = [array for name, array in learner.state().items() if "/mu/" in name]
        norms.append(math.sqrt(sum(float(np.sum(array**2)) for array in moments)))
    assert norms[0] > 1e-3
    assert norms[1] == pytest.approx(1e-4, rel=1e-4)


def test_the_signal_to_noise_ratio_is_that_of_the_gradients() -> None:
    rng = np.random.default_rng(0)
    mean, std = rng.normal(size=2000), 3.0

    def ratio(mean: np.ndarray) -> float:
        moments = gradient_noise.init(jax.numpy.zeros(2000))
        for _ in range(300):
            moments = gradient_noise.update(moments, jax.numpy.asarray(mean + std * rng.normal(size=2000), "float32"))
        return float(gradient_noise.signal_to_noise(moments, 300))

    truth = np.linalg.norm(mean) / (std * math.sqrt(2000))
    assert ratio(mean) == pytest.approx(truth, rel=0.05)
    assert ratio(0 * mean) < 0.03
