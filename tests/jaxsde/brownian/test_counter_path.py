"""The law of the increments, and that a path does not depend on how it is asked."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxsde import CounterPath, brownian_increments, sdeint_strat

SIGNIFICANCE = 1e-3
SAMPLES = 5000
LIKE = (jax.ShapeDtypeStruct((SAMPLES,), jnp.float32),)


def is_normal(samples):
    return scipy.stats.kstest(np.asarray(samples), "norm").pvalue > SIGNIFICANCE


@pytest.mark.parametrize("steps", [2, 16, 128])
def test_counter_increments_are_independent_normals(steps):
    ts = np.sort(np.random.default_rng(0).uniform(0, 1, steps + 1))
    dW = brownian_increments(jax.random.key(steps), ts, jnp.zeros(SAMPLES))
    z = dW / np.sqrt(np.diff(ts))[:, None].astype(np.float32)
    for k in {0, steps // 2, steps - 1}:
        assert is_normal(z[k])
    # Neighbours' sum and difference are normal, too, and uncorrelated, if and only if they are independent normals.
    assert is_normal((z[0] + z[1]) / np.sqrt(2))
    assert is_normal((z[0] - z[1]) / np.sqrt(2))
    assert scipy.stats.pearsonr(z[0], z[1]).pvalue > SIGNIFICANCE


def test_space_time_areas_are_independent_with_a_twelfth_of_the_variance():
    path = CounterPath(jax.random.key(0))
    increment = path.increment(3, 0.0, jnp.asarray(-0.25), LIKE, space_time=True)
    dW, H = increment.dW[0] / 0.5, increment.H[0] * np.sqrt(12) / 0.5
    assert is_normal(dW)
    assert is_normal(H)
    assert is_normal((dW + H) / np.sqrt(2))
    assert path.increment(3, 0.0, jnp.asarray(-0.25), LIKE).H is None


def test_correlated_noise():
    L = np.asarray([[1.0, 0.0], [0.6, 0.8]], np.float32)
    like = (jax.ShapeDtypeStruct((20000, 2), jnp.float32),)
    dW = CounterPath(jax.random.key(0), L).increment(0, 0.0, jnp.asarray(0.5), like).dW[0]
    # Five standard errors of a covariance from 20,000 samples.
    np.testing.assert_allclose(np.cov(np.asarray(dW).T), 0.5 * L @ L.T, atol=5 * 0.5 * np.sqrt(2 / 20000))


def test_the_same_key_is_the_same_path_whatever_the_method():
    def solve(method):
        return sdeint_strat(
            lambda y, t, a: 0 * y, lambda y, t, a: jnp.ones_like(y), jnp.zeros(3), np.linspace(0, 1, 3),
            jax.random.key(0), None, method, noise="additive",
        )  # fmt: skip

    reference = solve("euler_maruyama")
    for method in ("milstein", "heun", "midpoint", "euler_heun", "reversible_heun", "sra1"):
        np.testing.assert_allclose(solve(method), reference, atol=1e-5)
