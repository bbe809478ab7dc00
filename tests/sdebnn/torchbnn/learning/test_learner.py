import dataclasses
import os
import signal
import threading
from typing import Any

import jax
import numpy as np
import pytest
import torch
from torch import nn

from sdebnn import brax
from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.runs import RunFolder, TrainConfig, checkpoint
from sdebnn.torchbnn import Categorical, MeanField, bnn_serial, build_learner
from sdebnn.torchbnn.learning.learner import TorchLearner
from sdebnn.torchbnn.learning.model import Model
from sdebnn.training import Stopped, fit

X = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int32)
TABLE = Dataset("table", "classification", X, Y, X[:10], Y[:10], 2)
CONFIG = TrainConfig(
    framework="torch", epochs=40, batch_size=8, width=4, steps=2, augment=1, drift_widths=(2,), test_samples=3,
    evaluate_every=20, learning_rate=2e-2, kl_warmup=4.0, checkpoint_steps=50, clip_norm=5.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    run = RunFolder.create(tmp_path_factory.mktemp("whole") / "run")
    return run, fit(build_learner(CONFIG, TABLE), CONFIG, TABLE, run)


def newest(run: RunFolder) -> dict[str, np.ndarray]:
    return checkpoint.load(checkpoint.latest(run.checkpoints))[0]


def test_training_learns(whole) -> None:
    assert whole[1].scores["accuracy"] >= 0.9


def test_a_run_that_was_stopped_ends_with_the_same_bits(whole, tmp_path, monkeypatch) -> None:
    run = RunFolder.create(tmp_path / "run")
    learner = build_learner(CONFIG, TABLE)
    gradient_step = learner.gradient_step

    def interrupted(x, y, step):
        if step == 7:
            os.kill(os.getpid(), signal.SIGTERM)
        return gradient_step(x, y, step)

    monkeypatch.setattr(learner, "gradient_step", interrupted)
    with pytest.raises(Stopped, match="step 8 of 150"):
        fit(learner, CONFIG, TABLE, run)
    again = fit(build_learner(CONFIG, TABLE), CONFIG, TABLE, run)
    first, second = newest(whole[0]), newest(run)
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)
    np.testing.assert_array_equal(whole[1].test_outputs, again.test_outputs)


def test_jax_makes_predictions_with_what_pytorch_has_learned_and_the_other_way_round(whole) -> None:
    """Without noise both compute the same function."""
    still = dataclasses.replace(CONFIG, noisy_until=0.0)
    average = {name: array for name, array in newest(whole[0]).items() if name.startswith("average/")}
    learners = [build(still, TABLE) for build in (build_learner, brax.build_learner)]
    for learner in learners:
        learner.load_average(average)
    outputs = [learner.outputs(X) for learner in learners]
    np.testing.assert_allclose(outputs[0], outputs[1], rtol=1e-4, atol=1e-5)
    with jax.numpy_dtype_promotion("standard"):
        learners[1].gradient_step(X[None, :8], Y[None, :8], 0)
    learners[0].load_average({n: a for n, a in learners[1].state().items() if n.startswith("average/")})
    np.testing.assert_allclose(learners[0].outputs(X), learners[1].outputs(X), rtol=1e-4, atol=1e-5)


def test_predictions_use_the_average_of_the_parameters(check_average) -> None:
    learner = build_learner(dataclasses.replace(CONFIG, ema=0.25, learning_rate=0.1, warmup_steps=0), TABLE)
    states = [learner.state()]
    for step in range(4):
        learner.gradient_step(X[None, :8], Y[None, :8], step)
        states.append(learner.state())
    check_average(states)


@pytest.mark.parametrize("train_samples", [1, 2])
def test_slices_give_the_gradient_of_the_whole_batch(train_samples: int) -> None:
    moments: list[dict[str, Any]] = []
    for slices in (1, 3):
        config = dataclasses.replace(
            CONFIG, batch_size=12, accumulate=slices, train_samples=train_samples, kl_warmup=0.0
        )
        learner = build_learner(config, TABLE)
        values = learner.gradient_step(X[:12].reshape(slices, -1, 2), Y[:12].reshape(slices, -1), 0)
        state = learner.state()
        moments.append({name: array for name, array in state.items() if "exp_avg/" in name} | {"loss": values["loss"]})
    for name, array in moments[0].items():
        np.testing.assert_allclose(moments[1][name], array, rtol=2e-5, atol=2e-7, err_msg=name)


def test_a_gradient_that_is_not_finite_is_dated() -> None:
    learner = build_learner(CONFIG, TABLE)
    for step in range(3):
        learner.gradient_step(X[None, :8] * np.float32(np.nan if step == 1 else 1), Y[None, :8], step)
    assert learner.first_bad() == 2


def test_evaluations_are_those_of_every_block_wherever_it_is() -> None:
    for model, method, evaluations in (("meanfield_odenet", "midpoint", 8), ("hyperodenet", "euler", 4)):
        choices: dict[str, Any] = {"model": model, "method": method}
        config = dataclasses.replace(CONFIG, blocks=(2,), **choices)
        assert build_learner(config, TABLE).gradient_step(X[None, :8], Y[None, :8], 0)["evaluations"] == evaluations


def test_adaptive_steps_train_and_their_evaluations_are_logged() -> None:
    counts = []
    for tolerance in (1e-1, 1e-4):
        config = dataclasses.replace(CONFIG, method="midpoint", rtol=tolerance, atol=tolerance, sigma=1.0)
        counts.append(build_learner(config, TABLE).gradient_step(X[None, :8], Y[None, :8], 30)["evaluations"])
    fixed = build_learner(dataclasses.replace(CONFIG, method="midpoint"), TABLE)
    assert fixed.gradient_step(X[None, :8], Y[None, :8], 30)["evaluations"] == 4
    assert 4 < counts[0] < counts[1]


def test_choices_that_do_not_fit_are_refused() -> None:
    for choices, says in (
        ({"snr": 1}, "not offered in PyTorch"),
        ({"batch_paths": 3}, "does not divide"),
        ({"batch_paths": 2, "accumulate": 2}, "take accumulate=1, or batch_paths=1"),
        ({"likelihood": "laplace"}, "they take categorical"),
        ({"augmentation": "crop"}, "it takes images"),
        ({"width": 5}, None),
    ):
        config = dataclasses.replace(CONFIG, **choices)
        if says is None:
            with pytest.raises(InputError, match="of another model"):
                build_learner(config, TABLE).load_state(build_learner(CONFIG, TABLE).state())
        else:
            with pytest.raises(InputError, match=says):
                build_learner(config, TABLE)


def test_weight_paths_start_where_the_weights_do() -> None:
    drawn = build_learner(CONFIG, TABLE).weight_paths(np.linspace(0.0, 1.0, 11), 3, 4)
    assert drawn is not None
    assert drawn.prior is not None
    assert drawn.paths.shape == (3, 11, 4)
    np.testing.assert_allclose(drawn.paths[:, 0], np.broadcast_to(drawn.prior[0][0], (3, 4)), rtol=1e-5)
    assert (drawn.prior[1][0] == 0).all()
    assert drawn.paths[:, 1:].std(axis=0).min() > 0


def test_balanced_weights_reach_the_loss() -> None:
    """Three in four of class 0: the first loss is the plain one of a batch with as much of each class."""
    x = np.zeros((8, 2), np.float32)
    y = np.array([0, 0, 0, 1] * 2, np.int32)
    dataset = Dataset("table", "classification", x, y, x, y, 2)
    balanced = build_learner(dataclasses.replace(CONFIG, class_weight="balanced"), dataset)
    plain = build_learner(CONFIG, dataset)
    even = np.array([0, 1] * 4, np.int32)
    found = balanced.gradient_step(x[None], y[None], 0), plain.gradient_step(x[None], even[None], 0)
    assert float(found[0]["nll"]) == pytest.approx(float(found[1]["nll"]), rel=1e-5)


def of_own(*layers: nn.Module, likelihood: Any = None) -> TorchLearner:
    torch.manual_seed(0)
    model = Model(bnn_serial(*layers, MeanField(nn.Linear(3, 2))), likelihood or Categorical(2))
    return TorchLearner(CONFIG, model, model, len(X))


def test_predictions_of_an_own_network_are_without_dropout_and_do_not_depend_on_what_is_beside() -> None:
    learner = of_own(nn.Linear(2, 3), nn.Dropout(0.5))
    learner.gradient_step(X[None, :8], Y[None, :8], 0)
    outputs = learner.outputs(X)
    np.testing.assert_allclose(learner.outputs(X[::-1])[:, ::-1], outputs, rtol=1e-5, atol=1e-6)
    assert learner.model.network.training


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (nn.BatchNorm1d(3), "neither predictions nor checkpoints have: take nn.GroupNorm"),
        (nn.utils.parametrizations.spectral_norm(nn.Linear(3, 3)), "neither predictions nor checkpoints have"),
        (nn.LazyLinear(3), "lazy module that was never called"),
    ],
)
def test_a_network_whose_state_would_be_lost_is_refused(layer: nn.Module, says: str) -> None:
    with pytest.raises(InputError, match=says):
        of_own(nn.Linear(2, 3), layer)


def test_draws_of_a_likelihood_without_a_generator_leave_what_all_threads_share() -> None:
    beside = []

    class Observed(Categorical):
        def sample(self, params: Any, outputs: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
            thread = threading.Thread(target=lambda: beside.append(torch.rand(())))
            thread.start()
            thread.join()
            return (
                torch.distributions.Categorical(logits=outputs).sample() + 0 * torch.poisson(outputs.exp(), rng)[:, 0]
            )

    learner = of_own(nn.Linear(2, 3), likelihood=Observed(2))
    outputs = learner.outputs(X)
    torch.manual_seed(7)
    expected = torch.rand(2 * len(outputs))
    torch.manual_seed(7)
    first, second = (learner.of_likelihood("sample", outputs) for _ in range(2))
    assert torch.equal(torch.stack(beside), expected)
    np.testing.assert_array_equal(first, second)
