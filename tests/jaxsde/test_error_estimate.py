"""Estimates of the error of a step have the order that the length of the next step follows from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import METHODS
from jaxsde.brownian import Increment
from jaxsde.brownian.stretch import Stretch
from jaxsde.error_estimate import error_estimate
from jaxsde.flat_sde import FlatSDE


@pytest.mark.parametrize(
    ("name", "noise", "parts", "evaluations"),
    [
        ("sriw1", "diagonal", 1, 2), ("sosri", "diagonal", 1, 4), ("sra1", "additive", 1, 2),
        ("sosra", "additive", 1, 3), ("milstein", "diagonal", 2, 3),
    ],
)  # fmt: skip
def test_order_and_cost(x64, name, noise, parts, evaluations):
    g = (lambda y, t, a: 0.5 + 0 * y) if noise == "additive" else (lambda y, t, a: 0.5 * jnp.cos(y))
    y = jnp.asarray([0.4])
    sde = FlatSDE(lambda y, t, a: jnp.sin(y) + t, g, "ito", noise, y, (y,))
    estimate = error_estimate(METHODS[name], noise)
    assert (estimate.parts, estimate.evaluations) == (parts, evaluations)

    def error(z, h):
        """Of a step of length h whose path is two halves of four normals: the points are 0, 1 and 2 halves."""
        halves = [
            Stretch(h / 2, (w * jnp.sqrt(h / 2),), (H * jnp.sqrt(h / 24),)) for w, H in ((z[0], z[1]), (z[2], z[3]))
        ]

        def between(a, b):
            stretch = halves[0].followed_by(halves[1]) if b - a == 2 else halves[a]
            return a * h / 2, stretch.length, Increment(stretch.dW, stretch.H)

        return estimate.attempt(sde, (y,), (0, 2) if parts == 1 else (0, 1, 2), between, None)[1][0]

    z = jax.random.normal(jax.random.key(0), (1000, 4, 1))
    sizes = 2.0 ** -np.arange(4, 9)
    errors = jax.jit(jax.vmap(lambda h: jnp.sqrt(jnp.mean(jax.vmap(lambda z: error(z, h))(z) ** 2))))(sizes)
    assert abs(np.polyfit(np.log(sizes), np.log(errors), 1)[0] - estimate.order) < 0.1, errors


@pytest.mark.parametrize(("of_diagonal", "of_additive"), [("sriw1", "sra1"), ("sosri", "sosra")])
def test_where_noise_happens_to_be_small_the_estimate_is_not(x64, of_diagonal, of_additive):
    """A step with no increment at all is not without error: the increment's spread is."""
    y, zero = (jnp.asarray([0.4]),), (jnp.zeros(1),)

    @jax.jit
    def steps(h):
        def step(name, noise, g):
            sde = FlatSDE(lambda y, t, a: 0 * y, g, "ito", noise, y[0], y)
            embedded = METHODS[name].embedded
            assert embedded is not None
            (end,), (error,) = embedded(sde, y, jnp.zeros(()), h, Increment(zero, zero), None)
            return end[0], error[0]

        return (
            step(of_diagonal, "diagonal", lambda y, t, a: 0.8 * y),
            step(of_additive, "additive", lambda y, t, a: t + 0 * y),
        )

    (end, error), (_, error_of_additive) = steps(jnp.asarray(1.0))
    assert abs(end - 0.4 * np.exp(-0.32)) < error
    # That of t dB is the standard deviation of its integral.
    np.testing.assert_allclose(error_of_additive, 3**-0.5)
