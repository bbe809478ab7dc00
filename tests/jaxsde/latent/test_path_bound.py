"""The bound by paths, against the exact evidence of an OU process."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde.latent import Gaussian, Series, pathwise

STANDARD_ERRORS = 4.0
KEY = jax.random.key(0)


def series_of(ou, dt):
    return Series.of(ou.times, ou.values, np.isfinite(ou.values), dt=dt)


def path_by_path(model, params, series, paths, **choices):
    """The bound of single paths, (paths, batch)."""
    of_key = jax.jit(jax.vmap(lambda key: pathwise(model, params, series, key, **choices).value))
    return of_key(jax.random.split(KEY, paths))


def test_at_the_exact_posterior_every_path_says_the_evidence(ou):
    """What is left is the discretisation's: four times the steps, half the spread or less."""
    exact = ou.evidence(ou.params)
    spreads = []
    for dt in (0.05, 0.0125):
        values = path_by_path(ou.by_drift, ou.params, series_of(ou, dt), 200)
        spreads.append(values.std(0))
        # Of order one; a path of the wrong law would be off by tenths, whatever the steps.
        assert (np.abs(values.mean(0) - exact) < 2 * dt + STANDARD_ERRORS * spreads[-1] / 200**0.5).all()
    assert (spreads[1] < 0.6 * spreads[0]).all()
    assert spreads[1].max() < 0.25


def with_gain(ou):
    """The posterior that is pulled so many times as much towards what was observed."""
    exact = ou.by_drift.posterior

    def drift(z, t, context, params):
        prior = ou.by_drift.drift(z, t, params)
        return prior + params["gain"] * (exact.drift(z, t, context, params) - prior)

    return dataclasses.replace(ou.by_drift, posterior=dataclasses.replace(exact, drift=drift))


def test_the_estimators_have_one_mean_below_the_evidence(ou):
    model, params = with_gain(ou), ou.params | {"gain": jnp.asarray(0.5)}
    values = {
        estimator: path_by_path(model, params, ou.series, 2000, estimator=estimator)
        for estimator in ("analytic", "full_mc", "stl")
    }
    np.testing.assert_array_equal(values["stl"], values["full_mc"])
    errors = {name: v.std(0) / 2000**0.5 for name, v in values.items()}
    difference = np.abs(values["analytic"].mean(0) - values["full_mc"].mean(0))
    assert (difference < STANDARD_ERRORS * np.hypot(errors["analytic"], errors["full_mc"])).all()
    assert (values["analytic"].mean(0) + STANDARD_ERRORS * errors["analytic"] < ou.evidence(ou.params)).all()


def test_the_gradient_sticks_the_landing(ou):
    """At the exact posterior, of its own parameter, with a spread that vanishes as steps do, and with stl alone."""

    def gradients(dt, estimator):
        def value(gain, key):
            params = ou.params | {"gain": gain}
            return pathwise(with_gain(ou), params, series_of(ou, dt), key, estimator=estimator).value.sum()

        return jax.jit(jax.vmap(jax.grad(value), (None, 0)))(jnp.asarray(1.0), jax.random.split(KEY, 200)).std()

    fine = gradients(0.01, "stl")
    assert fine < 0.6 * gradients(0.05, "stl")
    assert fine < 0.2 * gradients(0.01, "full_mc")


def test_gradients_are_those_of_finite_differences(ou):
    def value(rate, adjoint):
        return pathwise(
            ou.by_drift, ou.params | {"a": rate}, ou.series, KEY, estimator="full_mc", adjoint=adjoint, kl_weight=0.7,
            method="coupled_euler_maruyama",
        ).value.sum()  # fmt: skip

    rate, of_rate = ou.params["a"], jax.jit(lambda rate: value(rate, "backprop"))
    numeric = (of_rate(rate + 1e-5) - of_rate(rate - 1e-5)) / 2e-5
    for adjoint in ("backprop", "reversible", "stochastic"):
        gradient = jax.jit(jax.grad(value), static_argnums=1)(rate, adjoint)
        np.testing.assert_allclose(gradient[0], numeric, rtol=1e-6, err_msg=adjoint)


def test_what_is_missing_and_what_is_padding_change_nothing(ou):
    mask = np.isfinite(ou.values)
    other = Series.of(ou.times, np.where(mask, ou.values, 17.0), mask, dt=0.05)
    longer = [np.pad(x[1:], ((0, 1), (0, 4), (0, 0)), mode="edge") for x in (ou.values, mask)]
    longer[0][1, -1], longer[1][0, 6:], longer[1][1, -1] = 0.3, False, True
    times = np.append(ou.times, [2.5, 3.0, 3.5, 4.0])
    bound = jax.jit(lambda series: pathwise(ou.by_drift, ou.params, series, KEY))
    np.testing.assert_array_equal(bound(other).value, bound(ou.series).value)
    # The short one of a batch with a longer one is what it is alone.
    alone = Series.of(ou.times, longer[0][:1, :6], longer[1][:1, :6], dt=0.05)
    both = Series.of(times, *longer, dt=0.05)
    assert both.times.shape[1] > alone.times.shape[1]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a[0], b[0], rtol=1e-12), tuple(bound(both)), tuple(bound(alone))
    )


def test_a_weight_of_the_kl(ou):
    whole, half = (pathwise(ou.by_drift, ou.params, ou.series, KEY, kl_weight=w, paths=2) for w in (1.0, 0.5))
    kl = whole.kl_path + whole.kl_initial
    np.testing.assert_allclose(half.value - whole.value, 0.5 * kl, rtol=1e-12)
    np.testing.assert_allclose(whole.value, whole.log_likelihood - kl, rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"initial": lambda params: (jnp.zeros(1), jnp.ones(1))}, "prior's first law is tuple"),
        (
            {"initial": lambda params: Gaussian(jnp.zeros(2), jnp.ones(2)), "decoder": lambda z, params: z[:1]},
            "posterior's",
        ),
        ({"decoder": lambda z, params: jnp.zeros(3)}, r"\(3,\) for values of width 1"),
        ({"drift": lambda z, t, params: jnp.zeros(3)}, "f "),
        ({"noise": "general"}, "'additive' or 'diagonal'"),
        ({"posterior": None}, "DriftPosterior"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(ou, change, says):
    with pytest.raises((TypeError, ValueError), match=says):
        pathwise(dataclasses.replace(ou.by_drift, **change), ou.params, ou.series, KEY)


def test_choices_are_refused(ou):
    for choice in ({"paths": 0}, {"estimator": "exact"}, {"adjoint": "none"}):
        with pytest.raises(ValueError, match=next(iter(choice))):
            pathwise(ou.by_drift, ou.params, ou.series, KEY, **choice)
    with pytest.raises(TypeError, match="rng"):
        pathwise(ou.by_drift, ou.params, ou.series, None)
