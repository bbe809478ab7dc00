"""SDE Matching against the exact evidence, and against paths of the same posterior."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde.latent import Gaussian, MarginalPosterior, Series, matching, pathwise

STANDARD_ERRORS = 4.0
KEY = jax.random.key(1)


def mean_and_error(objective, model, params, series, paths):
    values = jax.jit(jax.vmap(lambda key: objective(model, params, series, key).value))(jax.random.split(KEY, paths))
    return np.asarray(values.mean(0)), np.asarray(values.std(0)) / paths**0.5


def test_at_the_exact_posterior_the_bound_is_the_evidence(ou):
    """Without a bias of steps."""
    series = Series.of(ou.times, ou.values, np.isfinite(ou.values), dt=np.inf)
    assert series.times.shape[1] == ou.times.size
    mean, error = mean_and_error(matching, ou.by_marginals, ou.params, series, 4000)
    assert (np.abs(mean - ou.evidence(ou.params)) < STANDARD_ERRORS * error).all()
    assert error.max() < 0.03


def test_the_drift_of_the_marginals_is_that_of_the_information_filter(ou):
    """Two derivations of the same posterior: by its marginals and by messages from what is yet to be observed."""
    one = jax.tree.map(lambda x: x[0], ou.series)
    by_drift, by_marginals = (
        functools.partial(model.posterior_drift, context=model.posterior.encode(one.times, one.values, one.mask,
                                                                                ou.params), params=ou.params)
        for model in (ou.by_drift, ou.by_marginals)
    )  # fmt: skip
    for t in (0.01, 0.32, 0.9, 1.97):
        for z in (-1.0, 2.0):
            np.testing.assert_allclose(
                by_marginals(jnp.array([z]), jnp.asarray(t)), by_drift(jnp.array([z]), jnp.asarray(t)), rtol=1e-6
            )


def wrong_marginal(t, context, params):
    return Gaussian(jnp.sin(params["a"] * t), 0.3 + 0.2 * jnp.exp(-(t[None] ** 2)))


def test_the_drift_of_the_marginals_solves_the_fokker_planck_equation(ou):
    """With a diffusion of all entries, so that its derivative along one of them alone is not the divergence."""

    def diffusion(z, t, params):
        return 0.5 + 0.3 * jnp.tanh(z + 0.5 * z[::-1]) + 0.1 * t

    def marginal(t, context, params):
        return Gaussian(jnp.stack([jnp.sin(t), t**2]), jnp.stack([0.5 + 0.2 * t, jnp.exp(-t)]))

    posterior = MarginalPosterior(lambda *_: None, marginal)
    model = dataclasses.replace(ou.by_marginals, posterior=posterior, diffusion=diffusion, noise="diagonal")

    def density(z, t):
        return jnp.exp(marginal(t, None, None).log_prob(z))

    def residual(z, t):
        """Of dq/dt = -div(f q) + 1/2 sum_i d^2 (g_i^2 q) / dz_i^2."""
        divergence = jnp.trace(jax.jacfwd(lambda z: model.posterior_drift(z, t, None, None) * density(z, t))(z))
        curvature = jax.jacfwd(jax.jacfwd(lambda z: diffusion(z, t, None) ** 2 * density(z, t)))(z)
        return jax.grad(density, 1)(z, t) + divergence - 0.5 * sum(curvature[i, i, i] for i in range(2))

    points = jax.random.normal(KEY, (50, 2), jnp.float64)
    residuals = jax.jit(jax.vmap(residual, (0, None)))(points, jnp.asarray(0.6))
    np.testing.assert_allclose(residuals, 0.0, atol=1e-12)


def test_paths_of_a_wrong_posterior_have_the_same_bound(ou):
    model = dataclasses.replace(ou.by_marginals, posterior=MarginalPosterior(lambda *_: None, wrong_marginal))
    (mean, error), (other, other_error) = (
        mean_and_error(objective, model, ou.params, ou.series, 1000) for objective in (matching, pathwise)
    )
    # The steps of the paths leave a bias of order one.
    assert (np.abs(mean - other) < 0.2 + STANDARD_ERRORS * np.hypot(error, other_error)).all()
    assert (mean < ou.evidence(ou.params) - 2).all()


def test_gradients_are_those_of_finite_differences(ou):
    @jax.jit
    def value(rate):
        return matching(ou.by_marginals, ou.params | {"a": rate}, ou.series, KEY).value.sum()

    rate = ou.params["a"]
    numeric = (value(rate + 1e-5) - value(rate - 1e-5)) / 2e-5
    np.testing.assert_allclose(jax.jit(jax.grad(value))(rate)[0], numeric, rtol=1e-6)


def test_refusals(ou):
    with pytest.raises(TypeError, match="marginal laws"):
        matching(ou.by_drift, ou.params, ou.series, KEY)
    with pytest.raises(ValueError, match="draws is 0"):
        matching(ou.by_marginals, ou.params, ou.series, KEY, draws=0)
