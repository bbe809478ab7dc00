"""The posterior of a last layer: exact where Bayesian linear regression is, and a proper Laplace approximation where
classes are, told apart or not.
"""

import numpy as np
import pytest
from scipy import optimize, special, stats

from sdebnn.training import last_layer
from sdebnn.training.last_layer import LastLayer, categorical, gaussian

RNG = np.random.default_rng(0)
NOISE = 0.3
FEATURES = np.column_stack([RNG.normal(size=(40, 2)), np.ones(40)])
LABELS = RNG.integers(0, 3, 40)


def logistic(features=FEATURES, labels=LABELS, outputs=3, weights=None) -> LastLayer:
    return LastLayer(features, outputs, categorical(labels, np.ones(len(labels)) if weights is None else weights))


def test_real_targets_have_the_posterior_and_the_evidence_of_bayesian_linear_regression() -> None:
    targets, precision = RNG.normal(size=(40, 2)), 0.7
    noise = np.array([NOISE, 2 * NOISE])
    layer = LastLayer(FEATURES, 2, gaussian(targets, np.broadcast_to(noise**2, (40, 2))))
    found = layer.posterior_at(precision, np.ones((3, 2)))
    covariance, evidence = (found.root @ found.root.T).reshape(3, 2, 3, 2), 0.0
    for output, (std, y) in enumerate(zip(noise, targets.T, strict=True)):
        exact = np.linalg.inv(FEATURES.T @ FEATURES / std**2 + precision * np.eye(3))
        np.testing.assert_allclose(covariance[:, output, :, output], exact, atol=1e-12)
        np.testing.assert_allclose(found.mode[:, output], exact @ FEATURES.T @ y / std**2, atol=1e-10)
        law = stats.multivariate_normal(np.zeros(40), std**2 * np.eye(40) + FEATURES @ FEATURES.T / precision)
        evidence += law.logpdf(y)
    np.testing.assert_allclose(covariance[:, 0, :, 1], 0, atol=1e-12)
    assert found.log_evidence == pytest.approx(evidence, rel=1e-10)


def test_the_prior_precision_has_the_largest_evidence_of_real_targets() -> None:
    layer = LastLayer(FEATURES, 1, gaussian(FEATURES[:, :1] + 1, np.full((40, 1), NOISE**2)))
    found = layer.posterior()
    near = [layer.posterior_at(found.prior_precision * np.exp(by), found.mode).log_evidence for by in (-0.05, 0.05)]
    assert max(near) < found.log_evidence
    # The slope in log alpha, beside the curvature there.
    assert abs(near[1] - near[0]) / 0.1 < 1e-3 * (2 * found.log_evidence - sum(near)) / 0.05**2


@pytest.mark.parametrize("labels", [LABELS, (FEATURES[:, 0] > 0).astype(int)])
def test_of_classes_it_has_the_largest_evidence_with_mode_and_curvature_held(labels: np.ndarray) -> None:
    found = logistic(labels=labels).posterior()
    curvature = np.linalg.inv(found.root @ found.root.T) - found.prior_precision * np.eye(9)

    def evidence(log_precision: float) -> float:
        precision = np.exp(log_precision)
        return -0.5 * (precision * np.sum(found.mode**2) + np.linalg.slogdet(curvature / precision + np.eye(9))[1])

    best = optimize.minimize_scalar(
        lambda log: -evidence(log), bounds=(-10, 10), method="bounded", options={"xatol": 1e-8}
    )
    assert np.log(found.prior_precision) == pytest.approx(best.x, abs=1e-3)


def test_the_mode_has_no_slope_and_the_covariance_is_the_inverse_hessian() -> None:
    weights, precision = RNG.uniform(0.5, 2, 40), 0.5
    layer = logistic(weights=weights)
    found = layer.posterior_at(precision, np.zeros((3, 3)))

    def minus_log_posterior(flat: np.ndarray) -> float:
        log_p = special.log_softmax(FEATURES @ flat.reshape(3, 3), axis=1)[np.arange(40), LABELS]
        return -float(weights @ log_p) + 0.5 * precision * flat @ flat

    h, theta = 1e-4, found.mode.ravel()
    steps = h * np.eye(9)
    slope = [minus_log_posterior(theta + a) - minus_log_posterior(theta - a) for a in steps]
    np.testing.assert_allclose(np.array(slope) / (2 * h), 0, atol=1e-6)
    f = minus_log_posterior
    hessian = [
        [(f(theta + a + b) - f(theta + a - b) - f(theta - a + b) + f(theta - a - b)) / (4 * h**2) for b in steps]
        for a in steps
    ]
    np.testing.assert_allclose(found.root @ found.root.T @ hessian, np.eye(9), atol=1e-5)


def test_blocks_of_rows_make_no_difference(monkeypatch) -> None:
    whole = logistic().posterior()
    monkeypatch.setattr(last_layer, "BLOCK", 7)
    parts = logistic().posterior()
    assert parts.log_evidence == pytest.approx(whole.log_evidence, rel=1e-9)
    np.testing.assert_allclose(parts.root, whole.root, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_classes_that_are_told_apart_have_a_finite_posterior_in_any_units(scale: float) -> None:
    labels = (FEATURES[:, 0] > 0).astype(int)
    features = FEATURES + np.outer(2.0 * labels - 1, [1, 0, 0])
    found = logistic(scale * features, labels, 2).posterior()
    # Weights that tell them apart without end would have an evidence of 0 nats, were there no prior.
    assert 40 * np.log(0.5) < found.log_evidence < 0
    logits = scale * features @ found.mode
    difference = found.root.reshape(3, 2, 6)[:, 1] - found.root.reshape(3, 2, 6)[:, 0]
    deviations = np.linalg.norm(scale * features @ difference, axis=1)
    assert (deviations < 2 * np.abs(logits[:, 1] - logits[:, 0])).all()
    drawn = scale * features @ (found.mode.ravel() + RNG.normal(size=(500, 6)) @ found.root.T).reshape(-1, 3, 2)
    p = special.softmax(drawn, axis=2).mean(axis=0)[np.arange(40), labels]
    assert -np.log(p).mean() < 0.1


def test_labels_that_features_say_nothing_of_leave_the_weights_at_nought() -> None:
    features, labels = np.repeat(FEATURES[:20], 2, axis=0), np.tile([0, 1], 20)
    found = logistic(features, labels, 2).posterior()
    assert found.log_evidence == pytest.approx(40 * np.log(0.5), abs=0.01)
    np.testing.assert_allclose(features @ found.mode, 0, atol=1e-3)
