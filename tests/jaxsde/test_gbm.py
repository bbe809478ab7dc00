"""Geometric Brownian motion, where everything is known: dy = a y dt + b y dB."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxsde import ReplayedPath, brownian_increments, sdeint_ito, sdeint_ito_fixed_grid
from jaxsde.jaxsde.sdeint import sdeint_ito_fixed_grid as documented

PARAMS = (jnp.asarray(0.5), jnp.asarray(0.8))


def f(y, t, args):
    return args[0] * y


def g(y, t, args):
    return args[1] * y


def test_strong_order_of_euler_maruyama_and_its_limit():
    paths, finest = 2000, 256
    fine = brownian_increments(jax.random.key(0), np.linspace(0, 1, finest + 1), jnp.zeros(paths))
    a, b = PARAMS
    exact = jnp.exp(a - 0.5 * b**2 + b * fine.sum(0))
    errors, sizes = [], [8, 16, 32, 64, 128]
    for n in sizes:
        coarse = fine.reshape(n, finest // n, paths).sum(1)
        ys = sdeint_ito_fixed_grid(
            f, g, jnp.ones(paths), np.linspace(0, 1, n + 1), None, PARAMS, brownian=ReplayedPath(coarse)
        )
        errors.append(float(jnp.sqrt(jnp.mean((ys[-1] - exact) ** 2))))
    assert abs(-np.polyfit(np.log(sizes), np.log(errors), 1)[0] - 0.5) < 0.1
    assert errors[-1] < 0.1


def test_a_key_gives_the_path_that_its_increments_give():
    ts, key, y0 = np.linspace(0, 1, 11), jax.random.key(1), jnp.ones(3)
    increments = brownian_increments(key, ts, y0)
    drawn = documented(f, g, y0, ts, key, PARAMS, "euler_maruyama")
    np.testing.assert_allclose(
        drawn, sdeint_ito_fixed_grid(f, g, y0, ts, None, PARAMS, brownian=ReplayedPath(increments)), rtol=1e-6
    )
    assert drawn.shape == (11, 3)
    like = jax.ShapeDtypeStruct(y0.shape, y0.dtype)
    np.testing.assert_array_equal(brownian_increments(key, ts, like), increments)
    np.testing.assert_array_equal(drawn[0], y0)


def test_steps_between_the_times_are_the_steps_of_the_finer_grid():
    key, y0 = jax.random.key(1), jnp.ones(3)
    coarse = sdeint_ito(f, g, y0, np.linspace(0, 1, 5), key, PARAMS, dt=0.05)
    fine = sdeint_ito_fixed_grid(f, g, y0, np.linspace(0, 1, 21), key, PARAMS)
    np.testing.assert_allclose(coarse, fine[::5], rtol=1e-5)


def test_gradient_against_finite_differences(x64):
    ts, key, y0 = np.linspace(0, 1, 11), jax.random.key(1), jnp.ones(3)

    def loss(y0, args):
        return jnp.sum(jnp.sin(sdeint_ito_fixed_grid(f, g, y0, ts, key, args)) * ts[:, None])

    args = (jnp.asarray(0.5), jnp.asarray(0.8))
    grads = jax.grad(loss, (0, 1))(y0, args)
    for i in range(2):
        shift = tuple(jnp.asarray(1e-6 if j == i else 0.0) for j in range(2))
        up, down = (loss(y0, jax.tree.map(lambda p, s, sign=sign: p + sign * s, args, shift)) for sign in (1, -1))
        np.testing.assert_allclose(grads[1][i], (up - down) / 2e-6, rtol=1e-7)
    up, down = (loss(y0.at[0].add(s), args) for s in (1e-6, -1e-6))
    np.testing.assert_allclose(grads[0][0], (up - down) / 2e-6, rtol=1e-7)
    tangent = jax.jvp(lambda p: loss(y0, p), (args,), ((jnp.asarray(1.0), jnp.asarray(0.0)),))[1]
    np.testing.assert_allclose(tangent, grads[1][0], rtol=1e-10)


def test_a_part_without_noise_draws_none_and_time_may_run_back():
    def drift(y, t, args):
        w, x = y
        return w, {"a": x["a"] * 0 + w.sum()}

    y0 = (jnp.ones(2), {"a": jnp.zeros((3, 4))})
    solve = jax.jit(
        lambda key: sdeint_ito_fixed_grid(drift, lambda y, t, a: (y[0], None), y0, np.linspace(1, 0, 9), key)
    )
    ws, xs = solve(jax.random.key(0))
    assert xs["a"].shape == (9, 3, 4)
    alone = sdeint_ito_fixed_grid(lambda y, t, a: y, lambda y, t, a: y, y0[0], np.linspace(1, 0, 9), jax.random.key(0))
    np.testing.assert_allclose(ws, alone, rtol=1e-6)
    np.testing.assert_allclose(xs["a"][-1, 0, 0], -ws[:-1].sum() / 8, rtol=1e-5)
