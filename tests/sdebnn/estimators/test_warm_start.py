"""A fit that goes on from the last one."""

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest

from sdebnn.errors import InputError
from sdebnn.estimators import SDEBNNClassifier, SDEBNNRegressor
from sdebnn.training.committee import STEPS
from sdebnn.training.task import _digest_of_table

SMALL: dict[str, Any] = {
    "width": 8, "n_members": 2, "n_posterior_samples": 4, "n_solver_steps": 2, "max_iter": STEPS, "random_state": 0,
    "warm_start": True,
}  # fmt: skip
RNG = np.random.default_rng(0)
EVERY_ROW = {"early_stopping": False, "sigma": 0.3}
X = pd.DataFrame(RNG.normal(size=(80, 2)), columns=["a", "b"])
Y = np.sin(2 * X["a"].to_numpy()) + 0.1 * RNG.normal(size=80)
LABELS = np.where(Y > 0, "up", "down")


@pytest.fixture(autouse=True)
def as_optax_needs_it(unchecked: None) -> Iterator[None]:
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.parametrize(("framework", "candidates"), [("jax", 3), ("torch", 1)])
def test_a_second_fit_predicts_held_out_examples_at_least_as_well(framework: str, candidates: int) -> None:
    fitted = SDEBNNRegressor(framework=framework, **SMALL | {"sigma": "auto" if candidates > 1 else 0.3}).fit(X, Y)
    first, sigma = fitted.best_validation_score_, fitted.sigma_
    assert (fitted.n_iter_, len(fitted.candidates_)) == (STEPS, candidates)
    fitted.fit(X, Y)
    # So much that it is learning, and no chance.
    assert fitted.best_validation_score_ > first + 0.1
    assert (fitted.sigma_, list(fitted.candidates_)) == (sigma, [f"sigma={sigma:g}, likelihood=student_t_input"])
    assert fitted.n_iter_ == 2 * STEPS
    assert len(fitted.loss_curve_) == len(fitted.validation_scores_) == 2
    # The score is of the parameters that are kept: steps so long that they spoil everything leave it as it is.
    better, expected = fitted.best_validation_score_, fitted.predict(X)
    fitted.set_params(learning_rate_init=10.0).fit(X, Y)
    assert fitted.best_validation_score_ == pytest.approx(better, abs=1e-6)
    assert (fitted.n_iter_, len(fitted.loss_curve_)) == (2 * STEPS, 3)
    np.testing.assert_allclose(fitted.predict(X), expected, rtol=1e-6)


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_steps_of_no_size_leave_every_prediction(framework: str) -> None:
    """Where nothing is held out, the parameters after the last step are kept: those that it went on from."""
    choices = SMALL | EVERY_ROW
    fitted = SDEBNNClassifier(framework=framework, **choices).fit(X, LABELS)
    expected = fitted.predict_proba(X)
    fitted.set_params(learning_rate_init=1e-30, random_state=7).fit(X, LABELS)
    np.testing.assert_allclose(fitted.predict_proba(X), expected, rtol=1e-5)
    assert fitted.n_iter_ == 2 * STEPS
    anew = fitted.set_params(warm_start=False).fit(X, LABELS).predict_proba(X)
    assert np.abs(anew - expected).max() > 0.1


def test_a_class_without_a_name_of_a_saved_estimator_stays_one(tmp_path: pathlib.Path) -> None:
    """Empty text was a class before it was what is missing, and of a new fit it is refused."""
    SDEBNNClassifier(framework="torch", **SMALL | EVERY_ROW).fit(X, LABELS).save(tmp_path / "run")
    table, task = (tmp_path / "run" / f"{name}.json" for name in ("table", "task"))
    record = json.loads(table.read_text())
    record["labels"][record["labels"].index("down")] = ""
    table.write_text(json.dumps(record))
    task.write_text(json.dumps(json.loads(task.read_text()) | {"encoding": _digest_of_table(record)}))

    labels = np.where(LABELS == "down", "", LABELS)
    loaded = SDEBNNClassifier.load(tmp_path / "run")
    assert loaded.classes_.tolist() == ["", "up"]
    loaded.set_params(warm_start=True, learning_rate_init=1e-30, **EVERY_ROW)
    expected = loaded.predict(X)
    np.testing.assert_array_equal(loaded.fit(X, labels).predict(X), expected)
    assert "" in expected
    with pytest.raises(InputError, match="'y' has no value in"):
        loaded.set_params(warm_start=False).fit(X, labels)


def test_it_goes_on_in_the_units_of_the_first_rows() -> None:
    fitted = SDEBNNRegressor(framework="torch", **SMALL | EVERY_ROW | {"learning_rate_init": 1e-30}).fit(X, Y)
    expected = fitted.predict(X)
    # Of these rows alone neither the columns nor the targets have the mean and the deviation of all.
    rows = X["a"] > 0.5
    # Of targets that are far from those it is said that they are.
    with pytest.warns(UserWarning, match=r"'y': mean 1[34]\d, standard deviation"):
        fitted.fit(X[rows], Y[rows] + 100)
    np.testing.assert_allclose(fitted.predict(X[rows]), expected[rows], rtol=1e-6, atol=1e-6)


def test_a_loaded_estimator_goes_on(tmp_path: pathlib.Path) -> None:
    fitted = SDEBNNRegressor(framework="torch", **SMALL | EVERY_ROW).fit(X, Y)
    fitted.save(tmp_path / "run")
    loaded = SDEBNNRegressor.load(tmp_path / "run").set_params(warm_start=True, max_iter=STEPS)
    with pytest.raises(InputError, match=r"of a loaded estimator they are not known; .* take early_stopping=False"):
        loaded.fit(X, Y)
    loaded.set_params(early_stopping=False)
    np.testing.assert_allclose(loaded.fit(X, Y).predict(X), fitted.fit(X, Y).predict(X), rtol=1e-5)
    assert loaded.n_iter_ == fitted.n_iter_ == 2 * STEPS


@pytest.fixture(scope="module")
def regressor() -> SDEBNNRegressor:
    return SDEBNNRegressor(framework="torch", **SMALL | {"max_iter": 5, "sigma": 0.2}).fit(X, Y)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize(
    ("table", "answers", "sentence"),
    [
        (X.assign(c=1.0), Y, "With warm_start=True fit goes on with the columns of the last fit: give those"),
        (X.rename(columns={"b": "c"}), Y, "goes on with the columns of the last fit"),
        (X.to_numpy()[:, :1], Y, "X has 1 features, .* goes on with the columns of the last fit"),
        (X.assign(b="text"), Y, "'b' holds text"),
        (X, np.stack([Y, Y], axis=1), "There are 2 targets, but training had 1"),
    ],
)
def test_other_columns_are_refused(regressor: SDEBNNRegressor, table: Any, answers: Any, sentence: str) -> None:
    expected = regressor.predict(X)
    with pytest.raises(InputError, match=sentence):
        regressor.fit(table, answers)
    # What was fitted is as it was.
    np.testing.assert_array_equal(regressor.predict(X), expected)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"width": 16}, "parameters that were fitted with width=8, and now width=16; take what it was"),
        ({"n_blocks": 2}, "n_blocks=1, and now n_blocks=2"),
        ({"n_members": 3}, "n_members=2, and now n_members=3"),
        ({"prior": "brownian_motion"}, "prior='ou', and now"),
        ({"scale": False}, "scale=True, and now scale=False"),
        ({"likelihood": "student_t"}, "likelihood='student_t_input', and now likelihood='student_t'"),
    ],
)
def test_other_shapes_are_refused(regressor: SDEBNNRegressor, parameters: dict[str, Any], sentence: str) -> None:
    before = regressor.get_params()
    try:
        with pytest.raises(InputError, match=sentence):
            regressor.set_params(**parameters).fit(X, Y)
    finally:
        regressor.set_params(**before)


@pytest.mark.parametrize(
    ("rows", "parameters"),
    [
        (slice(0, 70), {}),
        (slice(None, None, -1), {}),
        (slice(None), {"validation_fraction": 0.4}),
    ],
)
def test_rows_that_were_learned_from_judge_nobody(
    regressor: SDEBNNRegressor, rows: slice, parameters: dict[str, Any]
) -> None:
    before = regressor.get_params()
    try:
        with pytest.raises(InputError, match=r"these are other rows, or another share of them, .*; give the same rows"):
            regressor.set_params(**parameters).fit(X[rows], Y[rows])
    finally:
        regressor.set_params(**before)


def test_rows_that_every_network_has_learned_from_are_not_held_out() -> None:
    fitted = SDEBNNRegressor(framework="torch", **SMALL | EVERY_ROW | {"max_iter": 5}).fit(X, Y)
    with pytest.raises(InputError, match="another share of them"):
        fitted.set_params(early_stopping=True).fit(X, Y)


@pytest.mark.parametrize("estimator", [SDEBNNRegressor, SDEBNNClassifier])
def test_it_goes_on_without_the_temperature_and_fits_another(estimator: Any) -> None:
    tempered = SMALL | {"max_iter": 5, "sigma": 0.2, "calibrate": "temperature"}
    answers = Y if estimator is SDEBNNRegressor else LABELS
    fitted = estimator(framework="torch", **tempered).fit(X, answers)
    temperature, expected = fitted.temperature_, fitted.posterior_.outputs(X)
    assert temperature != 1
    # Steps that spoil everything leave the parameters as they are, and what is fitted to them.
    fitted.set_params(learning_rate_init=10.0).fit(X, answers)
    assert fitted.temperature_ == pytest.approx(temperature, rel=1e-3)
    np.testing.assert_allclose(fitted.posterior_.outputs(X), expected, rtol=2e-3, atol=1e-6)
    fitted.set_params(calibrate="none").fit(X, answers)
    assert fitted.temperature_ == 1
    if estimator is SDEBNNClassifier:
        np.testing.assert_allclose(fitted.posterior_.outputs(X) / temperature, expected, rtol=2e-3, atol=1e-6)


def test_rows_of_which_none_are_held_out_keep_it() -> None:
    choices = SMALL | {"max_iter": 5, "sigma": 0.2}
    fitted = SDEBNNRegressor(framework="torch", beyond_range=0, **choices).fit(X, Y)
    expected = fitted.predict(X, return_std=True)[1]
    assert fitted.temperature_ != 1
    fitted.set_params(early_stopping=False, learning_rate_init=1e-30).fit(X[:50], Y[:50])
    assert fitted.temperature_ == 1
    np.testing.assert_allclose(fitted.predict(X, return_std=True)[1], expected, rtol=1e-5)


@pytest.mark.parametrize("labels", [np.where(Y > 1, "top", LABELS), np.where(Y > 0, "top", "down")])
def test_other_classes_are_refused(labels: np.ndarray) -> None:
    fitted = SDEBNNClassifier(framework="torch", **SMALL | {"max_iter": 5, "sigma": 0.2}).fit(X, LABELS)
    with pytest.raises(InputError, match="the classes of the last fit, 'down', 'up', and now y has 'down', 'top'"):
        fitted.fit(X, labels)
