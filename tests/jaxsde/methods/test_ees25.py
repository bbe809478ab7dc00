"""What EES(2,5) is for: steps that undo themselves, and stability that other reversible methods do not have."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import METHODS, sdeint_strat
from jaxsde.brownian import Increment
from jaxsde.flat_sde import FlatSDE, scale

KEY = jax.random.key(0)
EES25 = METHODS["ees25"]
MIX = np.asarray([[0.3, -0.8], [0.9, 0.2]])
SIZES = np.asarray([1 / 8, 1 / 16, 1 / 32])


def f(y, t, args):
    return jnp.tanh(MIX @ y) * jnp.cos(t) - y


def g(y, t, args):
    return jnp.stack([jnp.sin(y + t), jnp.cos(MIX @ y)], -1)


def orders(errors):
    return np.polyfit(np.log(SIZES), np.log(errors), 1)[0]


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_the_step_back_undoes_a_step_to_order_five(x64, noise):
    """What is left of one is of order six in the change f h + g dW, also where noise does not commute."""
    y = (jnp.asarray([0.7, -0.4]),)
    sde = FlatSDE(f, g, "stratonovich", "general", y[0], (jnp.zeros(2),))
    left, corrected = [], []
    assert EES25.inverse is not None
    for size in SIZES:
        t, h = jnp.asarray(0.3), jnp.asarray(size)
        increment = Increment((noise * size * jnp.asarray([0.8, -1.1]),))
        end = EES25.step(sde, y, t, h, increment, None)
        back = EES25.step(sde, end, t + h, -h, Increment(scale(-1, increment.dW)), None)
        left.append(jnp.abs(back[0] - y[0]).max())
        corrected.append(jnp.abs(EES25.inverse(sde, end, t, h, increment, None)[0] - y[0]).max())
    assert abs(orders(left) - 6) < 0.25, left
    assert max(corrected) < 1e-14 < min(left), (left, corrected)


def test_it_is_of_order_two_without_noise(x64):
    def end(method, steps):
        return sdeint_strat(f, None, jnp.ones(2), np.asarray([0.0, 2.0]), None, None, method, steps=steps)[-1]

    fine = end("heun", 8192)
    errors = [jnp.abs(end("ees25", int(2 / size)) - fine).max() for size in SIZES]
    assert abs(orders(errors) - 2) < 0.1, errors


def test_it_is_as_stable_as_midpoint_where_reversible_heun_blows_up():
    """dX = -L X dt + 0.1 dW with h L = 1.9, and 3 for itself."""

    def largest(method, length):
        steps = 200
        ys = sdeint_strat(
            lambda y, t, a: -length * steps * y, lambda y, t, a: 0.1 * jnp.ones_like(y), jnp.ones(8),
            np.linspace(0, 1, 201), KEY, None, method, steps=steps, noise="additive",
        )  # fmt: skip
        return float(jnp.abs(ys[-50:]).max())

    assert largest("midpoint", 1.9) < 0.1
    assert largest("ees25", 1.9) < 0.1
    assert largest("ees25", 3.0) < 0.1
    assert not largest("midpoint", 3.0) < 1e6
    assert not largest("reversible_heun", 1.9) < 1e6


def test_steps_too_long_to_be_undone_give_nan_with_a_warning():
    def gradient(rate):
        def loss(y0):
            ys = sdeint_strat(
                lambda y, t, a: rate * jnp.sin(y), None, y0, np.asarray([0.0, 1.0]), None, None, "ees25",
                steps=8, adjoint="reversible",
            )  # fmt: skip
            return jnp.sum(ys[-1])

        found = jax.grad(loss)(jnp.asarray([0.5, 2.5]))
        jax.effects_barrier()
        return found

    assert np.isfinite(gradient(4.0)).all()
    with pytest.warns(RuntimeWarning, match="too long to be undone"):
        lost = gradient(40.0)
    assert np.isnan(lost).all()
