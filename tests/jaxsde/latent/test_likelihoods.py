"""Densities against scipy's, draws against their laws, and the Gaussian KL against an integral."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxsde.latent import Gaussian, gaussian, poisson, student_t
from jaxsde.latent.gaussian import gaussian_kl

DECODED, Y = jnp.array([0.3, -1.0]), jnp.array([2.0, 1.0])
LEARNED = {"log_noise": jnp.log(jnp.array([0.5, 2.0]))}


@pytest.mark.parametrize(
    ("likelihood", "law"),
    [
        (gaussian(), stats.norm([0.3, -1.0], [0.5, 2.0])),
        (gaussian(0.7), stats.norm([0.3, -1.0], 0.7)),
        (student_t(5.0), stats.t(5.0, [0.3, -1.0], [0.5, 2.0])),
        (student_t(5.0, 0.7), stats.t(5.0, [0.3, -1.0], 0.7)),
        (poisson(), stats.poisson(np.exp([0.3, -1.0]))),
    ],
)
def test_densities_and_draws(likelihood, law):
    density = law.logpmf if hasattr(law.dist, "logpmf") else law.logpdf
    np.testing.assert_allclose(likelihood.log_prob(DECODED, Y, LEARNED), density(Y), rtol=1e-5)
    draws = jax.vmap(lambda key: likelihood.sample(key, DECODED, LEARNED))(jax.random.split(jax.random.key(0), 4000))
    np.testing.assert_allclose(draws.mean(0), law.mean(), atol=4 * law.std().max() / 4000**0.5)
    np.testing.assert_allclose(draws.std(0), law.std(), rtol=0.1)


def test_the_kl_of_gaussians():
    q, p = Gaussian(jnp.array([0.3]), jnp.array([0.5])), Gaussian(jnp.array([-0.4]), jnp.array([1.5]))
    z = np.linspace(-6, 6, 4001)
    density = stats.norm(0.3, 0.5)
    integrand = density.pdf(z) * (density.logpdf(z) - stats.norm(-0.4, 1.5).logpdf(z))
    np.testing.assert_allclose(gaussian_kl(q, p), np.trapezoid(integrand, z), rtol=1e-4)
    np.testing.assert_allclose(q.log_prob(jnp.array([0.1])), density.logpdf(0.1), rtol=1e-5)


def test_a_negative_deviation_is_no_number():
    law = Gaussian(jnp.zeros(1), jnp.ones(1))
    assert jnp.isnan(gaussian_kl(Gaussian(jnp.zeros(1), -jnp.ones(1)), law))


def test_what_is_no_count_and_what_no_integer_holds():
    density = poisson().log_prob(jnp.zeros(3), jnp.array([-1.0, 1.5, 1.0]), None)
    np.testing.assert_allclose(density, [-np.inf, -np.inf, -1.0], rtol=1e-6)
    assert np.isnan(poisson().sample(jax.random.key(0), jnp.array([50.0, 1.0]), None)).tolist() == [True, False]


@pytest.mark.parametrize("call", [lambda: gaussian(0.0), lambda: student_t(3.0, float("inf")), lambda: student_t(-1.0)])
def test_refusals(call):
    with pytest.raises(ValueError, match="positive"):
        call()
