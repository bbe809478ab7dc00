"""A temperature is the number that undoes an error of scale, and whatever reads a run has it."""

import pathlib
from typing import Any, Literal
from unittest.mock import Mock

import numpy as np
import polars as pl
import pytest
from scipy import stats

import sdebnn
from sdebnn.cli import main
from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.estimators import SDEBNNClassifier, SDEBNNRegressor
from sdebnn.frameworks import build_learner, gather
from sdebnn.runs import TrainConfig
from sdebnn.training import restore, start_run
from sdebnn.training.building import built
from sdebnn.training.calibration import NUMBERS_FOR_ONE, at_temperature, calibrate, tried_temperatures
from sdebnn.training.committee import Examples, Trained, train_committee
from sdebnn.training.learner import Learner

QUICK: dict[str, Any] = {
    "framework": "torch", "width": 8, "n_members": 2, "n_posterior_samples": 4, "n_solver_steps": 2, "max_iter": 40,
    "sigma": 0.2, "random_state": 0,
}  # fmt: skip
LOG_STD = "average/likelihood/log_std"
RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 2)).astype(np.float32)
Y = (X[:, :1] + 0.3 * RNG.normal(size=(200, 1))).astype(np.float32)
LABELS = (Y[:, 0] > 0.2).astype(np.int32)


@pytest.mark.parametrize("likelihood", ["categorical", "gaussian", "gaussian_input", "student_t_input"])
def test_it_undoes_an_error_of_scale(likelihood: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logits three times as large, or noise a third as wide, have three times the temperature, and the same law."""
    monkeypatch.setattr("sdebnn.training.calibration.NUMBERS_FOR_ONE", 0.0)
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


def constant(centre: float) -> Mock:
    """A member with one posterior sample, which says N(centre, scale^2) of every example."""
    member, average = Mock(spec=Learner), {LOG_STD: np.zeros(1)}
    member.load_average = average.update
    member.outputs = lambda x: np.full((1, len(x), 1), centre)

    def of_likelihood(method: str, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return stats.norm.logpdf(targets, outputs, np.exp(average[LOG_STD])).sum(axis=2)

    member.of_likelihood = of_likelihood
    return member


def fitted_scale(y: np.ndarray, centres: list[float], weights: np.ndarray | None = None) -> float:
    """That of so many members, whose noise has a deviation of 1."""
    averages = [{LOG_STD: np.zeros(1)} for _ in centres]
    both = Mock(spec=Learner, members=[constant(centre) for centre in centres])
    config = TrainConfig(likelihood="gaussian", members=len(centres))
    trained = Trained(config, averages, [1] * len(centres), 0.0, [], [], {})
    examples = Examples(np.zeros((len(y), 1), np.float32), y[:, None], np.ones(len(y)) if weights is None else weights)
    return calibrate(both, trained, examples, None, 0.4)


def test_it_is_the_size_of_errors_and_ten_examples_say_one() -> None:
    """All examples are held out by five members that hold out two fifths: what is fitted is s that minimises
    n log s + sum(y^2) / (2 s^2) + 10 log(s)^2, where the derivative by log s is zero; with weights n is (sum w)^2 /
    sum(w^2)."""
    y = 0.3 * np.random.default_rng(0).normal(size=400)
    weights = np.where(y > 0, 1.5, 0.5)
    for of_examples in (np.ones(400), weights / weights.mean()):
        s = fitted_scale(y, [0.0] * 5, of_examples)
        size = of_examples.sum() ** 2 / (of_examples**2).sum()
        assert size * (1 - np.average(y**2, weights=of_examples) / s**2) + 2 * NUMBERS_FOR_ONE * np.log(
            s
        ) == pytest.approx(0, abs=0.1)
    # Of few it says little, and as little of few that have all of the weight.
    of_few = fitted_scale(y[:10], [0.0] * 5)
    assert 0.4 < of_few < 0.9
    ten = np.where(np.arange(400) < 10, 1.0, 1e-6)
    assert fitted_scale(y, [0.0] * 5, ten) == pytest.approx(of_few, rel=0.01)


def test_what_is_right_stays() -> None:
    assert fitted_scale(np.random.default_rng(1).normal(size=4000), [0.0] * 5) == pytest.approx(1, abs=0.03)


def test_members_are_judged_at_several_temperatures_only_where_one_is_fitted() -> None:
    auto = TrainConfig.for_table(likelihood="student_t_input")
    several = tried_temperatures(auto, None, 0.1)
    assert 1 in several
    assert np.ptp(np.diff(np.log(several))) == pytest.approx(0, abs=1e-12)
    assert tried_temperatures(auto, None, 0.0) == (1,)
    for likelihood, classes, choices in (
        ("categorical", 3, {"calibrate": "temperature"}), ("gaussian", None, {"calibrate": "none"}),
        ("poisson", None, {}),
    ):  # fmt: skip
        config = TrainConfig.for_table(likelihood=likelihood, **choices)
        assert tried_temperatures(config, classes, 0.1) == (1,)


def test_what_two_members_differ_by_is_no_noise() -> None:
    """Members lie .5 to both sides of targets with noise of .6, and neighbours that share examples on different ones.
    Each alone errs by the root of .6^2 + .5^2. The mixture of two has half of that from its own width."""
    y = 0.6 * np.random.default_rng(2).normal(size=20_000)
    centres = [-0.5, 0.5, -0.5, 0.5]
    found = fitted_scale(y, centres)
    alone = fitted_scale(y, [0.5] * 4)
    assert alone == pytest.approx(np.hypot(0.6, 0.5), rel=0.02)
    s = np.geomspace(0.1, 1, 1000)[:, None]
    # By quadrature: the mean over the law of y of the log-density of the mixture.
    z, w = np.polynomial.hermite_e.hermegauss(60)
    log_density = np.logaddexp(stats.norm.logpdf(0.6 * z, -0.5, s), stats.norm.logpdf(0.6 * z, 0.5, s)) @ w
    assert found == pytest.approx(s[log_density.argmax(), 0], rel=0.03)
    assert found < 0.5 < 0.7 < alone


def test_what_an_estimator_keeps_has_it(tmp_path: pathlib.Path) -> None:
    plain = SDEBNNRegressor(**QUICK, calibrate="none").fit(X, Y[:, 0])
    fitted = SDEBNNRegressor(**QUICK).fit(X, Y[:, 0])
    assert plain.temperature_ == 1 != fitted.temperature_
    np.testing.assert_allclose(fitted.predict(X), plain.predict(X), rtol=1e-5)
    noise = [model.predict_uncertainty(X).aleatoric[:, 0] for model in (plain, fitted)]
    np.testing.assert_allclose(noise[1], fitted.temperature_ * noise[0], rtol=1e-2)
    fitted.save(tmp_path / "run")
    loaded = SDEBNNRegressor.load(tmp_path / "run")
    assert loaded.temperature_ == fitted.temperature_
    assert loaded.calibrate == "auto"
    np.testing.assert_allclose(loaded.predict(X, return_std=True)[1], fitted.predict(X, return_std=True)[1], rtol=1e-5)


def test_labels_counts_and_fits_that_hold_nothing_out_have_none_by_default() -> None:
    assert SDEBNNClassifier(**QUICK).fit(X, LABELS).temperature_ == 1
    for parameters in ({"early_stopping": False, "likelihood": "gaussian"}, {"likelihood": "poisson"}):
        assert SDEBNNRegressor(**QUICK, **parameters).fit(X, np.arange(200) % 5).temperature_ == 1


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


def test_a_run_names_its_noise_and_an_older_one_is_read_as_what_it_was(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pl.DataFrame({"a": X[:, 0], "b": X[:, 1], "price": Y[:, 0]}).write_csv(tmp_path / "t.csv")
    flags = "--target price --framework torch --max-steps 20 --members 2 --width 8 --steps 2 --sigma 0.2"
    for run, recorded, noise in (("new", "student_t_input", "log_scale"), ("old", "auto", "log_std")):
        monkeypatch.setattr("sdebnn.training.run.OF_FOLDS", recorded)
        command = ["train", "--data", str(tmp_path / "t.csv"), "--output", str(tmp_path / run)]
        assert main([*command, *flags.split()]) == 0
        loaded = sdebnn.load(tmp_path / run)
        assert loaded.config.likelihood == recorded
        assert any(name.endswith(f"likelihood/{noise}") for name in loaded.learner.state())


def test_where_there_is_nothing_to_fit_it_on_it_is_refused(tmp_path: pathlib.Path) -> None:
    counts = np.arange(200) % 5
    for parameters in ({"early_stopping": False, "likelihood": "gaussian"}, {"likelihood": "poisson"}):
        with pytest.raises(InputError, match="take calibrate='none'"):
            SDEBNNRegressor(**QUICK, calibrate="temperature", **parameters).fit(X, counts)
    with pytest.raises(InputError, match="calibrate='platt' is not allowed: it takes auto, none, temperature"):
        SDEBNNRegressor(**QUICK, calibrate="platt").fit(X, Y[:, 0])
    config = TrainConfig(calibrate="temperature", data="b20")
    with pytest.raises(InputError, match="take tuning='folds'"):
        start_run(build_learner, config, tmp_path / "run")
