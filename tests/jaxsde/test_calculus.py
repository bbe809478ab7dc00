"""Conversion between the calculi: by hand, and by solving both ways."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import (
    brownian_increments,
    g_dg,
    ito_to_stratonovich,
    sdeint_ito_fixed_grid,
    sdeint_strat_fixed_grid,
    stratonovich_to_ito,
)
from jaxsde.brownian import ReplayedPath


def f(y, t, args):
    return -y


MATRICES = np.random.default_rng(0).normal(size=(2, 3, 3)).astype(np.float32)
Y = np.asarray([0.3, -1.0, 2.0], np.float32)


@pytest.mark.parametrize(
    ("noise", "g", "shape", "expected"),
    [
        ("diagonal", lambda y, t, a: jnp.sin(y), None, np.sin(Y) * np.cos(Y)),
        ("additive", lambda y, t, a: jnp.ones_like(y), None, 0 * Y),
        ("scalar", lambda y, t, a: MATRICES[0] @ y, None, MATRICES[0] @ MATRICES[0] @ Y),
        ("general", lambda y, t, a: jnp.einsum("mij,j->im", MATRICES, y), None, (MATRICES @ MATRICES @ Y).sum(0)),
        ("commutative", lambda y, t, a: jnp.outer(Y * y, jnp.asarray(Y)), None, (Y @ Y) * Y**3),
        (
            "general",
            lambda y, t, a: lambda v: jnp.einsum("mij,j,m->i", MATRICES, y, v),
            (2,),
            (MATRICES @ MATRICES @ Y).sum(0),
        ),
    ],
)  # fmt: skip
def test_g_dg(noise, g, shape, expected):
    np.testing.assert_allclose(g_dg(g, noise, shape)(jnp.asarray(Y), 0.0, None), expected, rtol=1e-4, atol=1e-5)
    there = ito_to_stratonovich(f, g, noise, shape)
    np.testing.assert_allclose(there(jnp.asarray(Y), 0.0, None), -Y - 0.5 * expected, rtol=1e-4, atol=1e-5)
    back = stratonovich_to_ito(there, g, noise, shape)
    np.testing.assert_allclose(back(jnp.asarray(Y), 0.0, None), -Y, rtol=1e-4, atol=1e-5)


def test_conversion_inside_of_a_solve():
    def g(y, t, args):
        return jax.tree.map(lambda x: jnp.stack([x, -x], -1), y)

    y0 = (jnp.ones(3), jnp.ones(2, jnp.bfloat16))
    drift = ito_to_stratonovich(lambda y, t, a: jax.tree.map(jnp.zeros_like, y), g, "general")
    # Of each column c y with c = 1 and -1, g . dg is c^2 y.
    jax.tree.map(lambda x: np.testing.assert_allclose(x, -1.0), jax.jit(drift)(y0, 0.0, None))
    ys = sdeint_strat_fixed_grid(drift, g, y0, np.linspace(0, 1, 3), jax.random.key(0), noise="general")
    assert [y.dtype for y in ys] == [jnp.float32, jnp.bfloat16]


@pytest.mark.parametrize(
    ("ts", "convert", "other"),
    [
        (np.linspace(0, 1, 2001), ito_to_stratonovich, stratonovich_to_ito),
        (np.linspace(1, 0, 2001), stratonovich_to_ito, ito_to_stratonovich),
    ],
)
def test_both_calculi_have_the_same_solution(x64, ts, convert, other):
    path = ReplayedPath(brownian_increments(jax.random.key(0), ts, jnp.zeros(20)))

    def g(y, t, args):
        return 0.5 * jnp.cos(y)

    ito = sdeint_ito_fixed_grid(f, g, jnp.ones(20), ts, None, None, "milstein", brownian=path)[-1]
    strat, unconverted, wrong = (
        sdeint_strat_fixed_grid(drift, g, jnp.ones(20), ts, None, None, "heun", brownian=path)[-1]
        for drift in (convert(f, g), f, other(f, g))
    )
    np.testing.assert_allclose(ito, strat, atol=5e-3)
    assert np.abs(unconverted - ito).max() > 0.02
    assert np.abs(wrong - ito).max() > 0.04


def test_parts_without_noise():
    product = g_dg(lambda y, t, a: (y[0] ** 2, None))((jnp.asarray(3.0), jnp.ones(2)), 0.0, None)
    np.testing.assert_allclose(product[0], 54.0)
    np.testing.assert_array_equal(product[1], jnp.zeros(2))
