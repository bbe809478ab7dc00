"""Stochastic Runge-Kutta methods by a tableau: order conditions, and the stability that some are optimised for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import METHODS, sdeint_ito
from jaxsde.brownian import Increment
from jaxsde.flat_sde import FlatSDE
from jaxsde.methods import sosra, sosri, sra1, sriw1


def matrix(rows, stages):
    """Rows of a lower triangle, with zeros."""
    whole = np.zeros((stages, stages))
    for i, row in enumerate(rows):
        whole[i, : len(row)] = row
    return whole


@pytest.mark.parametrize("module", [sriw1, sosri])
def test_order_conditions_with_diagonal_and_scalar_noise(module):
    """Rößler, 2010, theorem 5.1, for strong order 1.5. By rows: of beta1, ..., beta4."""
    tableau, n = module.TABLEAU, len(module.TABLEAU.beta1)
    A0, B0, A1, B1 = (matrix(rows, n) for rows in tableau[:4])
    alpha = np.pad(tableau.alpha, (0, n - len(tableau.alpha)))
    beta, e = np.asarray(tableau[5:]), np.ones(n)
    found = [
        alpha @ np.stack([e, A0 @ e, B0 @ e, (B0 @ e) ** 2], -1),
        *(beta @ np.stack([e, B1 @ e, A1 @ e, (B1 @ e) ** 2, B1 @ B1 @ e], -1)),
        [(beta[0] / 2 + beta[2] / 3) @ A1 @ B0 @ e],
    ]
    exact: list[list[float]] = [
        [1, 1 / 2, 1, 3 / 2],
        [1, 0, 1, 1, 0],
        [0, 1, 0, 0, 0],
        [0, 0, -1, -1, 0],
        [0, 0, 0, 2, 1],
        [0],
    ]
    for row, expected in zip(found, exact, strict=True):
        np.testing.assert_allclose(row, expected, atol=1e-12)


@pytest.mark.parametrize("module", [sra1, sosra])
def test_order_conditions_with_additive_noise(module):
    """Rößler, 2010, theorem 6.1, for strong order 1.5."""
    tableau = module.TABLEAU
    n, c1 = len(tableau.alpha), np.asarray(tableau.c1)
    A0, B0 = (matrix(rows, n) for rows in tableau[:2])
    e, alpha, beta = np.ones(n), np.asarray(tableau.alpha), np.asarray(tableau[4:])
    assert c1[0] == 0
    np.testing.assert_allclose(
        alpha @ np.stack([e, A0 @ e, B0 @ e, (B0 @ e) ** 2], -1), [1, 1 / 2, 1, 3 / 2], atol=1e-12
    )
    np.testing.assert_allclose(beta @ np.stack([e, c1], -1), [[1, 1], [0, -1]], atol=1e-12)


def growth(name, noise, decay, size):
    """Of the mean square in a step of length 1 of dX = -decay X dt + size X dW; with additive noise of the mean."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(9)
    w, H = (x.ravel()[:, None] for x in np.meshgrid(nodes, nodes / 12**0.5))
    y = jnp.ones(1)
    g = (lambda y, t, a: size * jnp.ones(1)) if noise == "additive" else (lambda y, t, a: size * y)
    sde = FlatSDE(lambda y, t, a: -decay * y, g, "ito", noise, y, (y,))
    one, zero = jnp.ones(()), jnp.zeros(())

    def end(w, H):
        return METHODS[name].step(sde, (y,), zero, one, Increment((w,), (H,)), None)[0][0]

    if noise == "additive":
        return abs(end(jnp.zeros(1), jnp.zeros(1)))
    return np.outer(weights, weights).ravel() @ jax.vmap(end)(jnp.asarray(w), jnp.asarray(H)) ** 2 / weights.sum() ** 2


# The usual method, and the one of optimised stability; decay and noise in a step.
STIFF = {
    "diagonal": ("sriw1", "sosri", [(8.0, 0.1), (5.0, 0.3), (2.5, 0.5)]),
    "additive": ("sra1", "sosra", [(5.0, 0.1), (2.5, 0.5)]),
}


@pytest.mark.parametrize("noise", STIFF)
def test_where_one_grows_the_other_decays(x64, noise):
    usual, optimised, where = STIFF[noise]
    for decay, size in where:
        assert growth(usual, noise, decay, size) > 1.5
        assert growth(optimised, noise, decay, size) < 0.9


@pytest.mark.parametrize("noise", STIFF)
def test_a_fast_relaxation_is_followed_with_steps_on_which_the_usual_method_blows_up(noise):
    """In single precision, with h L = 4."""
    usual, optimised, _ = STIFF[noise]
    g = (lambda y, t, a: 0.5 * jnp.ones_like(y)) if noise == "additive" else (lambda y, t, a: 2.0 * y)

    def end(method):
        y0, key = jnp.ones(100), jax.random.key(0)
        ys = sdeint_ito(lambda y, t, a: -400 * y, g, y0, [0.0, 1.0], key, None, method, steps=100, noise=noise)
        return jnp.abs(ys[-1])

    assert not (end(usual) < 1e6).any()
    assert (end(optimised) < 0.2).all()
