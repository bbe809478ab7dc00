"""The bound by paths, against the exact evidence of an OU process."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde.counts import check_count
from jaxsde.latent import Gaussian, Series, gaussian, pathwise
from jaxsde.latent.series import check_series

STANDARD_ERRORS = 4.0
KEY = jax.random.key(0)


def two_grids(ou):
    """The two series with steps of 0.05, and again with steps of a quarter: one batch, so one program."""
    coarse, fine = (Series.of(ou.times, ou.values, np.isfinite(ou.values), dt=dt) for dt in (0.05, 0.0125))
    more = fine.times.shape[1] - coarse.times.shape[1]
    longer = dataclasses.replace(
        coarse,
        times=jnp.concatenate([coarse.times, coarse.times[:, -1:] + jnp.arange(1.0, more + 1)[None]], 1),
        values=jnp.pad(coarse.values, ((0, 0), (0, more), (0, 0))),
        mask=jnp.pad(coarse.mask, ((0, 0), (0, more), (0, 0))),
        dt=fine.dt,
    )
    return jax.tree.map(lambda *both: jnp.concatenate(both), longer, fine)


@functools.partial(jax.jit, static_argnames=("model", "estimator"))
def values_and_slopes(model, params, series, keys, estimator):
    """The bound of single paths, (paths, batch), and its derivative by the gain."""

    def of_gain(gain, key):
        value = pathwise(model, params | {"gain": gain}, series, key, estimator=estimator).value
        return value, value

    slopes, values = jax.vmap(jax.jacrev(of_gain, has_aux=True), (None, 0))(params["gain"], keys)
    return values, slopes


def test_at_the_exact_posterior_every_path_says_the_evidence_and_the_gradient_sticks_the_landing(ou):
    """Values and slopes are off by the discretisation alone: a quarter of the step, half the spread or less."""
    exact, series, keys = ou.evidence(ou.params), two_grids(ou), jax.random.split(KEY, 200)
    values, slopes = values_and_slopes(ou.by_drift, ou.params, series, keys, "stl")
    means, spreads = (np.asarray(x).reshape(2, 2) for x in (values.mean(0), values.std(0)))
    for dt, mean, spread in zip((0.05, 0.0125), means, spreads, strict=True):
        # Of order one; a path of the wrong law would be off by tenths, whatever the steps.
        assert (np.abs(mean - exact) < 2 * dt + STANDARD_ERRORS * spread / 200**0.5).all()
    assert (spreads[1] < 0.6 * spreads[0]).all()
    assert spreads[1].max() < 0.25
    assert (slopes[:, 2:].std(0) < 0.6 * slopes[:, :2].std(0)).all()
    _, others = values_and_slopes(ou.by_drift, ou.params, series, keys, "full_mc")
    assert (slopes[:, 2:].std(0) < 0.2 * others[:, 2:].std(0)).all()


def test_the_estimators_have_one_mean_below_the_evidence(ou):
    params, series, keys = ou.params | {"gain": jnp.asarray(0.5)}, two_grids(ou), jax.random.split(KEY, 1000)
    stl, full_mc = (values_and_slopes(ou.by_drift, params, series, keys[:200], name)[0] for name in ("stl", "full_mc"))
    np.testing.assert_allclose(stl, full_mc, rtol=1e-12)
    of_key = jax.jit(jax.vmap(lambda key: pathwise(ou.by_drift, params, series, key, estimator="analytic").value))
    analytic = of_key(keys)
    # By paths that are the same, whose differences have less spread.
    difference = full_mc - analytic[:200]
    errors = difference.std(0) / 200**0.5
    assert (np.abs(difference.mean(0)) < STANDARD_ERRORS * errors).all()
    below = np.tile(ou.evidence(ou.params), 2) - analytic.mean(0)
    assert (below > STANDARD_ERRORS * analytic.std(0) / 1000**0.5).all()


@pytest.mark.parametrize("adjoint", ["reversible", "stochastic"])
def test_gradients_are_those_of_finite_differences(ou, adjoint):
    @jax.jit
    @jax.value_and_grad
    def of_rate(rate):
        return pathwise(
            ou.by_drift, ou.params | {"a": rate}, ou.series, KEY, estimator="full_mc", adjoint=adjoint, kl_weight=0.7,
            method="coupled_euler_maruyama",
        ).value.sum()  # fmt: skip

    rate = ou.params["a"]
    numeric = (of_rate(rate + 1e-5)[0] - of_rate(rate - 1e-5)[0]) / 2e-5
    np.testing.assert_allclose(of_rate(rate)[1][0], numeric, rtol=1e-6)


def test_what_is_missing_and_what_is_padding_change_nothing(ou):
    mask = np.isfinite(ou.values)
    other = Series.of(ou.times, np.where(mask, ou.values, 17.0), mask, dt=0.05)
    longer = [np.pad(x[1:], ((0, 1), (0, 4), (0, 0)), mode="edge") for x in (ou.values, mask)]
    longer[0][1, -1], longer[1][0, 6:], longer[1][1, -1] = 0.3, False, True
    times = np.append(ou.times, [2.5, 3.0, 3.5, 4.0])
    bound = jax.jit(lambda series: pathwise(ou.by_drift, ou.params, series, KEY))
    np.testing.assert_array_equal(bound(other).value, bound(ou.series).value)
    # The short one of a batch with a longer one is what it is alone.
    alone = Series.of(ou.times, longer[0][[0, 0], :6], longer[1][[0, 0], :6], dt=0.05)
    both = Series.of(times, *longer, dt=0.05)
    assert both.times.shape[1] > alone.times.shape[1]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a[0], b[0], rtol=1e-12), tuple(bound(both)), tuple(bound(alone))
    )


def test_a_weight_of_the_kl(ou):
    bound = jax.jit(lambda weight: pathwise(ou.by_drift, ou.params, ou.series, KEY, kl_weight=weight, paths=2))
    whole, half = bound(1.0), bound(0.5)
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
        ({"diffusion": lambda z, t, params: jnp.asarray(0.9)}, r"The diffusion gives shape \(\)"),
        ({"likelihood": gaussian(), "decoder": lambda z, params: jnp.zeros(2)}, r"decoder gives shape \(2,\)"),
        ({"noise": "general"}, "'additive' or 'diagonal'"),
        ({"posterior": None}, "DriftPosterior"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(ou, change, says):
    with pytest.raises((TypeError, ValueError), match=says):
        pathwise(dataclasses.replace(ou.by_drift, **change), ou.params, ou.series, KEY)


def test_choices_are_refused(ou):
    weights = {"kl_weight": jnp.array([0.5, 1.0])}
    for choice in ({"paths": 0}, weights, {"estimator": "exact"}, {"adjoint": "none"}):
        with pytest.raises(ValueError, match=next(iter(choice))):
            pathwise(ou.by_drift, ou.params, ou.series, KEY, **choice)
    with pytest.raises(TypeError, match="rng"):
        pathwise(ou.by_drift, ou.params, ou.series, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [0, -1, 2.5, True, "2", 4])
def test_what_is_no_count_is_refused(number):
    with pytest.raises(ValueError, match="whole number from one to 3"):
        check_count("batch", number, 3)


def test_what_is_no_batch_of_series_is_refused(ou):
    with pytest.raises(TypeError, match=r"Series\.of"):
        check_series(ou.values)
    with pytest.raises(ValueError, match=r"keep its axis"):
        pathwise(ou.by_drift, ou.params, jax.tree.map(lambda x: x[0], ou.series), KEY)


@pytest.mark.parametrize("size", [None, jnp.zeros(3)])
def test_a_noise_that_is_not_learned_or_not_of_that_width_is_refused(ou, size):
    params = {name: value for name, value in ou.params.items() if name != "log_noise"}
    with pytest.raises(ValueError, match="log_noise"):
        pathwise(ou.by_drift, params if size is None else params | {"log_noise": size}, ou.series, KEY)
