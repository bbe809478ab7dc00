"""Draws of an exact posterior, and of the prior after it, against the Gaussian process that they are."""

import jax
import numpy as np
import pytest

from jaxsde.latent import Draws, Series, forecast, posterior

KEY = jax.random.key(2)
SAMPLES = 2000


@pytest.mark.parametrize(
    ("draw", "family", "times"),
    [
        (posterior, "by_drift", np.array([0.0, 0.2, 0.3, 0.91, 1.1])),
        (posterior, "by_marginals", np.array([0.0, 0.2, 0.3, 0.91, 1.1])),
        (forecast, "by_drift", np.array([2.01, 2.5, 2.501, 4.0])),
    ],
)
def test_draws_have_the_law_of_the_smoother(ou, draw, family, times):
    series = Series.of(ou.times, ou.values, np.isfinite(ou.values), dt=0.0125)
    draws = draw(getattr(ou, family), ou.params, series, times, KEY, samples=SAMPLES)
    mean, deviation = ou.law(ou.params).smoothed(ou.times, ou.values[..., 0], times)
    assert draws.z.shape == draws.values.shape == (2, SAMPLES, times.size, 1)
    # The steps leave a bias of order one.
    error = 4 * deviation / SAMPLES**0.5 + 0.02
    assert (np.abs(draws.z[..., 0].mean(1) - mean) < error).all()
    np.testing.assert_allclose(draws.z[..., 0].std(1), deviation, rtol=0.08)
    np.testing.assert_array_equal(draws.decoded, draws.z)
    observed = np.hypot(deviation, np.exp(ou.params["log_noise"]))
    np.testing.assert_allclose(draws.values[..., 0].std(1), observed, rtol=0.08)
    low, high = draws.interval(0.9)
    np.testing.assert_allclose((high - low)[..., 0], 2 * 1.645 * observed, rtol=0.1)
    # Draws are paths: neighbouring times are near each other, the variance of their difference being that of a step.
    if draw is forecast:
        np.testing.assert_allclose((draws.z[:, :, 2] - draws.z[:, :, 1]).std(), 0.9 * 0.001**0.5, rtol=0.1)


@pytest.mark.parametrize(
    ("draw", "change", "says"),
    [
        (forecast, {"times": [1.9, 3.0]}, "take posterior"),
        (forecast, {"times": [2.0]}, "take posterior"),
        (posterior, {"times": [0.5, 1.3]}, "take forecast"),
        (posterior, {"times": [-0.1, 0.5]}, "first time"),
        (posterior, {"times": [0.5, 0.4]}, "increase"),
        (posterior, {"times": []}, "increase"),
        (posterior, {"times": [np.nan]}, "finite"),
        (posterior, {"samples": 0}, "samples is 0"),
    ],
)
def test_refusals(ou, draw, change, says):
    call = {"times": [0.5], "samples": 2} | change
    with pytest.raises(ValueError, match=says):
        draw(ou.by_drift, ou.params, ou.series, call["times"], KEY, samples=call["samples"])


def test_series_without_steps_are_refused(ou):
    bare = Series.of(ou.times, ou.values, np.isfinite(ou.values), dt=np.inf)
    with pytest.raises(ValueError, match="no steps to solve"):
        forecast(ou.by_marginals, ou.params, bare, [5.0], KEY)


@pytest.mark.parametrize("draw", [posterior, forecast])
def test_traced_arrays_are_refused(ou, draw):
    for call in (
        lambda x: draw(ou.by_drift, x, ou.series, [1.0], KEY),
        lambda x: draw(ou.by_drift, x, ou.series, x["a"], KEY),
    ):
        with pytest.raises(TypeError, match="outside of jit"):
            jax.jit(call)(ou.params)


def test_a_level_is_a_share():
    with pytest.raises(ValueError, match=r"95\.0"):
        Draws(*[jax.numpy.zeros((1, 2, 1, 1))] * 3).interval(95.0)
