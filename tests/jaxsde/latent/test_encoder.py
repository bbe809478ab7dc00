"""The encoder and the networks: what does not matter to them, and what is continuous."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde.latent import Series, matching, neural, pathwise
from jaxsde.latent.encoder import ahead, around

KEY = jax.random.key(0)
TIMES = np.array([0.0, 0.4, 0.5, 1.2, 2.0])
MASK = np.array([[False, True, False, True, True], [True, True, True, True, False]])
VALUES = np.where(MASK, np.random.default_rng(0).normal(size=(2, 5)), np.nan)[..., None]


@pytest.fixture(params=["drift", "marginals"])
def model(request):
    return neural(KEY, width=1, latent=2, hidden=4, context=3, posterior=request.param)


def features(model, series, ts):
    """At each of ts, both what is ahead and what is around."""
    model, params = model

    @jax.jit
    def read(series, ts):
        context = model.posterior.encode(series.times[0], series.values[0], series.mask[0], params)
        return jax.vmap(
            lambda t: jnp.concatenate([ahead(context, t), around(jnp.linspace(-1.0, 2.0, 8), context, t)])
        )(ts)

    return np.asarray(read(series, jnp.asarray(ts, jnp.float32)))


def test_times_without_observations_change_nothing(model):
    """Not those of the grid, nor those of the series, but for the first."""
    kept, ts = [0, 1, 3, 4], [0.0, 0.3, 0.45, 0.5, 1.9]
    plain = features(model, Series.of(TIMES[kept], VALUES[:, kept], MASK[:, kept], dt=np.inf), ts)
    for dt in (np.inf, 0.11):
        np.testing.assert_allclose(features(model, Series.of(TIMES, VALUES, MASK, dt=dt), ts), plain, atol=1e-6)


def test_every_observation_matters_and_where_it_is(model):
    plain = features(model, Series.of(TIMES, VALUES, MASK, dt=0.11), [0.7])
    changed = (VALUES + np.eye(5)[3][:, None], VALUES + np.eye(5)[4][:, None])
    others = [Series.of(TIMES, values, MASK, dt=0.11) for values in changed]
    for other in (*others, Series.of(TIMES * 1.05, VALUES, MASK, dt=0.11)):
        assert np.abs(features(model, other, [0.7]) - plain).max() > 1e-3


def test_marginals_are_continuous():
    model, params = neural(KEY, width=1, latent=2, hidden=4, context=3, posterior="marginals")
    series = Series.of(TIMES, VALUES, MASK, dt=0.11)
    context = model.posterior.encode(series.times[0], series.values[0], series.mask[0], params)
    laws = jax.jit(jax.vmap(lambda t: model.posterior.marginal(t, context, params)))(jnp.linspace(0.0, 2.0, 2001))
    for of_law in laws:
        assert of_law.std() > 1e-4
        assert jnp.abs(jnp.diff(of_law, axis=0)).max() < 0.02 * (of_law.max() - of_law.min())


@pytest.mark.parametrize(("objective", "family"), [(pathwise, "drift"), (matching, "marginals")])
def test_every_part_has_a_gradient(objective, family):
    model, params = neural(KEY, width=1, latent=2, hidden=4, context=3, posterior=family)
    series = Series.of(TIMES, VALUES, MASK, dt=0.5)
    slope = jax.jit(jax.grad(lambda p: objective(model, p, series, KEY).value.sum()))(params)
    assert all(jnp.isfinite(x).all() and jnp.abs(x).max() > 0 for x in jax.tree.leaves(slope))


def test_refusals():
    model, params = neural(KEY, width=3, latent=1)
    with pytest.raises(ValueError, match=r"values of width 1.*\(3,\)"):
        pathwise(model, params, Series.of(TIMES, VALUES, MASK), KEY)
    with pytest.raises(ValueError, match="allowed are"):
        neural(KEY, width=1, latent=1, posterior="flow")
    with pytest.raises(ValueError, match="latent is 0"):
        neural(KEY, width=1, latent=0)
