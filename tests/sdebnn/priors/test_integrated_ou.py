"""Smooth weight paths."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdebnn.brax import Layer, WeightProcess, draw_path, drift_network
from sdebnn.priors import IntegratedOU

KAPPA = 1.5


@pytest.mark.parametrize("rate", [1e-6, 9e-4, 1.1e-3, 0.5, 40.0])
def test_the_variance_is_the_integral_of_the_squared_response(rate: float) -> None:
    """To rounding also where a difference of nearly equal numbers would lose it."""
    nodes, weights = np.polynomial.legendre.leggauss(60)
    for t in (1e-5, 0.3, 1.0):
        s = t * (nodes + 1) / 2
        expected = t / 2 * np.sum(weights * (np.expm1(-rate * s) / rate) ** 2)
        _, std = IntegratedOU(rate=rate).moments(np.zeros(1), np.ones(1), np.array([t]))
        assert std[0, 0] ** 2 == pytest.approx(expected, rel=1e-6)


def test_paths_are_smooth() -> None:
    """Half the step halves the increments; those of a path without a velocity shrink by the square root of two."""
    process = WeightProcess(drift_network((1,)), IntegratedOU(sigma=0.5, sigma_scale="constant"))
    params = process.init(jax.random.key(0), jnp.zeros(30))
    ts = np.linspace(0.0, 1.0, 65)
    path, _, _ = draw_path(process, params, jax.random.key(1), ts, steps=64, prior=True)
    rough = np.abs(np.diff(path[::2], axis=0)).mean() / np.abs(np.diff(path, axis=0)).mean()
    assert rough == pytest.approx(2.0, abs=0.02)


@pytest.mark.parametrize("estimator", ["analytic", "full_mc", "stl"])
def test_the_kl_between_two_of_the_family_is_its_closed_form(estimator: str) -> None:
    """Prior and posterior of rates r and r + k, from velocity 0: k^2 / (2 sigma^2) times the integral of E[v^2], where
    v is an Ornstein-Uhlenbeck process of rate r + k; for the chain that is solved, a sum.
    """
    rate, sigma, steps, draws = 0.7, 0.4, 32, 3000
    linear = Layer(lambda rng, shape: (shape, ()), lambda params, w, t: -KAPPA * w)
    process = WeightProcess(linear, IntegratedOU(rate=rate, sigma=sigma, sigma_scale="constant"))
    params = process.init(jax.random.key(0), jnp.ones(1))

    def kl_of(key: jax.Array) -> jax.Array:
        return draw_path(process, params, key, np.array([0.0, 1.0]), steps=steps, kl_estimator=estimator)[2]

    kl = np.asarray(jax.jit(jax.vmap(kl_of))(jax.random.split(jax.random.key(1), draws)), np.float64)
    a, h, variance, expected = rate + KAPPA, 1 / steps, 0.0, 0.0
    for _ in range(steps):
        expected += KAPPA**2 / (2 * sigma**2) * variance * h
        variance = (1 - a * h) ** 2 * variance + sigma**2 * h
    assert abs(kl.mean() - expected) < 4 * kl.std() / draws**0.5
    continuous = KAPPA**2 / (4 * a) * (1 - (1 - np.exp(-2 * a)) / (2 * a))
    assert expected == pytest.approx(continuous, rel=0.05)
