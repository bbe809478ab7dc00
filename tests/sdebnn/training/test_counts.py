"""Counts by their own law: whole numbers are neither standardised nor classes, and their intervals hold them."""

import importlib
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest
import torch
from scipy import stats

import sdebnn
from sdebnn.cli import main
from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.estimators import SDEBNNRegressor
from sdebnn.frameworks import build_learner
from sdebnn.runs import TrainConfig
from sdebnn.training import restore, start_run

DRAWN = True
RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (300, 2))
RATE = np.exp(1.5 * X[:, 0])
COUNTS = RNG.poisson(RATE)
SMALL: dict[str, Any] = {
    "width": 8, "n_members": 2, "n_posterior_samples": 4, "n_solver_steps": 2, "max_iter": 200, "sigma": 0.2,
    "random_state": 0, "likelihood": "poisson",
}  # fmt: skip


@pytest.fixture(autouse=True)
def as_optax_needs_it() -> Iterator[None]:
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_an_estimator_learns_rates(framework: str, tmp_path: pathlib.Path) -> None:
    fitted = SDEBNNRegressor(framework=framework, **SMALL).fit(X, COUNTS)
    found = fitted.posterior_.log_prob(X, COUNTS).mean()
    truth, constant = (stats.poisson(rate).logpmf(COUNTS).mean() for rate in (RATE, COUNTS.mean()))
    assert constant + 0.2 < found < truth + 0.05
    assert found > truth - 0.1
    # Quantiles are the first whole numbers with as much probability, under the mixture by scipy.
    rates = np.exp(20 * np.tanh(fitted.posterior_.outputs(X)[..., 0].astype(float) / 20))
    for q in (0.025, 0.5, 0.975):
        quantile = fitted.predict_quantiles(X, q)
        np.testing.assert_array_equal(quantile, np.rint(quantile))
        assert (stats.poisson(rates).cdf(quantile).mean(axis=0) >= q - 1e-5).all()
        assert (stats.poisson(rates).cdf(quantile - 1).mean(axis=0) < q + 1e-5).all()
    drawn = fitted.sample_y(X, 50)
    np.testing.assert_array_equal(drawn, np.rint(drawn))
    fitted.save(tmp_path / "run")
    np.testing.assert_allclose(sdebnn.load(tmp_path / "run").predict(X).mean[:, 0], fitted.predict(X), rtol=1e-5)


def test_a_table_is_learned_and_read_back(tmp_path: pathlib.Path) -> None:
    # Few whole numbers, which would be classes.
    seen = np.minimum(COUNTS, 4)
    pl.DataFrame({"a": 1e3 * X[:, 0], "visits": seen}).write_csv(tmp_path / "table.csv")
    flags = "--target visits --likelihood poisson --framework torch --max-steps 200 --members 2 --width 8 --steps 2"
    run = tmp_path / "run"
    assert main(["train", "--data", str(tmp_path / "table.csv"), "--output", str(run), *flags.split()]) == 0
    restored = restore(build_learner, run)
    assert restored.dataset.task == "regression"
    np.testing.assert_array_equal(restored.dataset.y_train, np.rint(restored.dataset.y_train))
    scores = restored.score()
    constant = stats.poisson(seen.mean()).logpmf(restored.dataset.y_test[:, 0]).mean()
    assert scores["log_likelihood"] > constant + 0.05
    # Of a law with steps intervals hold more than they have to; with its upper ends left out they would hold less.
    assert 0.95 < scores["coverage_95"] <= 1.0


@pytest.mark.parametrize("framework", ["jax", "torch"])
@pytest.mark.parametrize("rate", [0.3, 5.0, 16.0, 700.0, 1100.0, 1e5, 1e7])
def test_probabilities_of_counts_of_any_size_are_those_of_scipy(framework: str, rate: float) -> None:
    deviations = np.linspace(-4, 4, 9)
    counts = np.unique(np.maximum(np.rint(rate + deviations * np.sqrt(rate)), 0))[:, None]
    # The network's number, of which the logarithm of the rate is a bounded one.
    output = 20 * np.arctanh(np.log(rate) / 20)
    module = importlib.import_module(f"sdebnn.{'brax' if framework == 'jax' else 'torchbnn'}.learning.likelihoods")
    of = jnp.asarray if framework == "jax" else torch.tensor
    given: tuple[Any, Any, Any] = {}, of(np.full(counts.shape, output, np.float32)), of(counts.astype(np.float32))
    law = stats.poisson(rate)
    # A rate in single precision is known to a few parts in a million.
    doubt = 1e-5 + 4e-6 * np.sqrt(rate)
    found = np.asarray(module.Poisson(1).log_prob(*given))
    np.testing.assert_allclose(found, law.logpmf(counts[:, 0]), rtol=1e-5, atol=4 * doubt)
    np.testing.assert_allclose(np.asarray(module.Poisson(1).cdf(*given)), law.cdf(counts), atol=doubt)


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        (COUNTS - 1.0, "'y' of SDEBNNRegressor is -1 in row"),
        (COUNTS + 2.0**25, r"whole numbers from 0 to 16777216, and the target 'y' .* is 3.355\d+e\+07 in row 0"),
        (COUNTS + 0.5, r"'y' of SDEBNNRegressor is \d.5 in row 0, counted from 0, one of 300 that"),
    ],
)
def test_what_are_no_counts_is_refused(counts: np.ndarray, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        SDEBNNRegressor(framework="torch", **SMALL).fit(X, counts)


def test_standardised_counts_are_refused(tmp_path: pathlib.Path) -> None:
    frame = pl.DataFrame({"a": X[:, 0], "visits": COUNTS})
    config = TrainConfig(framework="torch", likelihood="poisson", epochs=1)
    data = Dataset.from_frame(frame, "visits", task="regression")
    with pytest.raises(InputError, match=r"'visits' of table is standardised; .*scale='inputs'"):
        start_run(build_learner, config, tmp_path / "run", dataset=data)
