"""The encoder and the networks: what does not matter to them, and what is continuous."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from jaxsde.latent import Series, matching, neural, pathwise
from jaxsde.latent.encoder import ahead, around, encode, faded

KEY = jax.random.key(0)
TIMES = np.array([0.0, 0.4, 0.5, 1.2, 2.0])
MASK = np.array([[False, True, False, True, True], [True, True, True, True, False]])
VALUES = np.where(MASK, np.random.default_rng(0).normal(size=(2, 5)), np.nan)[..., None]


@pytest.fixture(scope="module")
def model():
    """Whose encoder goes both ways; that of the other family has one of them."""
    return neural(KEY, width=1, latent=2, hidden=4, context=3, posterior="marginals")


def features(model, series, ts):
    """At each of ts, both what is ahead and what is around."""
    return np.asarray(read(model[1], series, jnp.asarray(ts, jnp.float32)))


@jax.jit
def read(params, series, ts):
    context = encode(params["encoder"], series.times[0], series.values[0], series.mask[0])
    sums = faded(params["log_rates"], context)
    return jax.vmap(lambda t: jnp.concatenate([ahead(context, t), around(sums, t)]))(ts)


def test_times_without_observations_change_nothing(model):
    """Not those of the grid, nor those of the series, but for the first."""
    kept, ts = [0, 1, 3, 4], [0.0, 0.3, 0.45, 0.5, 1.9]
    plain = features(model, Series.of(TIMES[kept], VALUES[:, kept], MASK[:, kept], dt=np.inf), ts)
    np.testing.assert_allclose(features(model, Series.of(TIMES, VALUES, MASK, dt=0.11), ts), plain, atol=1e-6)


def test_every_observation_matters_and_where_it_is(model):
    plain = features(model, Series.of(TIMES, VALUES, MASK, dt=0.11), [0.7])
    changed = (VALUES + np.eye(5)[3][:, None], VALUES + np.eye(5)[4][:, None])
    others = [Series.of(TIMES, values, MASK, dt=0.11) for values in changed]
    for other in (*others, Series.of(TIMES * 1.05, VALUES, MASK, dt=0.11)):
        assert np.abs(features(model, other, [0.7]) - plain).max() > 1e-3


def test_what_is_around_is_a_sum_over_all_that_was_seen(model):
    """Of each entry at its rate, pair by pair; and its slope, which at a kink is that of the step ahead."""
    params = model[1]
    series = Series.of(TIMES, VALUES, MASK, dt=0.11)
    one = series.times[0], series.values[0], series.mask[0]
    ts = jnp.append(series.times[0], jnp.asarray([0.03, 1.17, 1.99]))
    sums = faded(params["log_rates"], encode(params["encoder"], *one))
    found, slope = jax.vmap(lambda t: jax.jvp(lambda t: around(sums, t), (t,), (jnp.ones(()),)))(ts)

    hidden = np.asarray(encode(params["encoder"], *one).hidden, np.float64)
    seen, since = np.asarray(one[2])[:, 0], np.asarray(ts)[:, None] - np.asarray(one[0])[None]
    rates = np.tile(np.exp(np.asarray(params["log_rates"], np.float64)), 2)
    fading = np.exp(-np.abs(since[..., None]) * rates) * seen[:, None]
    entries = np.concatenate([hidden, np.zeros((len(seen), 2)), np.ones((len(seen), 8))], 1)
    sign = np.where(since >= 0, -1.0, 1.0)[..., None]
    np.testing.assert_allclose(found, (fading * entries).sum(1), atol=1e-5)
    np.testing.assert_allclose(slope, (sign * rates * fading * entries).sum(1), rtol=1e-4, atol=1e-4)


def test_marginals_are_continuous(model):
    model, params = model
    series = Series.of(TIMES, VALUES, MASK, dt=0.11)
    context = model.posterior.encode(series.times[0], series.values[0], series.mask[0], params)
    laws = jax.jit(jax.vmap(lambda t: model.posterior.marginal(t, context, params)))(jnp.linspace(0.0, 2.0, 2001))
    for of_law in laws:
        assert of_law.std() > 1e-4
        assert jnp.abs(jnp.diff(of_law, axis=0)).max() < 0.02 * (of_law.max() - of_law.min())


@pytest.mark.parametrize(("objective", "family"), [(pathwise, "drift"), (matching, "marginals")])
def test_every_part_has_the_gradient_of_finite_differences(x64, objective, family):
    choices = {"estimator": "full_mc"} if objective is pathwise else {}
    model, params = neural(KEY, width=1, latent=2, hidden=4, context=3, posterior=family)
    flat, of_flat = ravel_pytree(params)
    series = Series.of(TIMES, VALUES, MASK, dt=0.5)
    bound = jax.jit(jax.value_and_grad(lambda p: objective(model, of_flat(p), series, KEY, **choices).value.sum()))
    slope = bound(flat)[1]
    assert all(jnp.isfinite(x).all() and jnp.abs(x).max() > 0 for x in jax.tree.leaves(of_flat(slope)))
    for step in 1e-5 * np.random.default_rng(1).normal(size=(3, flat.size)):
        np.testing.assert_allclose(bound(flat + step)[0] - bound(flat - step)[0], 2 * step @ slope, rtol=1e-6)


def test_refusals(model):
    with pytest.raises(ValueError, match=r"\(1,\) for values of width 3"):
        pathwise(model[0], model[1], Series.of(TIMES, np.zeros((2, 5, 3)), MASK), KEY)
    with pytest.raises(ValueError, match="allowed are"):
        neural(KEY, width=1, latent=1, posterior="flow")
    with pytest.raises(ValueError, match="latent is 0"):
        neural(KEY, width=1, latent=0)
