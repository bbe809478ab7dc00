"""Weights that come back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdebnn.brax import Layer, WeightProcess, draw_path, drift_network
from sdebnn.priors import Bridge


def pull(t: float, rate: float) -> float:
    """How strongly the bridge pulls, by the library's hyperbolic functions."""
    return rate / np.tanh(rate * (1 - t)) if rate else 1 / (1 - t)


RATES = [0.0, 1e-4, 0.3, 1.0, 3.0, 50.0, 1000.0]


@pytest.mark.parametrize("rate", RATES)
def test_the_pull_is_the_hyperbolic_cotangent(rate: float) -> None:
    """In every library's numbers, also where the difference of nearly equal exponentials would lose it."""
    prior = Bridge(rate=rate)
    for t in (0.0, 0.2, 0.7, 0.999):
        expected = pull(t, rate) * 0.5
        assert prior.drift(np.array([0.0]), t, 0.5)[0] == pytest.approx(expected, rel=1e-8)
        assert float(prior.drift(jnp.zeros(1), jnp.float32(t), jnp.float32(0.5))[0]) == pytest.approx(
            expected, rel=1e-4
        )


@pytest.mark.parametrize("rate", RATES)
def test_the_pull_is_the_same_in_pytorch(rate: float) -> None:
    torch = pytest.importorskip("torch")
    prior = Bridge(rate=rate)
    for t in (0.0, 0.2, 0.7, 0.999):
        assert float(prior.drift(torch.zeros(1), torch.tensor(t), 0.5)[0]) == pytest.approx(pull(t, rate) / 2, rel=1e-4)


@pytest.mark.parametrize("centre", ["w0", "zero"])
def test_paths_end_in_the_centre_but_for_the_last_step(centre: str) -> None:
    """The last step of Euler-Maruyama begins with a pull of 1 / h, so its own noise alone is left."""
    sigma, steps = 0.4, 50
    process = WeightProcess(drift_network((1,)), Bridge(rate=0.0, centre=centre, sigma=sigma, sigma_scale="constant"))
    params = process.init(jax.random.key(0), jnp.full((2000,), 1.5))
    ends, _, _ = draw_path(process, params, jax.random.key(1), np.array([0.0, 1.0]), steps=steps, prior=True)
    assert float(ends[-1].mean()) == pytest.approx(1.5 if centre == "w0" else 0.0, abs=0.01)
    assert float(ends[-1].std()) == pytest.approx(sigma / steps**0.5, rel=0.06)


@pytest.mark.parametrize("estimator", ["analytic", "full_mc", "stl"])
def test_the_kl_between_two_of_the_family_is_its_closed_form(estimator: str) -> None:
    """Bridges of rates r and q: the expected square of what their pulls differ by, for the chain that is solved a sum
    and in the limit an integral over the moments of the second.
    """
    r, q, sigma, w0, steps, draws = 0.0, 4.0, 0.5, 1.2, 64, 3000

    def correct(params: tuple, w: jax.Array, t: jax.Array) -> jax.Array:
        # At the end, where both pulls are infinite, nobody asks.
        return -(q / jnp.tanh(q * (1 - t)) - 1 / (1 - t)) * w

    prior = Bridge(rate=r, centre="zero", sigma=sigma, sigma_scale="constant")
    process = WeightProcess(Layer(lambda rng, shape: (shape, ()), correct), prior)
    params = process.init(jax.random.key(0), jnp.full((1,), w0))

    def kl_of(key: jax.Array) -> jax.Array:
        return draw_path(process, params, key, np.array([0.0, 1.0]), steps=steps, kl_estimator=estimator)[2]

    kl = np.asarray(jax.jit(jax.vmap(kl_of))(jax.random.split(jax.random.key(1), draws)), np.float64)
    h, mean, variance, expected = 1 / steps, w0, 0.0, 0.0
    for k in range(steps):
        t = k * h
        expected += (pull(t, q) - pull(t, r)) ** 2 / (2 * sigma**2) * (mean**2 + variance) * h
        mean, variance = (1 - pull(t, q) * h) * mean, (1 - pull(t, q) * h) ** 2 * variance + sigma**2 * h
    assert abs(kl.mean() - expected) < 4 * kl.std() / draws**0.5
    ts = (np.arange(4000) + 0.5) / 4000
    m, s = Bridge(rate=q, centre="zero").moments(np.array([w0]), np.array([sigma]), ts)
    difference = np.array([pull(t, q) - pull(t, r) for t in ts])
    continuous = np.mean(difference**2 * (m[:, 0] ** 2 + s[:, 0] ** 2)) / (2 * sigma**2)
    assert expected == pytest.approx(continuous, rel=0.05)
