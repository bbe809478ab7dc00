import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import torch

from sdebnn import brax, torchbnn
from sdebnn.brax.learning.likelihoods import LIKELIHOODS as THEIRS
from sdebnn.errors import InputError
from sdebnn.metrics.noise_laws import TARGET_LAWS
from sdebnn.runs import TrainConfig
from sdebnn.torchbnn.learning.likelihoods import LIKELIHOODS, initial_params

OUTPUTS = np.asarray([[0.0, 2.0], [1.5, -1.0], [0.2, 0.1]])
COUNTS = np.asarray([[0.0, 3.0], [4.0, 0.0], [1.0, 20.0]])
TARGETS = {"categorical": np.asarray([1, 0, 1], np.int32), "poisson": COUNTS}
REAL = np.asarray([[0.5, 0.0], [3.0, 8.0], [-20.0, 0.1]])


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_all_that_a_likelihood_says_is_what_that_of_jax_says(x64, name: str) -> None:
    targets = TARGETS.get(name, REAL)
    ours, theirs = LIKELIHOODS[name](2), THEIRS[name](2)
    start = {key: jnp.asarray(value, jnp.float64) for key, value in theirs.init().items()}
    assert ours.outputs == theirs.outputs
    assert ours.init().keys() == start.keys()
    for key, tensor in ours.init().items():
        np.testing.assert_allclose(tensor, start[key], rtol=1e-6)
    outputs = np.tile(OUTPUTS, (1, ours.outputs // 2))
    params = {key: np.asarray([-0.7, 0.4]) for key in start}
    tensors = {key: torch.from_numpy(value) for key, value in params.items()}
    of_jax = {key: jnp.asarray(value) for key, value in params.items()}
    for method in ("log_prob", "mean", *(("variance", "cdf") if name != "categorical" else ())):
        arguments = (outputs, targets) if method in ("log_prob", "cdf") else (outputs,)
        expected = getattr(theirs, method)(of_jax, *map(jnp.asarray, arguments))
        got = getattr(ours, method)(tensors, *map(torch.from_numpy, arguments))
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-15, err_msg=method)


@pytest.mark.parametrize("name", [name for name in LIKELIHOODS if name != "poisson"])
def test_draws_are_of_the_law(name: str) -> None:
    """4,000 draws in either framework: quartiles within four standard errors, of a density of 0.3 at least there."""
    ours, theirs = LIKELIHOODS[name](1), THEIRS[name](1)
    outputs = np.full((4000, ours.outputs), 0.3, np.float32)
    if name == "categorical":
        ours, theirs, outputs = LIKELIHOODS[name](2), THEIRS[name](2), np.tile(np.array([0, 1], np.float32), (4000, 1))
    drawn = [
        np.asarray(theirs.sample(theirs.init(), jnp.asarray(outputs), jax.random.key(0))),
        ours.sample(ours.init(), torch.from_numpy(outputs), torch.Generator().manual_seed(0)).numpy(),
    ]
    for draws in drawn:
        if name == "categorical":
            p = 1 / (1 + np.exp(-1.0))
            assert draws.mean() == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / 4000))
            continue
        below = theirs.cdf(theirs.init(), jnp.asarray(outputs), jnp.asarray(draws))
        for quarter in (0.25, 0.5, 0.75):
            error = 4 * np.sqrt(quarter * (1 - quarter) / 4000)
            assert np.mean(np.asarray(below) <= quarter) == pytest.approx(quarter, abs=error)


@pytest.mark.parametrize("name", [name for name in LIKELIHOODS if name != "categorical"])
def test_targets_that_are_no_column_are_refused(name: str) -> None:
    likelihood = LIKELIHOODS[name](1)
    with pytest.raises(InputError, match=r"shape \(4,\) and outputs \(4, 1\).*y\[:, None\]"):
        likelihood.log_prob(likelihood.init(), torch.zeros(4, likelihood.outputs), torch.zeros(4))


def test_every_law_of_targets_has_its_likelihood_in_both_frameworks() -> None:
    assert list(LIKELIHOODS) == list(THEIRS) == ["categorical", *TARGET_LAWS]
    for package, likelihoods in ((torchbnn, LIKELIHOODS), (brax, THEIRS)):
        assert all(getattr(package, law.__name__) is law for law in likelihoods.values())
        assert {law.__name__ for law in likelihoods.values()} <= set(package.__all__)
    for name in LIKELIHOODS:
        assert TrainConfig.from_json({"likelihood": name}).likelihood == name


def test_likelihoods_of_one_size_are_not_the_same() -> None:
    for likelihoods in (LIKELIHOODS, THEIRS):
        assert len({law(1) for law in likelihoods.values()}) == len(likelihoods)


class Starts:
    outputs = 1

    def __init__(self, params) -> None:
        self.params = params

    def init(self):
        return self.params


def test_parameters_start_from_numbers_and_arrays_too() -> None:
    params = initial_params(Starts({"a": 0.5, "b": np.array([1.0, 2.0]), "c": torch.ones(2, dtype=torch.float64)}))
    assert {name: (p.dtype, tuple(p.shape)) for name, p in params.items()} == {
        "a": (torch.float32, ()), "b": (torch.float32, (2,)), "c": (torch.float64, (2,)),
    }  # fmt: skip
    assert all(p.requires_grad for p in params.values())


@pytest.mark.parametrize(("params", "says"), [([1.0], "gave a list"), ({"k": 3}, "'k' .* is torch.int64")])
def test_parameters_that_cannot_be_trained_are_refused(params, says: str) -> None:
    with pytest.raises(InputError, match=says):
        initial_params(Starts(params))


@pytest.mark.parametrize("dof", [0.7, 2.0, 5.5])
def test_students_law_of_other_degrees_of_freedom(x64, dof: float) -> None:
    log_scale = np.asarray([-0.7, 0.4])
    law = scipy.stats.t(dof, OUTPUTS, np.exp(log_scale))
    variance = np.exp(2 * log_scale) * (dof / (dof - 2) if dof > 2 else np.inf)
    both: Any = (torchbnn.StudentT(2, dof=dof), torch.from_numpy), (brax.StudentT(2, dof=dof), jnp.asarray)
    for likelihood, of in both:
        params, outputs, targets = {"log_scale": of(log_scale)}, of(OUTPUTS), of(REAL)
        np.testing.assert_allclose(
            likelihood.log_prob(params, outputs, targets), law.logpdf(REAL).sum(axis=1), rtol=1e-12
        )
        np.testing.assert_allclose(likelihood.cdf(params, outputs, targets), law.cdf(REAL), rtol=1e-10, atol=1e-15)
        np.testing.assert_allclose(likelihood.cdf(params, outputs, outputs), 0.5)
        np.testing.assert_allclose(
            likelihood.variance(params, outputs), np.broadcast_to(variance, OUTPUTS.shape), rtol=1e-12
        )


@pytest.mark.parametrize("dof", [0.7, 5.5])
def test_draws_of_students_law(dof: float) -> None:
    """Kolmogorov and Smirnov's test at the level of 0.001, of 10,000 draws in either framework."""
    outputs = np.full((10_000, 1), 0.3, np.float32)
    ours, theirs = torchbnn.StudentT(1, dof=dof), brax.StudentT(1, dof=dof)
    generator = torch.Generator().manual_seed(0)
    for drawn in (
        ours.sample(ours.init(), torch.from_numpy(outputs), generator),
        theirs.sample(theirs.init(), jnp.asarray(outputs), jax.random.key(0)),
    ):
        assert scipy.stats.kstest(np.asarray(drawn)[:, 0], scipy.stats.t(dof, 0.3, 0.5).cdf).pvalue > 0.001


def test_gradients_of_students_law_are_those_of_its_formula(x64) -> None:
    # Of log(1 + z^2 / dof) (dof + 1) / 2 + log scale, from z = (y - output) / scale.
    z, scale = (REAL - OUTPUTS) / np.exp([-0.7, 0.4]), np.exp([-0.7, 0.4])
    to_output = 5 * z / (4 + z**2) / scale
    to_log_scale = (5 * z**2 / (4 + z**2) - 1).sum(axis=0)
    log_scale, outputs = torch.tensor([-0.7, 0.4]).double(), torch.from_numpy(OUTPUTS)
    log_scale.requires_grad_()
    outputs = outputs.clone().requires_grad_()
    torchbnn.StudentT(2).log_prob({"log_scale": log_scale}, outputs, torch.from_numpy(REAL)).sum().backward()

    def total(log_scale, outputs):
        return jnp.sum(brax.StudentT(2).log_prob({"log_scale": log_scale}, outputs, jnp.asarray(REAL)))

    theirs = jax.grad(total, (0, 1))(jnp.asarray([-0.7, 0.4]), jnp.asarray(OUTPUTS))
    for of_log_scale, of_output in ((log_scale.grad, outputs.grad), theirs):
        np.testing.assert_allclose(np.asarray(of_log_scale), to_log_scale, rtol=1e-6)
        np.testing.assert_allclose(np.asarray(of_output), to_output, rtol=1e-6)


@pytest.mark.parametrize("dof", [0.0, -1.0, float("nan"), float("inf")])
def test_degrees_of_freedom_that_are_none_are_refused(dof: float) -> None:
    for package in (brax, torchbnn):
        with pytest.raises(InputError, match=f"dof={dof!r}; its degrees of freedom are a finite number above 0"):
            package.StudentT(1, dof=dof)


@pytest.mark.parametrize(
    ("name", "parameter", "law"),
    [
        ("GaussianInput", "log_std", scipy.stats.norm),
        ("StudentTInput", "log_scale", functools.partial(scipy.stats.t, 10)),
    ],
)
def test_the_input_says_how_wide_noise_is(name: str, parameter: str, law: Any, x64) -> None:
    """The centre, then the logarithm of the scale in units of the learned one: scipy's density."""
    learned, outputs = np.asarray([0.5, 2.0]), np.asarray([[0.1, -1.0, 0.3, -0.2], [2.0, 0.0, -0.5, 0.0]])
    targets = np.asarray([[0.4, 1.0], [1.0, 0.1]])
    laws = law(outputs[:, :2], learned * np.exp(outputs[:, 2:]))
    for package, of in ((torchbnn, torch.from_numpy), (brax, jnp.asarray)):
        likelihood, params = getattr(package, name)(2), {parameter: of(np.log(learned))}
        assert likelihood.init().keys() == params.keys()
        # The bound on the logarithm takes up to a third of its cube over 15 squared.
        np.testing.assert_allclose(likelihood.variance(params, of(outputs)), laws.var(), rtol=5.2e-3)
        np.testing.assert_allclose(likelihood.mean(params, of(outputs)), laws.mean())
        got = likelihood.log_prob(params, of(outputs), of(targets))
        np.testing.assert_allclose(got, laws.logpdf(targets).sum(axis=1), rtol=5e-3)
        np.testing.assert_allclose(likelihood.cdf(params, of(outputs), of(targets)), laws.cdf(targets), atol=2e-3)
        far = likelihood.variance(params, of(np.full((1, 4), 1e4)))
        assert np.isfinite(np.asarray(far)).all()


def test_counts_are_of_poissons_law(x64) -> None:
    """Of the law by scipy; the bound on the logarithm takes up to a third of its cube over 20 squared."""
    log_rate = 20 * np.tanh(OUTPUTS / 20)
    law = scipy.stats.poisson(np.exp(log_rate))
    for package, of in ((torchbnn, torch.from_numpy), (brax, jnp.asarray)):
        likelihood, outputs = package.Poisson(2), of(OUTPUTS)
        assert np.abs(np.log(np.asarray(likelihood.mean({}, outputs))) - OUTPUTS).max() < 8 / 3 / 400
        np.testing.assert_allclose(likelihood.mean({}, outputs), law.mean())
        np.testing.assert_allclose(likelihood.variance({}, outputs), law.var())
        np.testing.assert_allclose(
            likelihood.log_prob({}, outputs, of(COUNTS)), law.logpmf(COUNTS).sum(axis=1), rtol=1e-9
        )
        for between in (-0.5, 0.0, 0.4):
            np.testing.assert_allclose(likelihood.cdf({}, outputs, of(COUNTS + between)), law.cdf(COUNTS + between))
        far = likelihood.mean({}, of(np.full((1, 2), 1e4)))
        assert np.isfinite(np.asarray(far)).all()


@pytest.mark.parametrize("log_rate", [-1.0, 3.0])
def test_counts_that_are_drawn(log_rate: float) -> None:
    """Pearson's test at the level of 0.001, of 10,000 draws in either framework, with expected numbers above 5."""
    outputs = np.full((10_000, 1), log_rate, np.float32)
    law = scipy.stats.poisson(np.exp(20 * np.tanh(log_rate / 20)))
    values = np.arange(*law.interval(0.998))
    edges = [-0.5, *(values + 0.5), np.inf]
    expected = 10_000 * np.diff([0.0, *law.cdf(edges[1:-1]), 1.0])
    ours, theirs = torchbnn.Poisson(1), brax.Poisson(1)
    for drawn in (
        ours.sample({}, torch.from_numpy(outputs), torch.Generator().manual_seed(0)),
        theirs.sample({}, jnp.asarray(outputs), jax.random.key(0)),
    ):
        assert np.asarray(drawn).dtype == np.float32
        seen = np.histogram(np.asarray(drawn)[:, 0], edges)[0]
        assert scipy.stats.chisquare(seen, expected).pvalue > 0.001
