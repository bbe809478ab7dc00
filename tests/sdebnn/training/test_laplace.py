"""The last-layer Laplace approximation of a network in training, and of one that is read back."""

import dataclasses
import signal
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from scipy import special, stats

import sdebnn
from sdebnn.data import Dataset
from sdebnn.errors import InputError, Stopped
from sdebnn.frameworks import build_learner
from sdebnn.runs import MetricsLog, TrainConfig
from sdebnn.training import Callback, Posterior, resume_run, start_run
from sdebnn.training.building import built
from sdebnn.training.drawn_parameters import is_moment
from sdebnn.training.laplace import Laplace
from sdebnn.training.last_layer import Gaussian, LastLayer
from sdebnn.training.task import Task

DRAWN = True
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 2)).astype(np.float32)
Y = (X[:, :1] ** 2).astype(np.float32)
DATA = Dataset("squares", "regression", X, Y, X, Y, None)
LABELS = Dataset("signs", "classification", X, (X[:, 0] > 0).astype(np.int32), X, (X[:, 0] > 0).astype(np.int32), 2)
SMALL: dict[str, Any] = {
    "model": "laplace_odenet", "width": 4, "steps": 2, "augment": 1, "batch_size": 20, "test_samples": 3, "epochs": 10,
}  # fmt: skip
NOISE = 0.3


@pytest.fixture(autouse=True)
def standard_promotion():
    """Adam of optax raises floats to whole numbers, which the strict lane of these tests refuses."""
    with jax.numpy_dtype_promotion("standard"):
        yield


class Linear:
    """A learner whose only layer is the last, with Gaussian noise of `NOISE`."""

    ranks, by_choices = 1, True

    def __init__(self, theta: np.ndarray) -> None:
        self.average = {"average/network/0/bias": theta[-1], "average/network/0/weight": theta[:-1]}

    def gradient_step(self, x, y, step):
        return {"loss": 0.0}

    def first_bad(self):
        return 0

    def state(self):
        return {f"params/{name}": array for name, array in self.average.items()} | self.average

    def load_average(self, average):
        assert average.keys() == self.average.keys()
        self.average = dict(average)

    def outputs(self, x):
        return (x @ self.average["average/network/0/weight"] + self.average["average/network/0/bias"])[None]

    def of_likelihood(self, method, outputs, targets=None, *, seed=0):
        if method == "variance":
            return np.full_like(outputs, NOISE**2)
        return stats.norm.logpdf(targets, outputs, NOISE).sum(axis=-1)


def test_a_network_of_the_last_layer_alone_has_the_posterior_of_bayesian_linear_regression(unchecked) -> None:
    targets = RNG.normal(size=(40, 2)).astype(np.float32)
    data = Dataset("lines", "regression", X, targets, X, targets, None)
    design = np.column_stack([X, np.ones(40)]).astype(np.float64)
    # Wherever training ended.
    theta = np.full((3, 2), 7, np.float32)
    config = TrainConfig(**SMALL | {"epochs": 1, "batch_size": 40, "test_samples": 20_000})
    laplace = Laplace(Linear(theta), config, data, lambda config, data: Linear(np.zeros((3, 2), np.float32)))  # type: ignore[arg-type, return-value]
    laplace.gradient_step(None, None, 0)
    logged = laplace.after_training()
    assert laplace.after_training() == {}, "once"
    state = laplace.state()
    precision = float(state["average/laplace/prior_precision"])
    exact = np.linalg.inv(design.T @ design / NOISE**2 + precision * np.eye(3))
    root = state["average/laplace/root"].astype(np.float64)
    np.testing.assert_allclose(root @ root.T, np.kron(exact, np.eye(2)), rtol=1e-4, atol=1e-7)
    drawn = laplace.outputs(X[:5])
    mode = exact @ design.T @ targets / NOISE**2
    np.testing.assert_allclose(drawn.mean(axis=0), design[:5] @ mode, atol=0.01)
    variances = np.einsum("ni,ij,nj->n", design[:5], exact, design[:5])
    np.testing.assert_allclose(drawn.var(axis=0), np.column_stack([variances] * 2), rtol=0.05)
    assert (laplace.state()["average/network/0/weight"] == theta[:-1]).all(), "what the learner had is put back"
    assert logged["prior_precision"] == precision
    laplace.gradient_step(None, None, 1)
    assert not laplace.known, "parameters that move on have another Gaussian"


def test_what_is_saved_predicts_with_samples_that_differ_in_either_framework(tmp_path: Path) -> None:
    config = TrainConfig(**SMALL | {"batch_size": 40}, framework="torch")
    laplace = built(build_learner, config, DATA)
    for step in range(config.total_steps(40)):
        laplace.gradient_step(X[None], Y[None], step)
    laplace.after_training()
    outputs = laplace.outputs(X)
    assert outputs.shape == (3, 40, 1)
    assert (outputs.std(axis=0) > 1e-4).all()
    Posterior(config, Task.of(DATA), laplace, build=build_learner).save(tmp_path / "run")
    np.testing.assert_allclose(sdebnn.load(tmp_path / "run").outputs(X), outputs, rtol=1e-6, atol=1e-6)
    other = sdebnn.load(tmp_path / "run", framework="jax")
    np.testing.assert_allclose(other.outputs(X), outputs, rtol=1e-4, atol=1e-5)
    in_jax = built(build_learner, dataclasses.replace(config, framework="jax"), DATA)
    in_jax.load_average({name: array for name, array in laplace.state().items() if name.startswith("average/")})
    for learner in (laplace, in_jax):
        average = learner._average()
        said = learner._features(average) @ learner._theta(average)
        np.testing.assert_allclose(said, learner._learner.outputs(X)[0], rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="none can be drawn alone"):
        other.draw(0)
    plain = built(build_learner, dataclasses.replace(config, model="odenet"), DATA).state()
    counted = [name for name in laplace.state() if name.startswith("average/") and not is_moment(name)]
    assert counted == [name for name in plain if name.startswith("average/")]


def test_classes_that_are_weighed_have_the_mode_and_the_curvature_of_their_weights() -> None:
    config = TrainConfig(**SMALL | {"epochs": 1, "batch_size": 40}, framework="torch", class_weight="balanced")
    laplace = built(build_learner, config, LABELS)
    laplace.gradient_step(X[None], LABELS.y_train[None], 0)
    laplace.after_training()
    state = laplace.state()
    mode, root = (state[f"average/laplace/{name}"].astype(np.float64) for name in ("mode", "root"))
    precision = float(state["average/laplace/prior_precision"])
    features, counts = laplace._features(laplace._average()).astype(np.float64), np.bincount(LABELS.y_train)
    p, weights = special.softmax(features @ mode, axis=1), 20 / counts[LABELS.y_train]
    slope = features.T @ (weights[:, None] * (np.eye(2)[LABELS.y_train] - p))
    np.testing.assert_allclose(precision * mode, slope, atol=1e-4 * np.abs(slope).max())
    hessian = sum(
        weight * np.kron(np.outer(of, of), np.diag(q) - np.outer(q, q))
        for of, q, weight in zip(features, p, weights, strict=True)
    )
    exact = np.linalg.inv(hessian + precision * np.eye(len(root)))
    np.testing.assert_allclose(root @ root.T, exact, rtol=1e-3, atol=1e-4 * exact.max())


def test_classes_that_training_has_saturated_keep_a_likelihood_that_is_good() -> None:
    """Where training ends, logits so far apart have no curvature."""
    x = X + np.outer(np.where(LABELS.y_train, 40, -40), [1, 0]).astype(np.float32)
    data = dataclasses.replace(LABELS, x_train=x, x_test=x)
    config = TrainConfig(**SMALL | {"epochs": 100, "batch_size": 40, "learning_rate": 0.3, "test_samples": 50})
    laplace = built(build_learner, dataclasses.replace(config, framework="torch"), data)
    for step in range(100):
        laplace.gradient_step(x[None], data.y_train[None], step)
    assert (np.ptp(laplace._learner.outputs(x)[0], axis=1) > 40).all()
    logged = laplace.after_training()
    outputs = laplace.outputs(x).astype(np.float64)
    assert np.isfinite(logged["prior_precision"])
    assert 40 * np.log(0.5) < logged["log_evidence"] < 0
    # Not of other sizes than the logits themselves, which have differences of tens.
    assert 0.1 < (outputs[..., 1] - outputs[..., 0]).std(axis=0).max() < 50
    p = special.softmax(outputs, axis=-1).mean(axis=0)[np.arange(40), data.y_train]
    assert -np.log(p).mean() < 0.1


def test_the_features_of_a_residual_network_are_those_of_its_last_layer() -> None:
    images = RNG.normal(size=(6, 8, 8, 1)).astype(np.float32)
    data = Dataset("grey", "classification", images, LABELS.y_train[:6], images, LABELS.y_train[:6], 2)
    config = TrainConfig(**SMALL | {"model": "laplace_resnet32", "epochs": 1}, framework="torch")
    laplace = built(build_learner, config, data)
    average = laplace._average()
    features = laplace._features(average)
    assert features.shape == (6, 65)
    said = laplace._learner.outputs(images)[0]
    np.testing.assert_allclose(features @ laplace._theta(average), said, rtol=1e-4, atol=1e-5)


def test_a_run_that_ends_while_the_gaussian_is_fitted_goes_on_with_it(tmp_path: Path, monkeypatch) -> None:
    config = TrainConfig(**SMALL | {"members": 2, "test_samples": 2}, framework="torch")
    whole = start_run(build_learner, config, tmp_path / "whole", dataset=LABELS)
    posterior, begun = LastLayer.posterior, []

    def stopped_in_the_second(layer: LastLayer) -> Gaussian:
        begun.append(layer)
        if len(begun) == 2:
            signal.raise_signal(signal.SIGTERM)
        return posterior(layer)

    monkeypatch.setattr(LastLayer, "posterior", stopped_in_the_second)
    with pytest.raises(Stopped, match=r"stopped at step 20 of 20; the run is saved, .* takes it up again"):
        start_run(build_learner, config, tmp_path / "cut", dataset=LABELS)
    again = resume_run(build_learner, tmp_path / "cut", dataset=LABELS)
    assert len(begun) == 4
    logs = [MetricsLog.read(run.folder) for run in (whole, again)]
    fits = [[record for record in log if record["split"] == "posterior"] for log in logs]
    assert [len(of_run) for of_run in fits] == [1, 1], "once, the mean over the members"
    assert fits[0][0]["log_evidence"] == fits[1][0]["log_evidence"]
    np.testing.assert_array_equal(whole.fitted.test_outputs, again.fitted.test_outputs)
    for name, array in whole.learner.state().items():
        np.testing.assert_array_equal(array, again.learner.state()[name], err_msg=name)
    resume_run(build_learner, tmp_path / "cut", dataset=LABELS)
    assert len(begun) == 4, "a run that has its Gaussian is not fitted again"


def test_a_run_that_a_callback_ends_has_its_gaussian(tmp_path: Path) -> None:
    class AtOnce(Callback):
        def on_metrics(self, training, split, values) -> None:
            training.ask_to_stop()

    config = TrainConfig(**SMALL | {"epochs": 20}, framework="torch")
    run = start_run(build_learner, config, tmp_path / "run", dataset=LABELS, callbacks=[AtOnce()])
    assert run.learner.known
    assert (run.fitted.test_outputs.std(axis=0) > 1e-4).all()
    assert (sdebnn.load(tmp_path / "run").outputs(X).std(axis=0) > 1e-4).all()


def test_before_there_is_a_gaussian_it_says_so() -> None:
    learner = built(build_learner, TrainConfig(**SMALL, framework="torch"), DATA)
    with pytest.warns(UserWarning, match="after the last gradient step, so there is no Gaussian yet"):
        outputs = learner.outputs(X)
    assert (outputs == outputs[:1]).all()


def of_their_own(config, data):
    learner = build_learner(config, data)
    learner.by_choices = False
    return learner


def test_what_it_cannot_be_fitted_to_is_refused() -> None:
    config = TrainConfig(**SMALL, framework="torch")

    def refused(match: str, data=DATA, build=build_learner, **choices) -> None:
        with pytest.raises(InputError, match=match):
            built(build, dataclasses.replace(config, **choices), data)

    refused("got likelihood='student_t'; it takes categorical or gaussian", likelihood="student_t")
    refused(r"validation=0\.2 would keep the parameters of a step before; take validation=0", validation=0.2)
    refused("knows the last layer of sdebnn's own networks alone", build=of_their_own)
    images = np.zeros((2, 32, 32, 1), np.float32)
    pictures = Dataset("grey", "classification", images, LABELS.y_train[:2], images, LABELS.y_train[:2], 2)
    smaller = dataclasses.replace(pictures, x_train=images[:, :28], x_test=images[:, :28])
    advice = r"take augment=0 or less \(now 1\), or squeeze=2 \(now 0\), or laplace_resnet32, .* or swag_odenet\.$"
    refused(f"has 3586 weights, more than 2048: {advice}", data=smaller)
    that_fit: tuple[dict[str, Any], ...] = {"augment": 0}, {"squeeze": 2}
    for fits in that_fit:
        built(build_learner, dataclasses.replace(config, **fits), smaller)
    refused(r"more than 2048: take laplace_resnet32, which .*, or swag_odenet\.$", data=pictures)
    laplace, plain = (
        built(build_learner, config, DATA),
        built(build_learner, dataclasses.replace(config, model="odenet"), DATA),
    )
    with pytest.raises(InputError, match="not those of a run of the last-layer Laplace approximation of this network"):
        laplace.load_state(plain.state())
