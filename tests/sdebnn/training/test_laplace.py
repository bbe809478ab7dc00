"""The last-layer Laplace approximation: exact where Bayesian linear regression is, and the Hessian where it is not."""

import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest
from scipy import optimize, special, stats

import sdebnn
from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.frameworks import build_learner
from sdebnn.runs import TrainConfig
from sdebnn.training import Posterior
from sdebnn.training.building import built
from sdebnn.training.drawn_parameters import is_moment
from sdebnn.training.laplace import Laplace, gauss_newton
from sdebnn.training.task import Task

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 2)).astype(np.float32)
Y = (X[:, :1] ** 2).astype(np.float32)
DATA = Dataset("squares", "regression", X, Y, X, Y, None)
LABELS = Dataset("signs", "classification", X, (X[:, 0] > 0).astype(np.int32), X, (X[:, 0] > 0).astype(np.int32), 2)
SMALL = {
    "model": "laplace_odenet", "width": 4, "steps": 2, "augment": 1, "batch_size": 20, "test_samples": 3, "epochs": 10,
}  # fmt: skip
NOISE = 0.3


@pytest.fixture(autouse=True)
def standard_promotion():
    """The schedules of optax multiply floats by whole numbers, which the strict lane of these tests refuses."""
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
    # Of the mean that alpha = 1 has: the precision that is found has another, and the covariance does not depend on it.
    theta = np.linalg.solve(design.T @ design + NOISE**2 * np.eye(3), design.T @ targets).astype(np.float32)
    config = TrainConfig(**SMALL | {"epochs": 1, "batch_size": 40, "test_samples": 20_000})
    laplace = Laplace(Linear(theta), config, data)
    logged = laplace.gradient_step(None, None, 0)
    state = laplace.state()
    precision = float(state["average/laplace/prior_precision"])
    exact = np.linalg.inv(design.T @ design / NOISE**2 + precision * np.eye(3))
    root = state["average/laplace/root"].astype(np.float64)
    np.testing.assert_allclose(root @ root.T, np.kron(exact, np.eye(2)), rtol=1e-4, atol=1e-7)
    drawn = laplace.outputs(X[:5])
    np.testing.assert_allclose(drawn.mean(axis=0), design[:5] @ theta, atol=0.01)
    variances = np.einsum("ni,ij,nj->n", design[:5], exact, design[:5])
    np.testing.assert_allclose(drawn.var(axis=0), np.column_stack([variances] * 2), rtol=0.05)
    assert (laplace.state()["average/network/0/weight"] == theta[:-1]).all(), "what the learner had is put back"
    assert logged["prior_precision"] == pytest.approx(precision, rel=1e-6)
    assert np.isfinite(logged["log_evidence"])


def test_the_evidence_is_that_of_linear_regression_in_closed_form() -> None:
    features, targets, precision = RNG.normal(size=(12, 3)), RNG.normal(size=12), 0.7
    curvature = gauss_newton(features, np.full((12, 1, 1), NOISE**-2))
    mode = np.linalg.solve(features.T @ features / NOISE**2 + precision * np.eye(3), features.T @ targets / NOISE**2)
    log_likelihood = stats.norm.logpdf(targets, features @ mode, NOISE).sum()
    covariance = NOISE**2 * np.eye(12) + features @ features.T / precision
    exact = stats.multivariate_normal(np.zeros(12), covariance).logpdf(targets)
    assert curvature.log_evidence(log_likelihood, mode @ mode, precision) == pytest.approx(exact, rel=1e-10)


@pytest.mark.parametrize("squared_norm", [1e-3, 1.0, 1e4])
def test_the_prior_precision_is_that_of_the_largest_evidence(squared_norm: float) -> None:
    # Of directions that the data settle, hardly know, and say nothing of.
    curvature = gauss_newton(np.diag([30.0, 1.0, 0.01, 0.0]), np.ones((4, 1, 1)))
    found = curvature.best_precision(squared_norm)
    best = optimize.minimize_scalar(
        lambda log: -curvature.log_evidence(0.0, squared_norm, np.exp(log)), bounds=(-15, 15), method="bounded",
        options={"xatol": 1e-10},
    )  # fmt: skip
    assert np.log(found) == pytest.approx(best.x, abs=1e-5)


def test_the_curvature_of_classes_is_the_hessian() -> None:
    features, labels, theta = RNG.normal(size=(9, 2)), RNG.integers(0, 3, 9), RNG.normal(size=6)

    def nll(flat: np.ndarray) -> float:
        return -float(special.log_softmax(features @ flat.reshape(2, 3), axis=1)[np.arange(9), labels].sum())

    p = special.softmax(features @ theta.reshape(2, 3), axis=1)
    curvature = gauss_newton(features, np.eye(3) * p[:, None] - p[:, :, None] * p[:, None])
    h, steps = 1e-4, 1e-4 * np.eye(6)
    numeric = [
        [
            (nll(theta + a + b) - nll(theta + a - b) - nll(theta - a + b) + nll(theta - a - b)) / (4 * h**2)
            for b in steps
        ]
        for a in steps
    ]
    found = curvature.vectors * curvature.values @ curvature.vectors.T
    np.testing.assert_allclose(found, numeric, atol=1e-6)
    root = curvature.root(0.5)
    np.testing.assert_allclose(root @ root.T, np.linalg.inv(found + 0.5 * np.eye(6)), atol=1e-10)


def test_what_is_saved_predicts_with_samples_that_differ_in_either_framework(tmp_path: Path) -> None:
    config = TrainConfig(**SMALL | {"batch_size": 40}, framework="torch")
    laplace = built(build_learner, config, DATA)
    for step in range(config.total_steps(40)):
        laplace.gradient_step(X[None], Y[None], step)
    outputs = laplace.outputs(X)
    assert outputs.shape == (3, 40, 1)
    assert (outputs.std(axis=0) > 1e-4).all()
    Posterior(config, Task.of(DATA), laplace, build=build_learner).save(tmp_path / "run")
    np.testing.assert_allclose(sdebnn.load(tmp_path / "run").outputs(X), outputs, rtol=1e-6, atol=1e-6)
    other = sdebnn.load(tmp_path / "run", framework="jax")
    np.testing.assert_allclose(other.outputs(X), outputs, rtol=1e-4, atol=1e-5)
    for learner in (laplace, other.learner):
        average = learner._average()
        said = learner._features(average, X) @ learner._theta(average)
        np.testing.assert_allclose(said, learner._learner.outputs(X)[0], rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="none can be drawn alone"):
        other.draw(0)
    plain = built(build_learner, dataclasses.replace(config, model="odenet"), DATA).state()
    counted = [name for name in laplace.state() if name.startswith("average/") and not is_moment(name)]
    assert counted == [name for name in plain if name.startswith("average/")]


def test_classes_that_are_weighed_have_the_curvature_of_their_weights() -> None:
    config = TrainConfig(**SMALL | {"epochs": 1, "batch_size": 40}, framework="torch", class_weight="balanced")
    laplace = built(build_learner, config, LABELS)
    laplace.gradient_step(X[None], LABELS.y_train[None], 0)
    average = laplace._average()
    p = special.softmax(laplace._learner.outputs(X)[0].astype(np.float64), axis=1)
    features, counts = laplace._features(average, X), np.bincount(LABELS.y_train)
    hessian = sum(
        20 / counts[y] * np.kron(np.outer(of, of), np.diag(q) - np.outer(q, q))
        for of, q, y in zip(features, p, LABELS.y_train, strict=True)
    )
    precision = float(laplace.state()["average/laplace/prior_precision"])
    root = laplace.state()["average/laplace/root"].astype(np.float64)
    exact = np.linalg.inv(hessian + precision * np.eye(len(root)))
    np.testing.assert_allclose(root @ root.T, exact, rtol=1e-3, atol=1e-4 * exact.max())


def test_the_features_of_a_residual_network_are_those_of_its_last_layer() -> None:
    images = RNG.normal(size=(6, 8, 8, 1)).astype(np.float32)
    data = Dataset("grey", "classification", images, LABELS.y_train[:6], images, LABELS.y_train[:6], 2)
    config = TrainConfig(**SMALL | {"model": "laplace_resnet32", "epochs": 1}, framework="torch")
    laplace = built(build_learner, config, data)
    laplace.gradient_step(images[None], data.y_train[None], 0)
    average = laplace._average()
    features = laplace._features(average, images)
    assert features.shape == (6, 65)
    said = laplace._learner.outputs(images)[0]
    np.testing.assert_allclose(features @ laplace._theta(average), said, rtol=1e-4, atol=1e-5)
    assert laplace.known


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
    refused("has 4098 weights, more than 2048: take laplace_resnet32, .* or swag_odenet", data=pictures)
    laplace, plain = (
        built(build_learner, config, DATA),
        built(build_learner, dataclasses.replace(config, model="odenet"), DATA),
    )
    with pytest.raises(InputError, match="not those of a run of the last-layer Laplace approximation of this network"):
        laplace.load_state(plain.state())
