"""The path KL against densities of discrete chains, closed forms of two OU processes, and an exact posterior."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import (
    SDE,
    ReplayedPath,
    brownian_increments,
    path_kl,
    relative_drift,
    running_path_kl,
    sdeint_ito_fixed_grid,
    solve,
)

TS = np.linspace(0, 1, 101)
STANDARD_ERRORS = 4.0


def f_q(y, t, args):
    return args["a"] * (args["m"] - y)


def f_p(y, t, args):
    return -0.5 * y


def g(y, t, args):
    return jnp.full_like(y, 0.7)


U = relative_drift(f_q, f_p, g)
ARGS = {"a": jnp.asarray(2.0), "m": jnp.asarray(1.0)}


def solved(key, args, ts=TS, y0=0.3):
    dB = brownian_increments(key, ts, jnp.zeros(()))
    ys = sdeint_ito_fixed_grid(f_q, g, jnp.asarray(y0), ts, None, args, noise="additive", brownian=ReplayedPath(dB))
    return ys, dB


@pytest.mark.parametrize("estimator", ["full_mc", "stl"])
@pytest.mark.parametrize("ts", [TS, np.linspace(1, 0, 12)])
def test_it_is_the_log_ratio_of_the_discrete_chains(x64, ts, estimator):
    ys, dB = solved(jax.random.key(0), ARGS, ts)
    h = np.diff(ts)

    def log_density(f):
        mean = ys[:-1] + h * f(ys[:-1], 0.0, ARGS)
        return jax.scipy.stats.norm.logpdf(ys[1:], mean, 0.7 * np.sqrt(np.abs(h))).sum()

    value = path_kl(U, ys, ts, dB, ARGS, estimator=estimator)
    np.testing.assert_allclose(value, log_density(f_q) - log_density(f_p), rtol=1e-10)


def closed_form(n):
    """KL of the two chains of Euler-Maruyama: u is affine in y, whose mean and variance have a recursion."""
    h, m, v, kl = 1 / n, 0.3, 0.0, 0.0
    for _ in range(n):
        kl += h / 2 * ((2.0 - 1.5 * m) ** 2 + 1.5**2 * v) / 0.49
        m, v = m + h * 2.0 * (1.0 - m), (1 - 2.0 * h) ** 2 * v + 0.49 * h
    return kl


@pytest.mark.parametrize("estimator", ["analytic", "full_mc", "stl"])
def test_two_ou_processes(estimator):
    def of_one(key):
        ys, dB = solved(key, ARGS)
        return path_kl(U, ys, TS, dB, ARGS, estimator=estimator)

    values = jax.vmap(of_one)(jax.random.split(jax.random.key(1), 4000))
    # The recursion tends to the integral of the two processes themselves: halving its step changes it by 0.5 %.
    assert abs(closed_form(100) - closed_form(20000)) < 0.02 * closed_form(20000)
    error = values.std() / len(values) ** 0.5
    assert abs(values.mean() - closed_form(100)) < STANDARD_ERRORS * error


def test_the_bound_is_tight_and_the_stl_gradient_vanishes_at_the_exact_posterior(x64):
    """Prior dw = s dB from 0, observed y ~ N(w_1, r^2): by Doob's transform u = s (y - w) / (r^2 + s^2 (1 - t))."""
    s, r, y = 0.8, 0.5, 1.3
    evidence = jax.scipy.stats.norm.logpdf(y, 0.0, np.sqrt(s**2 + r**2))

    def u(w, t, args):
        return args["gain"] * s * (args["target"] - w) / (r**2 + s**2 * (1 - t))

    def negative_bound(args, key, n, estimator):
        ts = np.linspace(0, 1, n + 1)
        dB = brownian_increments(key, ts, jnp.zeros(()))
        ws = sdeint_ito_fixed_grid(
            lambda w, t, a: s * u(w, t, a), lambda w, t, a: jnp.asarray(s), jnp.asarray(0.0), ts, None, args,
            noise="additive", brownian=ReplayedPath(dB),
        )  # fmt: skip
        return path_kl(u, ws, ts, dB, args, estimator=estimator) - jax.scipy.stats.norm.logpdf(y, ws[-1], r)

    truth = {"gain": jnp.asarray(1.0), "target": jnp.asarray(y)}
    keys = jax.random.split(jax.random.key(0), 200)

    def spread(n, estimator):
        value, grads = jax.vmap(jax.value_and_grad(negative_bound), (None, 0, None, None))(truth, keys, n, estimator)
        return value, jnp.sqrt(jnp.mean(grads["gain"] ** 2 + grads["target"] ** 2))

    spread = jax.jit(spread, static_argnums=(0, 1))
    (coarse, coarse_stl), (fine, fine_stl) = spread(50, "stl"), spread(800, "stl")
    _, full_mc = spread(800, "full_mc")
    # Path by path, not on average: what is left is the discretisation's, of order one half or better.
    assert np.abs(-fine - evidence).max() < 0.1
    assert np.std(fine) < 0.35 * np.std(coarse)
    assert fine_stl < 0.35 * coarse_stl
    assert fine_stl < 0.05 * full_mc


def test_gradients_reach_the_prior_and_the_path():
    key = jax.random.key(4)

    def loss(p, estimator):
        prior = relative_drift(f_q, lambda y, t, args: -p * y, g)
        ys, dB = solved(key, ARGS)
        return path_kl(prior, ys, TS, dB, ARGS, estimator=estimator)

    for estimator in ("analytic", "full_mc"):
        numeric = (loss(0.6, estimator) - loss(0.4, estimator)) / 0.2
        np.testing.assert_allclose(jax.grad(loss)(0.5, estimator), numeric, rtol=1e-3)
    through_path = jax.grad(lambda ys: path_kl(U, ys, TS, solved(key, ARGS)[1], ARGS, estimator="stl"))(
        solved(key, ARGS)[0]
    )
    assert jnp.abs(through_path[1:-1]).min() > 0
    assert through_path[-1] == 0


def test_parts_without_noise_add_nothing():
    def ratio(sigma, difference):
        u = relative_drift(
            lambda y, t, a: (y[0], y[1] + difference), lambda y, t, a: y, lambda y, t, a: (None, sigma * y[1])
        )
        ys = (jnp.ones((4, 3)), jnp.ones((4, 2)))
        return path_kl(u, ys, np.linspace(0, 1, 4))

    assert ratio(0.0, 0.0) == 0
    assert jax.grad(ratio)(0.0, 0.0) == 0
    assert ratio(0.0, 1.0) == jnp.inf
    np.testing.assert_allclose(ratio(2.0, 1.0), 0.25, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"estimator": "exact"}, "'analytic', 'full_mc', 'stl'"),
        ({"estimator": "stl", "increments": None}, "brownian_increments"),
        ({"ts": TS[:-1]}, "every step"),
        ({"ts": np.asarray(TS + 1.7e9, np.float32)}, r"at entries 0 and 1 \(in float32\)"),
        ({"ts": np.where(TS == 0.5, 2, TS)}, "strictly increase or strictly decrease"),
        ({"estimator": "stl", "increments": np.zeros((100, 2))}, r"\(100, 2\)"),
    ],
)
def test_refusals(change, says):
    ys, dB = solved(jax.random.key(0), ARGS)
    call = {"u": U, "ys": ys, "ts": TS, "increments": dB, "args": ARGS} | change
    with pytest.raises(ValueError, match=says):
        path_kl(**call)


@pytest.mark.parametrize("motions", [2, 3])
def test_a_matrix_is_not_divided_by(motions):
    u = relative_drift(lambda y, t, args: y, lambda y, t, args: 0 * y, lambda y, t, args: jnp.eye(2, motions))
    with pytest.raises(ValueError, match=rf"g has shape \(2, {motions}\), and the drifts \(2,\).*jnp.linalg.solve"):
        path_kl(u, jnp.ones((3, 2)), [0.0, 0.5, 1.0])


def test_a_relative_drift_that_is_not_like_the_noise_is_refused():
    def rate(y, t, args):
        return y

    u = relative_drift(rate, lambda y, t, args: 0 * y, rate)
    one_motion = SDE(rate, rate, noise="scalar")
    with pytest.raises(ValueError, match=r"u gives shapes \[\(2,\)\], and the noise has \[\(\)\]"):
        solve(one_motion, jnp.ones(2), [0.0, 1.0], jax.random.key(0), running=running_path_kl(u))


@pytest.mark.parametrize("estimator", ["analytic", "full_mc", "stl"])
def test_no_infinity_or_nan_arises_on_the_way(estimator):
    ts, y0, key = np.linspace(0, 1, 5), jnp.ones(3), jax.random.key(0)

    def sigma(y, t, args):
        # The second entry has no noise and the same drift under both.
        return jnp.asarray([0.5, 0.0, 1.0])

    u = relative_drift(lambda y, t, a: -y, lambda y, t, a: -y * jnp.asarray([2.0, 1.0, 0.5]), sigma)
    with jax.debug_infs(True), jax.debug_nans(True):
        increments = brownian_increments(key, ts, y0)
        path = ReplayedPath(increments)
        ys = sdeint_ito_fixed_grid(lambda y, t, a: -y, sigma, y0, ts, None, noise="additive", brownian=path)
        kl, slope = jax.value_and_grad(lambda ys: path_kl(u, ys, ts, increments, estimator=estimator))(ys)
    assert kl > 0 or estimator != "analytic"
    np.testing.assert_array_equal(slope[:, 1], 0)
