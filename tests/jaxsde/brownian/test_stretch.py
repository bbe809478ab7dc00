"""The law of a divided stretch, and that joined stretches have the area of the path that they make."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde.brownian.stretch import Stretch


def parts(h, a, normals):
    """Increment and area of both parts, of four standard normals."""
    z = normals[:, None]
    whole = Stretch(jnp.asarray(h), (h**0.5 * z[0],), ((h / 12) ** 0.5 * z[1],))
    left, right = whole.divided(jnp.asarray(a), (z[2:],))
    return jnp.stack([left.dW[0], left.H[0], right.dW[0], right.H[0]])[:, 0]


@pytest.mark.parametrize("a", [0.5, 0.1, 0.83, 0.0, 1.0])
def test_parts_are_independent_and_have_the_law_of_their_length(x64, a):
    """All are linear in independent normals, so that the covariance is exact: no samples."""
    h = 0.7
    A = jax.jacfwd(lambda z: parts(h, a, z))(jnp.zeros(4))
    expected = np.diag(h * np.asarray([a, a / 12, 1 - a, (1 - a) / 12]))
    np.testing.assert_allclose(A @ A.T, expected, atol=1e-15)


@pytest.mark.parametrize("a", [0.5, 0.1, 0.0, 1.0])
def test_parts_joined_are_the_whole(x64, a):
    z = jax.random.normal(jax.random.key(0), (4, 5))
    whole = Stretch(jnp.asarray(0.7), (z[0],), (z[1],))
    left, right = whole.divided(jnp.asarray(a), (z[2:],))
    for found, exact in zip(jax.tree.leaves(left.followed_by(right)), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(found, exact, atol=1e-14)


def test_the_area_of_a_chain_is_how_far_the_path_is_from_its_chord_on_average(x64):
    """Of a path that is straight between a few times, by the trapezoidal rule."""
    rng = np.random.default_rng(0)
    lengths, dW = rng.uniform(0.1, 1.0, 9), rng.normal(size=9)
    chain = Stretch(jnp.asarray(0.0), (jnp.asarray(0.0),), (jnp.asarray(0.0),))
    for length, w in zip(lengths, dW, strict=True):
        chain = chain.followed_by(Stretch(jnp.asarray(length), (jnp.asarray(w),), (jnp.asarray(0.0),)))
    t, W = (np.append(0.0, np.cumsum(x)) for x in (lengths, dW))
    np.testing.assert_allclose(chain.H[0], np.trapezoid(W - t / t[-1] * W[-1], t) / t[-1], rtol=1e-12)
    np.testing.assert_allclose(chain.dW[0], W[-1], rtol=1e-12)
