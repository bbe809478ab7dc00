"""MAPIE's conformal wrappers stand around both estimators, and hold the share that they promise."""

from typing import Any

import numpy as np
import pytest

from sdebnn.estimators import SDEBNNClassifier, SDEBNNRegressor

pytest.importorskip("mapie")

from mapie.classification import SplitConformalClassifier
from mapie.regression import CrossConformalRegressor, SplitConformalRegressor

QUICK: dict[str, Any] = {
    "framework": "torch", "width": 8, "n_members": 2, "n_posterior_samples": 4, "n_solver_steps": 2, "max_iter": 60,
    "sigma": 0.2, "random_state": 0,
}  # fmt: skip
RNG = np.random.default_rng(0)
X = RNG.uniform(-2, 2, (700, 1))
Y = np.sin(2 * X[:, 0]) + 0.2 * RNG.normal(size=700)
LEARNED, CONFORMED, NEW = slice(0, 100), slice(100, 400), slice(400, 700)
# Four standard errors of a share of .9 of 300 rows, beside those of the 300 that it is conformed by.
NEAR = 4 * np.sqrt(0.9 * 0.1 * 2 / 300)


def test_conformal_intervals() -> None:
    fitted = SDEBNNRegressor(**QUICK).fit(X[LEARNED], Y[LEARNED])
    wrapped = SplitConformalRegressor(fitted, confidence_level=0.9, prefit=True).conformalize(
        X[CONFORMED], Y[CONFORMED]
    )
    mean, ends = wrapped.predict_interval(X[NEW])
    np.testing.assert_allclose(mean, fitted.predict(X[NEW]), rtol=1e-5, atol=1e-6)
    inside = (ends[:, 0, 0] <= Y[NEW]) & (Y[NEW] <= ends[:, 1, 0])
    assert inside.mean() == pytest.approx(0.9, abs=NEAR)


def test_conformal_intervals_of_folds() -> None:
    wrapped = CrossConformalRegressor(SDEBNNRegressor(**QUICK), confidence_level=0.9, cv=3)
    wrapped.fit_conformalize(X[LEARNED], Y[LEARNED])
    _, ends = wrapped.predict_interval(X[NEW])
    inside = (ends[:, 0, 0] <= Y[NEW]) & (Y[NEW] <= ends[:, 1, 0])
    assert inside.mean() > 0.8


def test_conformal_sets_of_classes() -> None:
    labels = np.where(Y > 0.5, "high", np.where(Y > -0.5, "middle", "low"))
    fitted = SDEBNNClassifier(**QUICK).fit(X[LEARNED], labels[LEARNED])
    wrapped = SplitConformalClassifier(fitted, confidence_level=0.9, prefit=True)
    _, sets = wrapped.conformalize(X[CONFORMED], labels[CONFORMED]).predict_set(X[NEW])
    held = sets[np.arange(300), np.searchsorted(fitted.classes_, labels[NEW]), 0]
    assert held.mean() == pytest.approx(0.9, abs=NEAR)
