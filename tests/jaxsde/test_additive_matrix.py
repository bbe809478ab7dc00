"""Additive noise by a matrix: a few Brownian motions that move all of y."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import METHODS, SDE, FixedSteps, Increment, ReplayedPath, solve
from jaxsde.flat_sde import FlatSDE

KEY = jax.random.key(0)
B = np.array([0.5, 0.25, -0.3])
S = np.array([[0.4, -1.0], [0.3, 0.8], [0.0, 0.5]])


def damped(y, t, args):
    return B / jnp.sqrt(1 + t) - y / (2 * (1 + t))


@pytest.mark.parametrize("method", ["sra1", "sosra"])
def test_order_of_the_methods_for_additive_noise(x64, method):
    """The solution is (y0 + B t + S W) / sqrt(1 + t)."""
    sde = SDE(damped, lambda y, t, args: S / jnp.sqrt(1 + t), noise="additive")

    def error(key, n):
        normals = jax.random.normal(key, (2, n, 2)) / np.sqrt(n)
        path = ReplayedPath(normals[0], normals[1] / np.sqrt(12))
        end = solve(sde, jnp.ones(3), [0.0, 1.0], steps=FixedSteps(n), method=method, brownian=path).ys[-1]
        return jnp.sum((end - (1 + B + S @ normals[0].sum(0)) / np.sqrt(2)) ** 2)

    coarse, fine = (np.mean(jax.vmap(lambda k, n=n: error(k, n))(jax.random.split(KEY, 400))) for n in (4, 32))
    assert np.log(coarse / fine) / (2 * np.log(8)) > 1.4


def test_a_diagonal_matrix_is_one_motion_for_each_entry():
    """The error that adaptive steps go by is one of them as well."""
    like, t, h = jax.ShapeDtypeStruct((3,), jnp.float32), jnp.float32(0), jnp.float32(0.5)
    increment = Increment((jnp.array([0.1, -0.2, 0.3]),), (jnp.array([0.02, 0.3, 0.0]),))

    def step(by_columns):
        def g(y, t, args):
            sizes = jnp.array([0.5, 1.0, 2.0]) * jnp.exp(-3 * t)
            return jnp.diag(sizes) if by_columns else sizes

        sde = FlatSDE(damped, g, "ito", "additive", like, (like,), by_columns)
        embedded = METHODS["sra1"].embedded
        assert embedded is not None
        return embedded(sde, (jnp.ones(3),), t, h, increment, None)

    for matrix, entries in zip(step(True), step(False), strict=True):
        np.testing.assert_allclose(matrix[0], entries[0], rtol=1e-5)


def test_it_is_the_commutative_noise_of_that_matrix():
    def end(y0, noise):
        sde = SDE(lambda y, t, args: jnp.sin(y), lambda y, t, args: jnp.asarray(S, y.dtype), noise=noise)
        choices: dict[str, Any] = {"steps": FixedSteps(4), "running": lambda y, t, h, dW, args: dW}
        solution = solve(sde, y0, [0.0, 1.0], KEY, method="euler_maruyama", adjoint="stochastic", **choices)
        return solution.ys[-1].sum() + solution.sums[-1] @ jnp.arange(2.0)

    found, expected = (jax.value_and_grad(end)(jnp.ones(3), noise) for noise in ("additive", "commutative"))
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-6)
