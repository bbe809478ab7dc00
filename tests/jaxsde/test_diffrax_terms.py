"""The terms for diffrax mean the same equation."""

import itertools

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import ReplayedPath, sdeint_ito_fixed_grid, to_diffrax


@pytest.mark.parametrize(
    ("noise", "shape"),
    [
        ("diagonal", (3,)),
        ("additive", (3,)),
        ("additive", (2,)),
        ("scalar", ()),
        ("commutative", (2,)),
        ("general", (2,)),
    ],
)
def test_diffrax_solves_the_same_equation(noise, shape):
    def f(y, t, args):
        return args * y

    def g(y, t, args):
        if noise == "additive":
            return jnp.full_like(y, 0.3) if shape == y.shape else 0.3 * jnp.arange(6.0).reshape(3, 2)
        if noise == "commutative":
            return 0.3 * jnp.outer(y, jnp.asarray([1.0, 2.0]))
        return jnp.stack([0.3 * y, jnp.cos(y)], -1) if noise == "general" else 0.3 * y

    ts = np.linspace(0, 1, 9, dtype=np.float32)
    path = diffrax.VirtualBrownianTree(0.0, 1.0, 1e-4, shape, jax.random.key(0))
    dW = jnp.stack([path.evaluate(a, b) for a, b in itertools.pairwise(ts)])
    args = jnp.asarray(-0.5)
    ys = sdeint_ito_fixed_grid(f, g, jnp.ones(3), ts, None, args, noise=noise, brownian=ReplayedPath(dW))
    with jax.numpy_dtype_promotion("standard"):
        peer = diffrax.diffeqsolve(to_diffrax(f, g, path, noise), diffrax.Euler(), 0.0, 1.0, 0.125, jnp.ones(3), args)
    np.testing.assert_allclose(ys[-1], peer.ys[-1], rtol=1e-5)


def test_refusals(monkeypatch):
    def zero(y, t, args):
        return 0 * y

    with pytest.raises(ValueError, match="'general'"):
        to_diffrax(zero, zero, None, "matrix")
    monkeypatch.setitem(__import__("sys").modules, "diffrax", None)
    with pytest.raises(ImportError, match="pip install diffrax"):
        to_diffrax(zero, zero, None)
