"""Training: it goes up the bound to what is known, and refuses what cannot be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde.latent import Bound, fit, matching, pathwise

optax = pytest.importorskip("optax")
KEY = jax.random.key(5)


@pytest.mark.parametrize(("objective", "family"), [(pathwise, "by_drift"), (matching, "by_marginals")])
def test_at_the_exact_posterior_it_finds_the_noise_of_the_most_evidence(ou, objective, family):
    """The posterior is exact whatever the noise is, so the bound is the evidence as a function of the noise."""
    noises = np.linspace(-2, 0.5, 251)
    best = noises[np.argmax([ou.evidence(ou.params | {"log_noise": x}).sum() for x in noises])]

    def of_noise(model, params, *rest, **choices):
        return objective(model, ou.params | {"log_noise": params["log_noise"]}, *rest, **choices)

    start, optimiser = ou.params | {"log_noise": jnp.asarray(best + 0.8)}, optax.adam(0.03)
    with jax.numpy_dtype_promotion("standard"):  # optax needs it
        fitted = fit(getattr(ou, family), start, ou.series, optimiser, KEY, steps=100, objective=of_noise)
    assert fitted.bounds.shape == (100,)
    assert abs(fitted.params["log_noise"] - best) < 0.3


def test_choices_of_a_step(ou):
    """A weight that depends on the step, and steps of one series each."""
    seen = []

    def objective(model, params, series, rng, *, kl_weight):
        seen.append(series.times.shape[0])
        bound = pathwise(model, params, series, rng)
        return bound._replace(value=jnp.broadcast_to(kl_weight, bound.value.shape))

    fitted = fit(
        ou.by_drift, ou.params, ou.series, optax.sgd(0.0), KEY, steps=3, objective=objective, batch=1,
        kl_weight=lambda step: (step + 1) / 4,
    )  # fmt: skip
    np.testing.assert_allclose(fitted.bounds, [0.25, 0.5, 0.75])
    assert set(seen) == {1}


def steep(model, params, series, rng, *, kl_weight):
    value = -jnp.cosh(params["a"]) * jnp.ones(series.times.shape[0])
    return Bound(value, value, value, value)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"optimiser": "adam"}, TypeError, "optax.adam"),
        ({"steps": 0}, ValueError, "steps is 0"),
        ({"batch": 3}, ValueError, "from one to 2"),
        ({"optimiser": optax.sgd(1e30), "steps": 4, "objective": steep}, FloatingPointError, "at step 1 of 4"),
    ],
)
def test_refusals(ou, change, error, says):
    call = {"optimiser": optax.sgd(0.1), "steps": 1, "batch": None} | change
    with pytest.raises(error, match=says):
        fit(ou.by_drift, ou.params, ou.series, call.pop("optimiser"), KEY, **call)
