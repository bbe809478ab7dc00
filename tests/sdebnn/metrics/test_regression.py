import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from sdebnn import metrics
from sdebnn.errors import InputError

RNG = np.random.default_rng(0)
Y = RNG.normal(size=(6, 2))
MEANS = RNG.normal(size=(3, 6, 2))
STD = np.array([0.5, 2.0])


def test_rmse() -> None:
    assert metrics.rmse(np.array([1.0, 2.0]), np.array([1.0, 4.0])) == pytest.approx(math.sqrt(2))


def test_gaussian_log_likelihood_sums_over_targets_and_means_over_examples() -> None:
    expected = scipy.stats.norm.logpdf(Y, MEANS[0], STD).sum(axis=1).mean()
    assert metrics.gaussian_log_likelihood(Y, MEANS[0], STD) == pytest.approx(expected, rel=1e-12)
    flat = scipy.stats.norm.logpdf(Y[:, 0], MEANS[0, :, 0], 0.5).mean()
    assert metrics.gaussian_log_likelihood(Y[:, 0], MEANS[0, :, 0], np.array(0.5)) == pytest.approx(flat, rel=1e-12)


def test_a_mixture_averages_densities_not_their_logarithms() -> None:
    density = scipy.stats.norm.pdf(Y, MEANS, STD).prod(axis=2).mean(axis=0)
    assert metrics.mixture_log_likelihood(Y, MEANS, STD) == pytest.approx(np.log(density).mean(), rel=1e-12)
    far = metrics.mixture_log_likelihood(np.array([1e3]), np.array([[0.0], [0.0]]), np.array(1.0))
    assert far == pytest.approx(-0.5e6 - 0.5 * math.log(2 * math.pi))


def test_the_mixture_cdf_agrees_with_scipy_and_is_uniform_for_its_own_draws() -> None:
    np.testing.assert_allclose(metrics.mixture_cdf(Y, MEANS, STD), scipy.stats.norm.cdf(Y, MEANS, STD).mean(axis=0))
    rng = np.random.default_rng(1)
    means = np.tile(np.array([[-2.0], [1.0]]), (1, 4000))
    draws = rng.choice([-2.0, 1.0], size=4000) + 0.5 * rng.normal(size=4000)
    assert scipy.stats.kstest(metrics.mixture_cdf(draws, means, np.array(0.5)), "uniform").pvalue > 0.01


def crps_by_quadrature(cdf: object, y: float, low: float, high: float) -> float:
    below = scipy.integrate.quad(lambda x: cdf(x) ** 2, low, y, limit=500)[0]
    return below + scipy.integrate.quad(lambda x: (1 - cdf(x)) ** 2, y, high, limit=500)[0]


@pytest.mark.parametrize(("y", "mean", "std"), [(0.3, 0.0, 1.0), (-2.0, 1.0, 0.5), (4.0, 4.0, 3.0)])
def test_the_crps_of_a_gaussian_is_its_integral(y: float, mean: float, std: float) -> None:
    expected = crps_by_quadrature(scipy.stats.norm(mean, std).cdf, y, mean - 12 * std, max(y, mean) + 12 * std)
    assert metrics.crps_gaussian(np.array([y]), np.array([mean]), np.array([std])) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("y", [-1.0, 0.4, 0.5, 3.0])
def test_the_crps_of_samples_is_the_integral_of_their_steps(y: float) -> None:
    samples = np.array([0.5, -0.2, 0.5, 1.7, 0.1])
    edges = np.sort(np.append(samples, y))
    share = np.array([np.mean(samples <= x) for x in edges[:-1]])
    expected = np.sum(np.diff(edges) * (share - (edges[:-1] >= y)) ** 2)
    assert metrics.crps_samples(np.array([y]), samples[:, None]) == pytest.approx(expected, rel=1e-12)


def test_the_crps_of_one_sample_is_its_distance_and_of_many_the_gaussians() -> None:
    assert metrics.crps_samples(np.array([1.0, 2.0]), np.array([[0.0, 4.0]])) == 1.5
    samples = 1.0 + 0.5 * np.random.default_rng(2).normal(size=(20_000, 1))
    exact = metrics.crps_gaussian(np.array([0.2]), np.array([1.0]), np.array([0.5]))
    assert metrics.crps_samples(np.array([0.2]), samples) == pytest.approx(exact, abs=4 * 0.5 / math.sqrt(20_000))


def test_refuses_what_numpy_would_broadcast() -> None:
    with pytest.raises(InputError, match=r"mean has shape \(6, 1\) but y has \(6,\)"):
        metrics.rmse(np.zeros(6), np.zeros((6, 1)))
    with pytest.raises(InputError, match=r"Predictions have shape \(6, 1\) a sample but y has \(6,\)"):
        metrics.crps_samples(np.zeros(6), np.zeros((3, 6, 1)))


def test_refuses_bad_numbers_with_a_sentence() -> None:
    y = np.zeros(3)
    with pytest.raises(InputError, match="std goes down to 0; it must be above 0"):
        metrics.gaussian_log_likelihood(y, y, np.array(0.0))
    with pytest.raises(InputError, match="does not broadcast"):
        metrics.gaussian_log_likelihood(y, y, np.ones(2))
    with pytest.raises(InputError, match="y holds NaN"):
        metrics.rmse(np.array([np.nan]), np.zeros(1))
    with pytest.raises(InputError, match=r"y has shape \(\)"):
        metrics.crps_gaussian(np.array(0.0), np.array(0.0), np.array(1.0))
