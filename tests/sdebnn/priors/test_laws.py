"""What holds for every prior law of the weights, from its drift alone, without any framework."""

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest

from sdebnn.errors import InputError
from sdebnn.priors import PRIORS, OrnsteinUhlenbeck, Prior, prior_by_name

VALUES: dict[str, tuple[Any, ...]] = {"rate": (0.0, 0.6, 3.0), "centre": ("w0", "zero"), "start": ("learned",)}


def members(law: type[Prior]) -> list[Prior]:
    """The law with several values of the fields that not all laws have."""
    own = sorted({field.name for field in dataclasses.fields(law)} & VALUES.keys())
    return [law(**dict(zip(own, values, strict=True))) for values in itertools.product(*(VALUES[name] for name in own))]


LAWS = [member for law in PRIORS.values() for member in members(law)]


def solved_moments(
    prior: Prior, w0: np.ndarray, sigma: np.ndarray, h: float, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of weights after each of so many steps of h: dm = A m + b, dP = A P + P A' + sigma^2 e e' of
    their states, where A and b are read off the drift, and e is the noise; midpoint steps.
    """
    width = prior.state_width
    centre = w0 if prior.centre == "w0" else np.zeros_like(w0)
    noise = np.zeros((len(w0), width, width))
    noise[:, 0, 0] = sigma**2

    def drift(state: np.ndarray, t: float) -> np.ndarray:
        parts = prior.drift(state[:, 0] if width == 1 else tuple(state.T), t, centre)
        return np.stack([parts] if width == 1 else parts, axis=1)

    def rates(m: np.ndarray, p: np.ndarray, t: float) -> tuple[np.ndarray, np.ndarray]:
        b = drift(np.zeros_like(m), t)
        a = np.stack([drift(np.tile(unit, (len(w0), 1)), t) - b for unit in np.eye(width)], axis=2)
        return (a @ m[..., None])[..., 0] + b, a @ p + p @ a.swapaxes(1, 2) + noise

    m, p = np.zeros((len(w0), width)), np.zeros_like(noise)
    m[:, -1] = w0
    means, variances = [], []
    for k in range(steps):
        dm, dp = rates(m, p, k * h)
        dm, dp = rates(m + 0.5 * h * dm, p + 0.5 * h * dp, (k + 0.5) * h)
        m, p = m + h * dm, p + h * dp
        means.append(m[:, -1])
        variances.append(p[:, -1, -1])
    return np.array(means), np.array(variances)


@pytest.mark.parametrize("prior", LAWS, ids=str)
def test_the_moments_are_those_of_the_drift_and_the_diffusion(prior: Prior) -> None:
    w0, sigma = np.array([1.3, -0.4]), np.array([0.7, 0.2])
    ts = np.array([0.25, 0.5, 0.9])
    known = prior.moments(w0, sigma, ts)
    assert known is not None
    mean, std = known
    means, variances = solved_moments(prior, w0, sigma, h=5e-4, steps=1800)
    at = np.rint(ts / 5e-4).astype(int) - 1
    np.testing.assert_allclose(mean, means[at], atol=1e-5, rtol=0)
    np.testing.assert_allclose(std, variances[at] ** 0.5, rtol=1e-4)


@pytest.mark.parametrize("prior", LAWS, ids=str)
def test_the_unit_of_the_diffusion_is_a_widest_weight_of_standard_deviation_1(prior: Prior) -> None:
    if prior.stationary:
        unit = np.array([prior.unit_diffusion])
        moved = dataclasses.replace(prior, centre="zero")  # type: ignore[call-arg]
        _, variances = solved_moments(moved, np.zeros(1), unit, h=8.0 / prior.rate / 2000, steps=2000)
        assert variances[-1, 0] == pytest.approx(1.0, rel=1e-3)
    else:
        known = prior.moments(np.zeros(1), np.array([prior.unit_diffusion]), np.linspace(0, 1, 1001))
        assert known is not None
        assert known[1].max() == pytest.approx(1.0, rel=1e-6)
    scaled = dataclasses.replace(prior, sigma=0.3)
    assert scaled.diffusion_scale(16.0) == pytest.approx(0.3 / 4 * prior.unit_diffusion)
    assert dataclasses.replace(scaled, sigma_scale="constant").diffusion_scale(16.0) == 0.3


@pytest.mark.parametrize("prior", LAWS, ids=str)
def test_at_depth_0_the_weights_are_the_start(prior: Prior) -> None:
    known = prior.moments(np.array([0.8]), np.array([0.5]), np.zeros(1))
    assert known is not None
    mean, std = known
    assert (mean[0, 0], std[0, 0]) == (0.8, 0.0)


def test_a_prior_is_chosen_by_name_with_the_choices_that_it_has() -> None:
    defaults = {"sigma": 0.2, "rate": 1.0, "centre": "w0", "start": "learned"}
    assert prior_by_name("ou", defaults | {"rate": 2.0}, defaults) == OrnsteinUhlenbeck(sigma=0.2, rate=2.0)
    assert prior_by_name("brownian", defaults, defaults).sigma == 0.2
    with pytest.raises(InputError, match=r"'brownian' takes no rate, which is 2\.0: leave it at 1\.0"):
        prior_by_name("brownian", defaults | {"rate": 2.0}, defaults)
    with pytest.raises(InputError, match="prior='matern' is not allowed: it takes ou, brownian"):
        prior_by_name("matern", defaults, defaults)


@pytest.mark.parametrize("name", PRIORS)
def test_a_law_says_what_it_cannot_be(name: str) -> None:
    law = PRIORS[name]
    fields = {field.name for field in dataclasses.fields(law)}
    for choice, sentence in (
        ({"sigma": 0.0}, "positive, finite"),
        ({"sigma": float("nan")}, "positive, finite"),
        ({"sigma_scale": "wide"}, "takes 'fan_in' or 'constant'"),
        ({"rate": -1.0}, "rate=-1.0; it takes a finite number, 0 or more"),
        ({"centre": "here"}, "takes 'w0' or 'zero'"),
        ({"noisy_weights": 0.0}, "a share above 0"),
        ({"noisy_depth": (0.8, 0.2)}, "the first not above the second"),
    ):
        if set(choice) <= fields:
            with pytest.raises(InputError, match=sentence):
                law(**choice)


def test_a_start_in_the_stationary_law_needs_one() -> None:
    assert OrnsteinUhlenbeck(start="gaussian").stationary
    with pytest.raises(InputError, match=r"start='gaussian' with OrnsteinUhlenbeck\(rate=0\), which has no stationary"):
        OrnsteinUhlenbeck(start="gaussian", rate=0.0)
