"""Multilevel Monte Carlo against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import SDE, expectation

KEY, TS = jax.random.key(0), [0.0, 1.0]
RATE, VOLATILITY = 0.5, 0.4
GBM = SDE(lambda y, t, a: RATE * y, lambda y, t, a: VOLATILITY * y)
MOMENTS = np.asarray([np.exp(RATE), np.exp(2 * RATE + VOLATILITY**2)])


def moments(y):
    return jnp.stack([y[0], y[0] ** 2])


@pytest.fixture(scope="module")
def found():
    """Of a path's end the mean and the mean square, by two methods."""
    with jax.enable_x64(True):
        return {
            method: expectation(GBM, jnp.ones(1), TS, KEY, function=moments, tolerance=0.02, method=method, steps=8)
            for method in ("euler_maruyama", "milstein")
        }


@pytest.mark.parametrize("method", ["euler_maruyama", "milstein"])
def test_the_mean_is_within_three_of_the_errors_that_are_said(found, method):
    assert found[method].error <= 0.02
    assert (np.abs(found[method].value - MOMENTS) < 3 * found[method].error).all()
    assert [level.steps for level in found[method].levels][:4] == [8, 16, 32, 64]


@pytest.mark.parametrize(("method", "order"), [("euler_maruyama", 0.5), ("milstein", 1.0)])
def test_the_variance_of_differences_falls_with_twice_the_strong_order(found, method, order):
    """So most paths are coarse."""
    levels = found[method].levels[1:]
    steps, variances = (np.log([getattr(level, name) for level in levels]) for name in ("steps", "variance"))
    assert -np.polyfit(steps, variances, 1)[0] == pytest.approx(2 * order, abs=0.3)
    paths = [level.paths for level in found[method].levels]
    assert paths == sorted(paths, reverse=True)


def test_general_noise_and_stratonovich_s_calculus(x64):
    """Of dX = X dW1, dY = X dW2 by matrices: E Y^2 = e^(2t) - 1, in Stratonovich's sense."""

    def g(y, t, args):
        x, zero = y[0], jnp.zeros(())
        return jnp.stack([jnp.stack([x, zero]), jnp.stack([zero, x])])

    sde = SDE(lambda y, t, a: jnp.zeros(2), g, "stratonovich", "general")
    said = expectation(
        sde, jnp.asarray([1.0, 0.0]), [0.0, 0.25], KEY, function=lambda y: y[1] ** 2, tolerance=0.02, method="heun",
    )  # fmt: skip
    assert abs(said.value - (np.exp(0.5) - 1) / 2) < 3 * said.error <= 0.06


def test_what_is_not_reached_is_said():
    steep = SDE(lambda y, t, a: 3.0 * y, lambda y, t, a: 0.01 * y)
    for steps, largest in ((1, np.inf), (8, 6.0)):
        with pytest.warns(UserWarning, match=r"max_levels=3 did not suffice: the steps leave a bias of about .* tole"):
            said = expectation(steep, jnp.ones(1), TS, KEY, function=jnp.sum, tolerance=0.01, steps=steps, max_levels=3)
        # With the coarser steps differences do not fall yet.
        assert 0.5 * said.error < np.exp(3) - float(said.value) < said.error <= largest or largest == said.error
    explosive = SDE(lambda y, t, a: 1e9 * y**3, lambda y, t, a: y)
    with pytest.warns(UserWarning, match="The expectation is not finite: take more steps"):
        assert np.isnan(expectation(explosive, jnp.ones(1), TS, KEY, function=jnp.sum, tolerance=0.1).error)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"tolerance": 0.0}, "tolerance is 0.0; it is an error, a number above 0"),
        ({"steps": 0}, "steps is 0; it is a whole number, 1 or more"),
        ({"max_levels": 2}, "max_levels is 2; it is a whole number, 3 or more"),
        ({"method": "sriw1"}, "needs areas of the path, and the paths of two levels are joined by their increments"),
        ({"method": "heun"}, "method 'heun' is not offered"),
        ({"ts": [0.0, 0.5, 1.0]}, "ts is not two known times"),
        ({"sde": SDE(lambda y, t, a: y)}, "The equation has no noise"),
        ({"function": lambda y: y > 0}, "is to give one floating-point array"),
    ],
)
def test_what_cannot_be_is_refused(changes, sentence):
    given = {"sde": GBM, "y0": jnp.ones(1), "ts": TS, "rng": KEY, "function": jnp.sum, "tolerance": 0.1} | changes
    with pytest.raises((ValueError, TypeError), match=sentence):
        expectation(given.pop("sde"), given.pop("y0"), given.pop("ts"), given.pop("rng"), **given)
