"""NUTS: posteriors in closed form, chains that go on to the bit, and what is refused before they begin."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import sdebnn
from sdebnn import extras
from sdebnn.brax import Gaussian, Model, bnn_serial, devices, diffeq_layers
from sdebnn.brax.learning.nuts_learner import MOST, NOISE, NutsLearner
from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.frameworks import build_learner
from sdebnn.runs import TrainConfig
from sdebnn.training import start_run
from sdebnn.training.building import built
from sdebnn.training.comparison import compare
from sdebnn.training.equal_time import refuse_no_equal_time

X = np.random.default_rng(0).normal(size=(12, 2)).astype(np.float32)
Y = (X @ [[1.0], [-0.5]] + np.random.default_rng(1).normal(0.3, 0.3, (12, 1))).astype(np.float32)
DATA = Dataset("plane", "regression", X, Y, X, Y, None)
SMALL: dict[str, Any] = {
    "model": "nuts_odenet", "width": 2, "steps": 1, "augment": 0, "chains": 2, "max_steps": 6, "test_samples": 5,
}  # fmt: skip


@pytest.fixture(autouse=True)
def standard_promotion():
    """blackjax raises floats to whole numbers, which the strict lane of these tests refuses."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def test_a_linear_model_has_the_posterior_of_its_integrals() -> None:
    """Of weights in closed form given the noise, whose logarithm is integrated over on a grid."""
    pytest.importorskip("blackjax")
    draws, prior_std = 250, 0.2
    choices = {"max_steps": draws, "chains": 4, "test_samples": 4 * draws, "prior_std": prior_std, "epochs": draws}
    network = bnn_serial(diffeq_layers.dense("ignore", 1))
    model = Model(network, network, Gaussian(1), (2,))
    learner = NutsLearner(TrainConfig(**SMALL | choices), model, DATA, devices.make_mesh())
    for step in range(draws):
        learner.gradient_step(X[None], Y[None], step)
    effective = learner.after_training()["effective"]
    assert effective > 200

    features, y, logs = np.c_[np.ones(12), X], Y[:, 0], np.linspace(-6, 2, 800)
    density, means, seconds = [], [], []
    for log_std in logs:
        variance = np.exp(2 * log_std)
        of_targets = variance * np.eye(12) + prior_std**2 * features @ features.T
        log_prior = -0.5 * ((log_std - NOISE[0]) / NOISE[1]) ** 2
        density.append(log_prior - 0.5 * (np.linalg.slogdet(of_targets)[1] + y @ np.linalg.solve(of_targets, y)))
        covariance = np.linalg.inv(features.T @ features / variance + np.eye(3) / prior_std**2)
        means.append(features @ covariance @ features.T @ y / variance)
        seconds.append(means[-1] ** 2 + np.diag(features @ covariance @ features.T))
    weights = np.exp(np.array(density) - max(density))
    weights /= weights.sum()

    outputs = learner.outputs(X)
    variances = learner.of_likelihood("variance", outputs)
    assert variances is not None
    for found, mean, second in (
        (outputs[..., 0], weights @ means, weights @ seconds),
        (0.5 * np.log(variances[:, :1, 0]), weights @ logs, weights @ logs**2),
    ):
        std = np.sqrt(second - mean**2)
        # Four standard errors of a mean, and as many of a deviation.
        assert (np.abs(found.mean(axis=0) - mean) < 4 * std / np.sqrt(effective)).all()
        assert (np.abs(found.std(axis=0) - std) < 4 * std / np.sqrt(2 * effective)).all()


def test_a_run_keeps_its_draws_and_is_read_back(tmp_path: Path, capsys) -> None:
    pytest.importorskip("blackjax")
    config = TrainConfig(**SMALL, epochs=99)
    with pytest.warns(UserWarning, match=r"The 2 chains of 6 draws have not agreed: split R-hat .* take more draws"):
        run = start_run(build_learner, config, tmp_path / "run", dataset=DATA)
    said = capsys.readouterr().err
    assert "2 chains take 6 steps each that adapt them, and then as many draws." in said
    assert "2 chains of 6 draws: split R-hat up to " in said
    outputs = run.learner.outputs(X)
    assert outputs.shape == (5, 12, 1)
    assert len({of_sample.tobytes() for of_sample in outputs}) > 2
    variances = run.learner.of_likelihood("variance", outputs)
    assert len(np.unique(variances[:, 0])) > 2, "each draw has noise of its own"
    loaded = sdebnn.load(tmp_path / "run")
    np.testing.assert_allclose(loaded.outputs(X), outputs, rtol=1e-5, atol=1e-6)
    predicted = loaded.predict(X)
    np.testing.assert_allclose(predicted.mean, outputs.mean(axis=0), rtol=1e-4, atol=1e-5)
    assert (predicted.quantile(0.1) < predicted.quantile(0.9)).all()
    # A draw may be that before it, where the way to another was not accepted.
    alone = [loaded.draw(seed)(X).tobytes() for seed in (0, 0, 1, 2, 3, 4)]
    assert alone[0] == alone[1]
    assert len({*alone}) > 1
    (kind,) = compare([tmp_path / "run"])
    state = run.learner.state()
    assert kind.parameters == state["average/nuts/draws"].shape[2]
    assert state["average/nuts/draws"].shape[:2] == (2, 6)
    assert (tmp_path / "run" / "report.html").exists()


def test_samples_are_spread_evenly_over_the_chains() -> None:
    learner = built(build_learner, TrainConfig(**SMALL | {"test_samples": 4}, epochs=99), DATA)
    average = {name: array for name, array in learner.state().items() if name.startswith("average/")}
    shape = average["average/nuts/draws"].shape
    of_draws = 10 * np.arange(shape[0])[:, None] + np.arange(shape[1])
    # The noise is the first parameter by name.
    draws = np.broadcast_to(0.01 * of_draws[..., None], shape).astype(np.float32)
    learner.load_average(average | {"average/nuts/draws": draws, "average/nuts/number": np.array(6, np.int32)})
    variances = learner.of_likelihood("variance", learner.outputs(X))
    assert variances is not None
    np.testing.assert_allclose(50 * np.log(variances[:, 0, 0]), [1, 4, 11, 14], rtol=1e-4)


def test_a_state_goes_on_to_the_bit() -> None:
    pytest.importorskip("blackjax")
    config = TrainConfig(**SMALL, epochs=99)
    whole, second = (built(build_learner, config, DATA) for _ in range(2))
    for step in range(6):
        if step == 3:
            state = whole.state()
        whole.gradient_step(X[None], Y[None], step)
    second.load_state(state)
    for step in range(3, 6):
        second.gradient_step(X[None], Y[None], step)
    expected, found = whole.state(), second.state()
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    with pytest.raises(InputError, match="it is of another model or configuration"):
        built(build_learner, dataclasses.replace(config, chains=3), DATA).load_state(state)


def test_before_the_first_draw_there_is_nothing_to_predict_with() -> None:
    pytest.importorskip("blackjax")
    with pytest.raises(InputError, match="The chains have no draws yet"):
        built(build_learner, TrainConfig(**SMALL), DATA).outputs(X)


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        ({"framework": "torch"}, r"is sampled by blackjax, in JAX, and framework='torch'; take framework='jax'"),
        ({"members": 2}, "has chains in place of members, and members=2; take members=1"),
        ({"kl_coef": 0.5}, r"samples the posterior of Bayes' rule, and kl_coef=0\.5; take kl_coef=1\.0"),
        ({"class_weight": "balanced"}, "where every example counts alike, and class_weight='balanced'"),
        ({"batch_size": 5}, "all 12 training examples, and batch_size is 5; take batch_size=12 or more"),
        ({"validation": 0.2}, r"keeps the draws of all steps, and validation=0\.2 would keep .* take validation=0"),
        ({"width": 200}, rf"has \d+ weights, more than {MOST}; take a smaller width \(now 200\) or augment"),
        ({"max_steps": 3}, "takes 4 draws of a chain or more, and max_steps or epochs allow 3"),
        ({"tuning": "folds"}, "tuning='folds' trains sdebnn and odenet, and the model is 'nuts_odenet'"),
    ],
)
def test_what_has_no_such_posterior_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch, choices: dict[str, Any], sentence: str
) -> None:
    monkeypatch.setattr(extras, "_found", lambda name: True)
    with pytest.raises(InputError, match=sentence):
        start_run(build_learner, TrainConfig(**SMALL | choices, epochs=99), tmp_path / "run", dataset=DATA)
    assert not (tmp_path / "run").exists()


def test_images_devices_own_networks_and_equal_times_are_refused(monkeypatch) -> None:
    monkeypatch.setattr(extras, "_found", lambda name: True)
    config = TrainConfig(**SMALL, epochs=99)
    labels = np.arange(12, dtype=np.int32) % 2
    images = np.zeros((12, 4, 4, 1), np.float32)
    pictures = Dataset("pictures", "classification", images, labels, images, labels, 2)
    with pytest.raises(InputError, match=r"small networks of tables, and pictures has inputs of shape \(4, 4, 1\)"):
        built(build_learner, config, pictures)
    with pytest.raises(InputError, match="computes on one device of one process, and there are 2 of 1"):
        sdebnn.brax.build_learner(config, DATA, devices=2)
    own = dataclasses.replace(config, model="odenet")
    with pytest.raises(InputError, match="samples sdebnn's own networks alone; take build_learner"):
        built(lambda _, data: _not_by_choices(build_learner(own, data)), config, DATA)
    with pytest.raises(InputError, match="without the steps that adapt its chains, so there is no equal time"):
        refuse_no_equal_time(config)


def _not_by_choices(learner):
    learner.by_choices = False
    return learner


def test_a_missing_blackjax_is_named_with_its_extra(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(extras, "_found", lambda name: name != "blackjax")
    with pytest.raises(InputError, match=r"model='nuts_odenet' needs blackjax, .* pip install 'sdebnn\[evidence"):
        start_run(build_learner, TrainConfig(**SMALL), tmp_path / "run", dataset=DATA)
    assert not (tmp_path / "run").exists()
    # Predictions have no need of it.
    assert built(build_learner, TrainConfig(**SMALL), DATA).by_choices


def test_the_defaults_of_a_table_are_its_own() -> None:
    config = TrainConfig.for_table(model="nuts_odenet")
    assert (config.members, config.chains, config.max_steps, config.tuning) == (1, 4, 250, "none")
    assert config.total_steps(300) == 250
    assert config.batch_shape(300) == (1, 300)
