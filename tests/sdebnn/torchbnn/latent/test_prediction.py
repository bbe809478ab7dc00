"""Draws of an exact posterior, and of the prior after it, against the Gaussian process that they are."""

import numpy as np
import pytest
import torch
from ornstein_uhlenbeck import NOISE, TIMES, VALUES

from sdebnn.errors import InputError
from sdebnn.torchbnn.latent import Draws, Series, forecast, posterior

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
    series = Series.of(TIMES, VALUES, np.isfinite(VALUES), dt=0.0125)
    draws = draw(getattr(ou, family), series, times, torch.Generator().manual_seed(2), samples=SAMPLES)
    mean, deviation = ou.law().smoothed(TIMES, VALUES[..., 0], times)
    assert draws.z.shape == draws.values.shape == (2, SAMPLES, times.size, 1)
    assert not draws.values.requires_grad
    z, values = (x[..., 0].numpy() for x in (draws.z, draws.values))
    # The steps leave a bias of order one.
    error = 4 * deviation / SAMPLES**0.5 + 0.02
    assert (np.abs(z.mean(1) - mean) < error).all()
    np.testing.assert_allclose(z.std(1), deviation, rtol=0.08)
    assert torch.equal(draws.decoded, draws.z)
    observed = np.hypot(deviation, NOISE)
    np.testing.assert_allclose(values.std(1), observed, rtol=0.08)
    low, high = draws.interval(0.9)
    np.testing.assert_allclose((high - low)[..., 0], 2 * 1.645 * observed, rtol=0.1)
    # Draws are paths: neighbouring times are near each other, the variance of their difference being that of a step.
    if draw is forecast:
        np.testing.assert_allclose((z[:, :, 2] - z[:, :, 1]).std(), 0.9 * 0.001**0.5, rtol=0.1)


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
        (posterior, {"times": ["a"]}, "real numbers"),
        (posterior, {"samples": 0}, "samples is 0"),
        (posterior, {"method": "srk"}, "euler_maruyama"),
    ],
)
def test_refusals(ou, draw, change, says):
    call = {"times": [0.5], "samples": 2} | change
    with pytest.raises(InputError, match=says):
        draw(ou.by_drift, ou.series, call.pop("times"), **call)


def test_series_without_steps_are_refused(ou):
    bare = Series.of(TIMES, VALUES, np.isfinite(VALUES), dt=np.inf)
    with pytest.raises(InputError, match="no steps to solve"):
        forecast(ou.by_marginals, bare, [5.0])


def test_a_level_is_a_share():
    with pytest.raises(InputError, match=r"95\.0"):
        Draws(*[torch.zeros(1, 2, 1, 1)] * 3).interval(95.0)
