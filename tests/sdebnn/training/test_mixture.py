"""Quantiles and draws of the mixture over posterior samples, against SciPy's laws."""

import numpy as np
import pytest
from scipy import stats

from sdebnn.training.mixture import Mixture
from sdebnn.training.predictions import central_interval, target_pit

RNG = np.random.default_rng(0)
OUTPUTS = RNG.normal(size=(5, 7, 2)).astype(np.float32) * [1.0, 100.0]
UNITS = np.array([3.0, -1e6]), np.array([2.0, 1e4])


class Law:
    """A `Predictive` whose outputs are centres of a law of SciPy, of scale 0.5."""

    def __init__(self, law, cdf: bool = True) -> None:
        self.law, self.has_cdf = law, cdf

    def outputs(self, x):
        return x

    def of_likelihood(self, method, outputs, targets=None, *, seed=0):
        if method == "mean":
            return outputs
        if method == "variance":
            return np.full(outputs.shape, 0.25 * self.law.var())
        if method == "cdf":
            return self.law.cdf((targets[None] - outputs) / 0.5) if self.has_cdf else None
        return outputs + 0.5 * self.law.rvs(size=outputs.shape, random_state=seed)


def below(law, y):
    """The probability of values up to `y`, which are in the user's units."""
    return law.cdf(((y - UNITS[0]) / UNITS[1] - OUTPUTS) / 0.5).mean(axis=0)


@pytest.mark.parametrize("law", [stats.norm, stats.cauchy, stats.t(4)], ids=["gaussian", "cauchy", "student_t"])
@pytest.mark.parametrize("q", [1e-4, 0.025, 0.5, 0.975])
def test_quantiles_are_those_of_the_mixture(law, q: float) -> None:
    found = Mixture(Law(law), OUTPUTS, *UNITS).quantile(q)
    assert found.shape == (7, 2)
    np.testing.assert_allclose(below(law, found), q, rtol=1e-3)


def test_the_quantiles_of_one_sample_are_those_of_its_law() -> None:
    found = Mixture(Law(stats.norm), OUTPUTS[:1], *UNITS).quantile(0.975)
    np.testing.assert_allclose(found, UNITS[0] + UNITS[1] * stats.norm.ppf(0.975, OUTPUTS[0], 0.5), rtol=1e-6)


def test_two_far_modes_are_not_taken_for_one_gaussian() -> None:
    outputs = np.array([-100.0, 100.0], np.float32).reshape(2, 1, 1)
    found = Mixture(Law(stats.norm), outputs, np.zeros(1), np.ones(1)).quantile(0.75)
    # The half of the upper mode, where a Gaussian with the same moments would say 67.
    np.testing.assert_allclose(found, 100.0, atol=1e-3)


def test_without_a_cdf_quantiles_are_those_of_draws() -> None:
    found = Mixture(Law(stats.norm, cdf=False), OUTPUTS, *UNITS).quantile(0.3)
    # Of 1,000 draws, stratified over the samples: within four standard errors of a share.
    np.testing.assert_allclose(below(stats.norm, found), 0.3, atol=4 * np.sqrt(0.3 * 0.7 / 1000))


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1e-200), (-1e250, 1e200), (1e15, 1.0)])
def test_deviations_are_those_of_any_unit(shift: float, scale: float) -> None:
    outputs = OUTPUTS.astype(np.float64)
    mean, std, epistemic = Mixture(Law(stats.norm), outputs, np.full(2, shift), np.full(2, scale)).moments()
    np.testing.assert_allclose(mean, shift + scale * outputs.mean(axis=0))
    np.testing.assert_allclose(epistemic / scale, outputs.std(axis=0))
    np.testing.assert_allclose(std / scale, np.sqrt(outputs.var(axis=0) + 0.25))


def test_draws_follow_the_mixture() -> None:
    mixture = Mixture(Law(stats.norm), OUTPUTS, *UNITS)
    drawn = mixture.sample(np.random.default_rng(1), 2000)
    assert drawn.shape == (2000, 7, 2)
    for example in range(7):
        for target in range(2):
            law = lambda y, e=example, t=target: stats.norm.cdf(  # noqa: E731
                ((y - UNITS[0][t]) / UNITS[1][t] - OUTPUTS[:, e, t][:, None]) / 0.5
            ).mean(axis=0)
            assert stats.kstest(drawn[:, example, target], law).pvalue > 1e-4
    np.testing.assert_array_equal(drawn, mixture.sample(np.random.default_rng(1), 2000))
    assert (drawn != mixture.sample(np.random.default_rng(2), 2000)).all()


def test_a_draw_is_of_one_posterior_sample_for_all_examples() -> None:
    apart = np.repeat(1000.0 * np.arange(5.0), 7).reshape(5, 7, 1).astype(np.float32)
    drawn = Mixture(Law(stats.norm), apart, np.zeros(1), np.ones(1)).sample(np.random.default_rng(0), 50)
    of_sample = np.round(drawn[..., 0] / 1000)
    assert (of_sample == of_sample[:, :1]).all()
    assert len(np.unique(of_sample)) == 5


@pytest.mark.parametrize("law", [stats.norm, stats.cauchy], ids=["gaussian", "cauchy"])
def test_the_central_interval_holds_as_much_on_either_side(law) -> None:
    lower, upper = central_interval(Law(law), OUTPUTS)
    for ends, share in ((lower, 0.025), (upper, 0.975)):
        np.testing.assert_allclose(law.cdf((ends - OUTPUTS) / 0.5).mean(axis=0), share, rtol=1e-3)


class Counts(Law):
    """A `Predictive` of counts, whose rates its outputs are."""

    def of_likelihood(self, method, outputs, targets=None, *, seed=0):
        return stats.poisson(outputs).cdf(np.broadcast_to(targets, outputs.shape)) if method == "cdf" else outputs


@pytest.mark.parametrize("rate", [0.01, 0.5, 9.0, 1000.0])
def test_a_count_that_is_an_end_lies_in_its_interval(rate: float) -> None:
    lower, upper = central_interval(Counts(stats.poisson), np.full((2, 3, 1), rate))
    low, high = stats.poisson.ppf([0.025, 0.975], rate)
    assert ((lower <= low) & (low - 1 < lower) & (high <= upper) & (upper < high + 1)).all()


@pytest.mark.parametrize("cdf", [True, False])
def test_the_transform_is_that_of_the_mixture(cdf: bool) -> None:
    y = np.array([[0.3, -20.0]] * 7)
    # Of 1,000 draws, stratified over the samples: within five standard errors.
    tolerance = 1e-12 if cdf else 5 * 0.5 / np.sqrt(1000)
    expected = stats.norm.cdf((y - OUTPUTS) / 0.5).mean(axis=0)
    np.testing.assert_allclose(target_pit(Law(stats.norm, cdf=cdf), OUTPUTS, y), expected, atol=tolerance)
