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


@functools.partial(jax.jit, static_argnames=("objective", "model", "paths"))
def bounds(objective, model, params, series, paths):
    return jax.vmap(lambda key: objective(model, params, series, key).value)(jax.random.split(KEY, paths))


def mean_and_error(*call):
    values = np.asarray(bounds(*call))
    return values.mean(0), values.std(0) / len(values) ** 0.5


def bare(ou):
    series = Series.of(ou.times, ou.values, np.isfinite(ou.values), dt=np.inf)
    assert series.times.shape[1] == ou.times.size
    return series


def test_at_the_exact_posterior_the_bound_is_the_evidence(ou):
    """Without a bias of steps."""
    mean, error = mean_and_error(matching, ou.by_marginals, ou.params, bare(ou), 4000)
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
    z, t = (x.ravel() for x in jnp.meshgrid(jnp.array([-1.0, 2.0]), jnp.array([0.01, 0.32, 0.9, 1.97])))
    found, expected = (jax.jit(jax.vmap(drift))(z[:, None], t) for drift in (by_marginals, by_drift))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


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
    params = ou.params | {"gain": jnp.asarray(0.0)}
    mean, error = mean_and_error(matching, ou.by_marginals, params, bare(ou), 4000)
    other, other_error = mean_and_error(pathwise, ou.by_marginals, params, ou.series, 1000)
    # The steps of the paths leave a bias of order one.
    assert (np.abs(mean - other) < 0.2 + STANDARD_ERRORS * np.hypot(error, other_error)).all()
    assert (mean < ou.evidence(ou.params) - 2).all()


def test_refusals(ou):
    with pytest.raises(TypeError, match="marginal laws"):
        matching(ou.by_drift, ou.params, ou.series, KEY)
    for choice in ({"draws": 0}, {"kl_weight": jnp.ones(2)}):
        with pytest.raises(ValueError, match=next(iter(choice))):
            matching(ou.by_marginals, ou.params, ou.series, KEY, **choice)


@pytest.mark.parametrize("shape", [(), (3,), (1, 1)])
@pytest.mark.parametrize("part", ["drift", "diffusion"])
def test_what_is_not_like_the_state_is_refused(ou, part, shape):
    """It would be spread over the state, and the bound be that of nothing."""
    model = dataclasses.replace(ou.by_marginals, **{part: lambda z, t, params: jnp.ones(shape)})
    with pytest.raises(ValueError, match=f"The {part} gives shape"):
        matching(model, ou.params, ou.series, KEY)


def test_times_far_from_zero_and_the_sign_of_the_diffusion_change_nothing(ou):
    far = Series.of(ou.times + 1e6, ou.values, np.isfinite(ou.values), dt=np.inf)
    plain = bounds(matching, ou.by_marginals, ou.params, bare(ou), 4000)
    np.testing.assert_allclose(bounds(matching, ou.by_marginals, ou.params, far, 4000), plain, rtol=1e-6)
    one = jax.tree.map(lambda x: x[0], bare(ou))
    context = ou.by_marginals.posterior.encode(one.times, one.values, one.mask, ou.params)
    z, t = jnp.array([0.7]), jnp.asarray(0.4)
    turned = dataclasses.replace(
        ou.by_marginals, diffusion=lambda z, t, params: -jnp.broadcast_to(params["s"], z.shape)
    )
    np.testing.assert_array_equal(
        turned.posterior_drift(z, t, context, ou.params), ou.by_marginals.posterior_drift(z, t, context, ou.params)
    )
