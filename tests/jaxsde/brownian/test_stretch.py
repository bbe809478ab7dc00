"""The law of a divided stretch, and that joined stretches have the area of the path that they make."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxsde.brownian.stretch import Stretch

H = 0.7
FRACTIONS = np.asarray([0.5, 0.1, 0.83, 0.0, 1.0])


def parts(a, z):
    """Increment and area of both parts, of the whole and of both joined, of four standard normals."""
    whole = Stretch(jnp.asarray(H), (H**0.5 * z[0],), ((H / 12) ** 0.5 * z[1],))
    left, right = whole.divided(a, (z[2:],))
    joined = left.followed_by(right)
    return tuple(
        jnp.stack([jnp.asarray(x) for s in pair for x in (s.dW[0], s.H[0])])
        for pair in ((left, right), (whole, joined))
    )


def test_parts_are_independent_have_the_law_of_their_length_and_are_the_whole_when_joined(x64):
    """All are linear in independent normals, so that the covariance is exact: no samples."""
    matrices = jax.jit(jax.vmap(lambda a: jax.vmap(lambda z: parts(a, z), out_axes=1)(jnp.eye(4))))
    A, wholes = (np.asarray(x) for x in matrices(FRACTIONS))
    for a, covariance in zip(FRACTIONS, A @ A.swapaxes(1, 2), strict=True):
        np.testing.assert_allclose(covariance, np.diag(H * np.asarray([a, a / 12, 1 - a, (1 - a) / 12])), atol=1e-15)
    np.testing.assert_allclose(wholes[:, 2:], wholes[:, :2], atol=1e-15)


def test_the_area_of_a_chain_is_how_far_the_path_is_from_its_chord_on_average(x64):
    """Of a path that is straight between a few times, by the trapezoidal rule."""
    rng = np.random.default_rng(0)
    lengths, dW = rng.uniform(0.1, 1.0, 9), rng.normal(size=9)
    chain = Stretch(jnp.asarray(0.0), (jnp.asarray(0.0),), (jnp.asarray(0.0),))
    for length, w in zip(lengths, dW, strict=True):
        chain = chain.followed_by(Stretch(jnp.asarray(length), (jnp.asarray(w),), (jnp.asarray(0.0),)))
    t, W = (np.append(0.0, np.cumsum(x)) for x in (lengths, dW))
    np.testing.assert_allclose(chain.H[0], np.trapezoid(W - t / t[-1] * W[-1], t) / t[-1], rtol=1e-12)
    np.testing.assert_allclose(jnp.asarray(chain.dW[0]), W[-1], rtol=1e-12)
