import numpy as np
import pytest
import scipy.stats

from sdebnn import metrics
from sdebnn.errors import InputError


def test_the_transform_of_draws_counts_those_below_and_half_of_those_equal() -> None:
    samples = np.array([[0.0, 5.0], [1.0, 5.0], [2.0, 5.0], [2.0, 7.0]])
    np.testing.assert_array_equal(metrics.pit(np.array([2.0, 4.0]), samples), [0.75, 0.0])


def test_it_is_the_distribution_function_of_the_mixture_for_many_draws() -> None:
    rng = np.random.default_rng(0)
    means, y = rng.normal(size=(2, 40, 3)), rng.normal(size=(40, 3))
    draws = means[rng.integers(2, size=20_000)] + 0.7 * rng.normal(size=(20_000, 40, 3))
    exact = metrics.mixture_cdf(y, means, 0.7)
    np.testing.assert_allclose(metrics.pit(y, draws), exact, atol=5 * 0.5 / np.sqrt(20_000))


@pytest.mark.parametrize(("claimed", "compare"), [(0.5, np.less), (2.0, np.greater)])
def test_the_curve_is_the_diagonal_of_true_predictions_and_falls_below_for_too_sure_ones(claimed, compare) -> None:
    y = scipy.stats.norm.ppf((np.arange(100_000) + 0.5) / 100_000)
    true = metrics.coverage_curve(metrics.mixture_cdf(y, np.zeros((1, len(y))), 1.0))
    np.testing.assert_allclose(true.expected, np.arange(1, 20) / 20)
    np.testing.assert_allclose(true.observed, true.expected, atol=1e-4)
    # An interval of the claimed deviation holds what one of the true deviation holds at the same ends.
    curve = metrics.coverage_curve(metrics.mixture_cdf(y, np.zeros((1, len(y))), claimed), levels=[0.5, 0.95])
    ends = claimed * scipy.stats.norm.ppf(0.5 + curve.expected / 2)
    np.testing.assert_allclose(curve.observed, 2 * scipy.stats.norm.cdf(ends) - 1, atol=1e-4)
    assert compare(curve.observed, curve.expected).all()


def test_refusals() -> None:
    with pytest.raises(InputError, match=r"pit lies in 0 to 1.5; a probability integral transform lies in 0 to 1"):
        metrics.coverage_curve(np.array([0.0, 1.5]))
    with pytest.raises(InputError, match="it takes one or more numbers between 0 and 1"):
        metrics.coverage_curve(np.array([0.5]), levels=np.array([0.5, 1.0]))
    with pytest.raises(InputError, match=r"Predictions have shape \(2, 2\) a sample but y has \(2,\)"):
        metrics.pit(np.zeros(2), np.zeros((5, 2, 2)))
