"""What adaptive steps must not change: the law of the solution, and what is said to have been computed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import jaxsde.integrate
from jaxsde import METHODS, VirtualTree, sdeint_ito, sdeint_strat

SIGNIFICANCE = 1e-3
TS = np.asarray([0.0, 1.0])
SIGMA = 0.8
KEYS = jax.random.split(jax.random.key(1), 1000)


def solve(solver, method, rtol, dt=None):
    """log y(1) / y(0) of dy = SIGMA y dB on the tree of each key, and W(1) there."""
    areas = METHODS[method].on("diagonal").space_time
    like = (jax.ShapeDtypeStruct((), jnp.float32),)

    def one(key):
        tree = VirtualTree(key, 0.0, 1.0, 2.0**-18, areas)
        ys, stats = solver(
            lambda y, t, a: 0 * y, lambda y, t, a: SIGMA * y, jnp.ones(()), TS, None, None, method, brownian=tree,
            adaptive=True, rtol=rtol, atol=rtol, max_steps=128, stats=True, adjoint="backprop", dt=dt,
        )  # fmt: skip
        return jnp.log(ys[-1]), tree.value(jnp.asarray(1.0), like)[0], stats["tried_steps"], stats["steps"]

    return jax.jit(jax.vmap(one))(KEYS)


@pytest.mark.parametrize(
    ("solver", "method", "drift"),
    [
        (sdeint_ito, "milstein", -(SIGMA**2) / 2), (sdeint_ito, "dri1", -(SIGMA**2) / 2), (sdeint_strat, "heun", 0.0),
    ],
)  # fmt: skip
def test_rejected_steps_do_not_change_the_law(solver, method, drift):
    log, W, tried, steps = solve(solver, method, 3e-3)
    assert (tried > steps // 2).mean() > 0.5
    assert scipy.stats.kstest((np.asarray(log) - drift) / SIGMA, "norm").pvalue > SIGNIFICANCE
    assert np.sqrt(np.mean((log - drift - SIGMA * W) ** 2)) < 0.03


@pytest.mark.parametrize(("method", "factor"), [("sriw1", 1), ("sosri", 2)])
def test_a_first_step_far_too_long_does_not_change_the_law_of_a_method_that_says_its_own_error(method, factor):
    """One that is tried is one of the grid: no halves, and the first two are always rejected."""
    log, W, tried, steps = solve(sdeint_ito, method, 1e-2, dt=1.0)
    assert (tried - steps >= 2).mean() > 0.9
    assert scipy.stats.kstest((np.asarray(log) + SIGMA**2 / 2) / SIGMA, "norm").pvalue > SIGNIFICANCE
    # The error of the whole is of the order of the tolerance.
    assert np.sqrt(np.mean((log + SIGMA**2 / 2 - SIGMA * W) ** 2)) < factor * 1e-2


@pytest.mark.parametrize("method", ["sra1", "sosra"])
def test_a_first_step_far_too_long_does_not_change_the_law_with_additive_noise(method):
    """dY = -3 Y dt + e^t / 2 dB from 1: at time 1 it is normal, of mean e^-3 and variance (e^2 - e^-6) / 32."""

    def one(key):
        ys, stats = sdeint_ito(
            lambda y, t, a: -3 * y, lambda y, t, a: jnp.exp(t) / 2 + 0 * y, jnp.ones(()), TS, key, None, method,
            noise="additive", adaptive=True, rtol=1e-2, atol=1e-2, max_steps=99, stats=True, adjoint="backprop", dt=1.0,
        )  # fmt: skip
        return ys[-1], stats["tried_steps"], stats["steps"]

    ends, tried, steps = jax.jit(jax.vmap(one))(KEYS)
    assert (tried - steps >= 2).mean() > 0.9
    law = scipy.stats.norm(np.exp(-3), np.sqrt((np.exp(2) - np.exp(-6)) / 32))
    assert scipy.stats.kstest(np.asarray(ends), law.cdf).pvalue > SIGNIFICANCE


@pytest.mark.parametrize("tol", [2.0**-5, 0.0297])
def test_no_step_is_shorter_than_the_resolution_of_the_tree(tol):
    """Where it were, its halves would share a normal and the squares of the increments would not add up to time."""

    def squares(key):
        return sdeint_strat(
            lambda y, t, a: 0 * y, lambda y, t, a: SIGMA * y, jnp.ones(()), np.asarray([1.0, 0.37, 0.0]), None,
            method="heun", brownian=VirtualTree(key, 0.0, 1.0, tol), adaptive=True, rtol=1e-7, atol=1e-7, max_steps=128,
            stats=True, running=lambda y, t, h, dW, a: dW**2, adjoint="backprop",
        )  # fmt: skip

    with pytest.warns(RuntimeWarning, match=r"adaptive steps came down to a length of 0\.0"):  # noqa: PT031
        (ys, sums), stats = jax.jit(jax.vmap(squares))(KEYS[:300])
        jax.effects_barrier()
    steps = np.asarray(stats["steps"])
    assert np.isfinite(ys).all()
    assert (steps * tol <= 1.01).all()
    assert (steps * tol > 0.5).all()
    # The variance of a sum of squares is 2 / steps.
    error = (np.asarray(sums)[:, -1] - 1) * np.sqrt(steps / 2)
    assert abs(error.mean()) < 4 / np.sqrt(300)


def test_an_ode_stops_at_the_resolution_of_the_times():
    with pytest.warns(RuntimeWarning, match="adaptive steps came down to a length of 0.00095"):  # noqa: PT031
        ys = sdeint_strat(
            lambda y, t, a: -y, None, jnp.ones(()), np.asarray([1000.0, 1000.05]), None, method="heun", adaptive=True,
            rtol=1e-12, atol=1e-12, max_steps=100,
        )  # fmt: skip
        jax.effects_barrier()
    np.testing.assert_allclose(ys[-1], np.exp(-0.05), rtol=1e-3)


def test_euler_maruyama_would_converge_to_another_solution(monkeypatch):
    # Steps are rejected where dB is large, and what order 1/2 leaves to averaging, dB^2 - h, no longer averages out.
    monkeypatch.setattr(jaxsde.integrate, "check_adaptive", lambda *checked: None)
    log, W, _, _ = solve(sdeint_ito, "euler_maruyama", 1e-2)
    error = np.asarray(log - SIGMA * W + SIGMA**2 / 2)
    assert error.mean() > 10 * error.std() / np.sqrt(len(KEYS))


@pytest.mark.parametrize("adjoint", ["backprop", "stochastic"])
def test_the_drift_is_evaluated_as_often_as_is_said(adjoint):
    calls = []

    def f(y, t, args):
        jax.debug.callback(lambda: calls.append(1))
        return -y

    _, stats = sdeint_strat(
        f, lambda y, t, a: 0.3 * y, jnp.ones(2), np.asarray([1.0, 0.4, 0.0]), jax.random.key(0), method="heun",
        adaptive=True, rtol=1e-2, max_steps=200, stats=True, adjoint=adjoint,
    )  # fmt: skip
    jax.effects_barrier()
    assert len(calls) == stats["evaluations"]
