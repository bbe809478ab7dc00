"""A temperature is the number that undoes an error of scale, and whatever reads a run has it."""

import pathlib
from typing import Any, Literal

import numpy as np
import polars as pl
import pytest

import sdebnn
from sdebnn.cli import main
from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.estimators import SDEBNNClassifier, SDEBNNRegressor
from sdebnn.frameworks import build_learner, gather
from sdebnn.runs import TrainConfig
from sdebnn.training import restore, start_run
from sdebnn.training.building import built
from sdebnn.training.calibration import at_temperature, calibrate
from sdebnn.training.committee import Examples, train_committee

QUICK: dict[str, Any] = {
    "framework": "torch", "width": 8, "n_members": 2, "n_posterior_samples": 4, "n_solver_steps": 2, "max_iter": 40,
    "sigma": 0.2, "random_state": 0,
}  # fmt: skip
RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 2)).astype(np.float32)
Y = (X[:, :1] + 0.3 * RNG.normal(size=(200, 1))).astype(np.float32)
LABELS = (Y[:, 0] > 0.2).astype(np.int32)


@pytest.mark.parametrize("likelihood", ["categorical", "gaussian", "gaussian_input", "student_t"])
def test_it_undoes_an_error_of_scale(likelihood: str) -> None:
    """Logits three times as large, or noise a third as wide, have three times the temperature, and the same law."""
    classes = 2 if likelihood == "categorical" else None
    y = LABELS if classes else Y
    config = TrainConfig(
        framework="torch", likelihood=likelihood, width=8, drift_widths=(2, 4, 2), steps=2, learning_rate=1e-2,
        test_samples=3,
    )  # fmt: skip
    examples = Examples(X, y, np.ones(200, np.float32))
    trained = train_committee(
        gather(config), [config], examples, classes, members=2, steps=40, patience=1, held_out=0.5
    )
    task: Literal["classification", "regression"] = "classification" if classes else "regression"
    learner = built(build_learner, trained.config, Dataset("few", task, X, y, X, y, classes))
    found = calibrate(learner, trained, examples, classes, 0.5)
    said = learner.of_likelihood("log_prob", learner.outputs(X), y)
    assert said is not None
    wrong = trained._replace(averages=[at_temperature(average, -np.log(3), classes) for average in trained.averages])
    assert calibrate(learner, wrong, examples, classes, 0.5) == pytest.approx(3 * found, rel=5e-3)
    again = learner.of_likelihood("log_prob", learner.outputs(X), y)
    assert again is not None
    np.testing.assert_allclose(again, said, rtol=0.03, atol=0.03)


def test_what_an_estimator_keeps_has_it(tmp_path: pathlib.Path) -> None:
    plain = SDEBNNRegressor(**QUICK).fit(X, Y[:, 0])
    fitted = SDEBNNRegressor(**QUICK, calibrate="temperature").fit(X, Y[:, 0])
    assert plain.temperature_ == 1 != fitted.temperature_
    np.testing.assert_allclose(fitted.predict(X), plain.predict(X), rtol=1e-5)
    noise = [model.predict_uncertainty(X).aleatoric[:, 0] for model in (plain, fitted)]
    np.testing.assert_allclose(noise[1], fitted.temperature_ * noise[0], rtol=1e-2)
    fitted.save(tmp_path / "run")
    loaded = SDEBNNRegressor.load(tmp_path / "run")
    assert loaded.temperature_ == fitted.temperature_
    assert loaded.calibrate == "temperature"
    np.testing.assert_allclose(loaded.predict(X, return_std=True)[1], fitted.predict(X, return_std=True)[1], rtol=1e-5)


def test_a_run_has_it(tmp_path: pathlib.Path) -> None:
    pl.DataFrame({"a": X[:, 0], "b": X[:, 1], "kind": np.where(LABELS, "up", "down")}).write_csv(tmp_path / "t.csv")
    flags = "--target kind --framework torch --max-steps 40 --members 2 --width 8 --steps 2"
    probabilities = []
    for calibration in ("none", "temperature"):
        run = tmp_path / calibration
        command = ["train", "--data", str(tmp_path / "t.csv"), "--output", str(run), "--calibrate", calibration]
        assert main([*command, *flags.split()]) == 0
        assert restore(build_learner, run).score()["nll"] < 1
        probabilities.append(sdebnn.load(run).predict(X).probabilities)
    assert np.abs(probabilities[0] - probabilities[1]).max() > 1e-3
    temperature = SDEBNNClassifier.load(tmp_path / "temperature").temperature_
    sharper = np.abs(probabilities[1] - 0.5).mean() > np.abs(probabilities[0] - 0.5).mean()
    assert sharper == (temperature < 1)


def test_where_there_is_nothing_to_fit_it_on_it_is_refused(tmp_path: pathlib.Path) -> None:
    counts = np.arange(200) % 5
    for parameters in ({"early_stopping": False, "likelihood": "gaussian"}, {"likelihood": "poisson"}):
        with pytest.raises(InputError, match="take calibrate='none'"):
            SDEBNNRegressor(**QUICK, calibrate="temperature", **parameters).fit(X, counts)
    with pytest.raises(InputError, match="calibrate='platt' is not allowed: it takes none, temperature"):
        SDEBNNRegressor(**QUICK, calibrate="platt").fit(X, Y[:, 0])
    config = TrainConfig(calibrate="temperature", data="b20")
    with pytest.raises(InputError, match="take tuning='folds'"):
        start_run(build_learner, config, tmp_path / "run")
