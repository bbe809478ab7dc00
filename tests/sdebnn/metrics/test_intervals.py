import numpy as np
import pytest
import scipy.stats

from sdebnn import metrics
from sdebnn.errors import InputError
from sdebnn.metrics.intervals import bisect

RNG = np.random.default_rng(0)
MEANS, STD = RNG.normal(size=(3, 6, 2)), np.array([0.5, 2.0])


def test_interval_coverage_includes_both_ends() -> None:
    y, zero, one = np.array([0.0, 1.0, 1.1, 0.5]), np.zeros(4), np.ones(4)
    assert metrics.interval_coverage(y, zero, one) == 0.75


def test_width_and_score_of_a_worked_example() -> None:
    y, low, high = np.array([0.5, 1.25, -1.0]), np.zeros(3), np.array([1.0, 1.0, 3.0])
    assert metrics.interval_width(low, high) == pytest.approx(5 / 3)
    # Beyond their intervals by 0, 1/4 and 1, which count tenfold where a fifth may lie beyond.
    assert metrics.interval_score(y, low, high, confidence_level=0.8) == pytest.approx((1 + 1 + 2.5 + 3 + 10) / 3)


def test_the_score_is_lowest_at_the_true_quantiles_and_is_then_what_the_gaussian_law_says() -> None:
    y = scipy.stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    z = scipy.stats.norm.ppf(0.975)

    def score(low: float, high: float) -> float:
        return metrics.interval_score(y, np.full_like(y, low), np.full_like(y, high))

    best = score(-z, z)
    assert best == pytest.approx(4 * scipy.stats.norm.pdf(z) / 0.05, rel=1e-4)
    for low, high in ((-z - 0.1, z), (-z, z + 0.1), (-z + 0.1, z), (-z, z - 0.1)):
        assert score(low, high) > best + 1e-3


@pytest.mark.parametrize("noise", metrics.NOISE_LAWS)
@pytest.mark.parametrize("q", [1e-6, 0.025, 0.5, 0.9, 1 - 1e-6])
def test_the_quantile_is_the_inverse_of_the_distribution_function(noise: str, q: float) -> None:
    found = metrics.mixture_quantile(q, MEANS, STD, noise=noise)
    np.testing.assert_allclose(metrics.mixture_cdf(found, MEANS, STD, noise=noise), np.full((6, 2), q), rtol=1e-6)
    one = metrics.mixture_quantile(q, MEANS[:1], STD, noise=noise)
    np.testing.assert_allclose(one, MEANS[0] + STD * metrics.NOISE_LAWS[noise].distribution().ppf(q), rtol=1e-9)


def test_quantiles_of_targets_of_any_size_and_far_from_zero() -> None:
    for scale, shift in ((1e-9, 0.0), (1e12, 0.0), (1.0, 1e9)):
        found = metrics.mixture_quantile(0.3, MEANS * scale + shift, STD * scale)
        expected = metrics.mixture_quantile(0.3, MEANS, STD) * scale + shift
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * scale)


def test_bisection_finds_the_first_value_of_a_distribution_with_steps_however_far() -> None:
    counts = scipy.stats.poisson(np.array([0.5, 1e4]))
    below, above = bisect(counts.cdf, 0.975, np.zeros(2), np.ones(2))
    np.testing.assert_allclose(above, counts.ppf(0.975), rtol=1e-9)
    assert (below < counts.ppf(0.975)).all()
    assert (above >= counts.ppf(0.975)).all()


def test_refusals() -> None:
    y = np.zeros(3)
    for score in (metrics.interval_coverage, metrics.interval_score):
        with pytest.raises(InputError, match="lower is above upper"):
            score(y, y + 1, y)
        with pytest.raises(InputError, match=r"upper has shape \(2,\) but y has \(3,\)"):
            score(y, y, y[:2])
    with pytest.raises(InputError, match=r"confidence_level=95.0 is not allowed: it takes a number between 0 and 1"):
        metrics.interval_score(y, y, y, confidence_level=95.0)
    with pytest.raises(InputError, match=r"q=0.0 is not allowed"):
        metrics.mixture_quantile(0.0, MEANS, STD)
    with pytest.raises(InputError, match=r"\(samples, examples\) or \(samples, examples, targets\) is needed"):
        metrics.mixture_quantile(0.5, y, 1.0)
    with pytest.raises(InputError, match="does not broadcast to y's"):
        metrics.mixture_quantile(0.5, MEANS, np.ones(3))
