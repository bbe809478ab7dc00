"""The law of the tree at every scale, and that it is one path however it is asked."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxsde import VirtualTree, sdeint_ito_fixed_grid
from jaxsde.brownian.stretch import Stretch

SIGNIFICANCE = 1e-3
SAMPLES = 5000
LIKE = (jax.ShapeDtypeStruct((SAMPLES,), jnp.float32),)
TOL = 2.0**-6


@jax.jit
def at(tree, ts):
    return jax.vmap(lambda t: tree.value(t, LIKE)[0])(ts)


def assert_normal(samples):
    assert scipy.stats.kstest(np.asarray(samples), "norm").pvalue > SIGNIFICANCE


def assert_independent_normals(a, b):
    # Sum and difference are normal, too, if and only if the two are independent normals.
    for samples in (a, b, (a + b) / np.sqrt(2), (a - b) / np.sqrt(2)):
        assert_normal(samples)
    assert scipy.stats.pearsonr(a, b).pvalue > SIGNIFICANCE


@pytest.mark.parametrize("level", range(1, 7))
def test_increments_of_every_refinement_are_independent_normals(level):
    ts = jnp.linspace(0, 2, 2**level + 1)
    z = np.diff(at(VirtualTree(jax.random.key(level), 0.0, 2.0, 2 * TOL), ts), axis=0) / np.sqrt(2 * 2.0**-level)
    for k in {0, 2 ** (level - 1) - 1, 2**level - 2}:
        assert_independent_normals(z[k], z[k + 1])


def test_increments_between_any_times_of_different_cells_are_independent_normals():
    ts = np.asarray([0.003, 0.02, 0.11, 0.4321, 0.5, 0.777, 0.999], np.float32)
    dW = np.diff(at(VirtualTree(jax.random.key(0), 0.0, 1.0, TOL), ts), axis=0)
    z = dW / np.sqrt(np.diff(ts))[:, None]
    for a, b in itertools.pairwise(z):
        assert_independent_normals(a, b)


def test_values_inside_one_cell_have_the_variance_of_their_time():
    ts = TOL * np.asarray([0.1, 0.25, 0.5, 0.9], np.float32)
    for w, t in zip(at(VirtualTree(jax.random.key(0), 0.0, 1.0, TOL), ts), ts, strict=True):
        assert_normal(w / np.sqrt(t))


def test_a_time_has_one_value_bit_for_bit_in_any_order_and_company():
    tree = VirtualTree(jax.random.key(0), -1.0, 1.0, 2.0**-14)
    ts = np.random.default_rng(0).uniform(-1, 1, 40).astype(np.float32)
    values, backwards = at(tree, ts), at(tree, ts[::-1])
    np.testing.assert_array_equal(values, backwards[::-1])
    for k in (7, 3, 31):
        np.testing.assert_array_equal(at(tree, ts[k : k + 1])[0], values[k])


def test_a_finer_tolerance_refines_the_same_path():
    ts = jnp.linspace(0, 1, 17)
    coarse, fine = (at(VirtualTree(jax.random.key(0), 0.0, 1.0, tol), ts) for tol in (2.0**-4, 2.0**-20))
    np.testing.assert_array_equal(coarse, fine)
    np.testing.assert_array_equal(coarse[0], 0)


# The ends of neighbouring steps may be a rounding error apart, where the path moves by the root of that.
@pytest.mark.parametrize(("steps", "rounding"), [(7, 1e-3), (64, 1e-6)])
def test_a_coarse_increment_is_the_sum_of_the_fine_ones_forwards_and_backwards(steps, rounding):
    tree = VirtualTree(jax.random.key(0), 0.0, 1.0, 2.0**-14)
    grid = jnp.linspace(0, 1, steps + 1)
    increments = jax.jit(jax.vmap(lambda t, h: tree.increment(0, t, h, LIKE).dW[0]))
    forwards = increments(grid[:-1], jnp.diff(grid))
    backwards = increments(grid[1:], -jnp.diff(grid))
    np.testing.assert_allclose(forwards.sum(0), at(tree, grid[-1:])[0], atol=5 * rounding)
    np.testing.assert_allclose(backwards, -forwards, atol=rounding)
    assert_normal(forwards[3] * np.sqrt(steps))
    np.testing.assert_array_equal(tree.increment(0, grid[3], jnp.asarray(0.0), LIKE).dW[0], 0)


@pytest.mark.parametrize("ts", [np.linspace(0, 1, 17), np.linspace(1, 0, 17)])
def test_a_fixed_grid_walks_the_path(ts):
    keys = jax.random.split(jax.random.key(0), 3)

    def end(sigma, key):
        tree = VirtualTree(key, 0.0, 1.0, 2.0**-14)
        drift, diffusion = lambda y, t, a: (0 * y[0], 0 * y[1]), lambda y, t, a: (jnp.full(2, a), None)
        ys = sdeint_ito_fixed_grid(
            drift, diffusion, (jnp.zeros(2), jnp.ones(3)), ts, None, sigma, noise="additive", brownian=tree
        )
        return ys[0][-1].sum()

    like = (jax.ShapeDtypeStruct((2,), jnp.float32), None)
    W = jax.vmap(lambda key: VirtualTree(key, 0.0, 1.0, 2.0**-14).value(jnp.asarray(1.0), like)[0].sum())(keys)
    ends, slopes = jax.jit(jax.vmap(jax.value_and_grad(end), (None, 0)))(jnp.asarray(2.0), keys)
    np.testing.assert_allclose(slopes, np.sign(ts[-1] - 0.5) * W, atol=1e-5)
    np.testing.assert_allclose(ends, 2 * slopes, rtol=1e-5)


def test_leaves_are_independent_and_a_legacy_key_is_the_same_path():
    like = (*LIKE, None, *LIKE)
    half = jnp.asarray(0.5)
    a, none, b = VirtualTree(jax.random.key(0), 0.0, 1.0, TOL).value(half, like)
    assert none is None
    assert_independent_normals(a * np.sqrt(2), b * np.sqrt(2))
    np.testing.assert_array_equal(a, VirtualTree(jax.random.PRNGKey(0), 0.0, 1.0, TOL).value(half, like)[0])


def test_outside_the_interval_nothing_is_made_up():
    assert np.isnan(at(VirtualTree(jax.random.key(0), 0.0, 1.0, TOL), jnp.asarray([-0.01, 1.01]))).all()


@jax.jit
def increments(tree, ts, h):
    """dW and H over each of the steps, (steps, samples)."""
    asked = jax.vmap(lambda t, h: tree.increment(0, t, h, LIKE, space_time=True))(ts, h)
    return asked.dW[0], asked.H[0]


WITH_AREAS = VirtualTree(jax.random.key(5), 0.0, 1.0, TOL, space_time=True)
UNEVEN = np.asarray([0.003, 0.02, 0.11, 0.4321, 0.5, 0.777, 0.999], np.float32)


def test_areas_between_any_times_of_different_cells_have_their_law():
    h = np.diff(UNEVEN)
    dW, H = (np.asarray(x) for x in increments(WITH_AREAS, UNEVEN[:-1], h))
    z = np.concatenate([dW / np.sqrt(h)[:, None], H / np.sqrt(h / 12)[:, None]])
    for a, b in itertools.pairwise(z):
        assert_independent_normals(a, b)
    # Twelve normals, and 66 correlations of a standard error of SAMPLES^-1/2 each.
    assert np.abs(np.corrcoef(z) - np.eye(12)).max() < 4.5 / np.sqrt(SAMPLES)


def test_areas_are_those_of_one_path_whatever_is_asked_and_in_which_direction():
    """Steps, what they join to, the same steps backwards and in another order, and W by itself."""
    h = np.diff(UNEVEN)
    dW, H = increments(WITH_AREAS, UNEVEN[:-1], h)
    for again, first in zip(increments(WITH_AREAS, UNEVEN[:-1][::-1], h[::-1]), (dW, H), strict=True):
        np.testing.assert_array_equal(again[::-1], first)
    # Rounding moves the end of a step by 6e-8, and the path there by the root of that.
    back_dW, back_H = increments(WITH_AREAS, UNEVEN[1:], -h)
    np.testing.assert_allclose(back_dW, -dW, atol=2e-3)
    np.testing.assert_allclose(back_H, H, atol=2e-3)
    np.testing.assert_allclose(np.diff(at(WITH_AREAS, UNEVEN), axis=0), dW, atol=2e-3)
    joined = [Stretch(h[0], (dW[0],), (H[0],))]
    for k in range(1, 6):
        joined.append(joined[-1].followed_by(Stretch(h[k], (dW[k],), (H[k],))))
    whole_dW, whole_H = increments(WITH_AREAS, np.full(6, UNEVEN[0]), UNEVEN[1:] - UNEVEN[0])
    np.testing.assert_allclose(jnp.stack([jnp.asarray(x.dW[0]) for x in joined]), whole_dW, atol=4e-3)
    np.testing.assert_allclose(jnp.stack([jnp.asarray(x.H[0]) for x in joined]), whole_H, atol=4e-3)


def test_an_area_is_the_average_of_its_path_less_its_chord():
    """By the trapezoidal rule over all cells of the tree; what is left is the average of their own areas."""
    n = round(1 / TOL)
    ts = jnp.linspace(0, 1, n + 1)
    W = np.asarray(at(WITH_AREAS, ts))
    H = np.asarray(increments(WITH_AREAS, np.zeros(6, np.float32), np.ones(6, np.float32))[1][0])
    left = H - np.trapezoid(W - np.asarray(ts)[:, None] * W[-1], dx=1 / n, axis=0)
    assert_normal(left * np.sqrt(12) * n)


def test_a_finer_tree_with_areas_refines_the_same_path_and_short_stretches_keep_their_digits():
    ts, h = (np.asarray(x, np.float32) for x in ([0.5, 0.0, 0.25, 0.75, 0.5, 0.25], [0.5, 1.0, 0.5, 0.25, 0.25, 0.25]))
    fine = VirtualTree(jax.random.key(5), 0.0, 1.0, 2.0**-18, space_time=True)
    for x, y in zip(increments(fine, ts, h), increments(WITH_AREAS, ts, h), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-6)
    # A difference of integrals over all of the path would be off by a thousandth, in single precision: half of this.
    _, H = increments(fine, np.full(6, 0.9, np.float32), np.full(6, 2.0**-14, np.float32))
    assert_normal(H[0] * np.sqrt(12) * 2**7)


def test_a_step_of_no_length_and_one_inside_of_a_cell_of_a_tree_with_areas():
    ts, h = (np.asarray(x, np.float32) for x in ([0.3, 0.5, 1.0, 0.0, 0.301, 0.999], [0, 0, 0, 0, 0.001, -0.001]))
    for x in increments(WITH_AREAS, ts, h):
        np.testing.assert_array_equal(x[:4], 0)
        assert np.isnan(x[4:]).all()


@pytest.mark.parametrize(
    ("t0", "t1", "tol", "says"),
    [
        (1.0, 0.0, TOL, "from 1.0 to 0.0; t0 is before t1"),
        (0.0, np.inf, TOL, "both are finite"),
        (np.nan, 1.0, TOL, "from nan"),
        (0.0, 1.0, 0.0, "tol=0.0"),
        (0.0, 1.0, 2.0, "tol=2.0"),
        (0.0, 1.0, np.nan, "tol=nan"),
    ],
)
def test_refusals(t0, t1, tol, says):
    with pytest.raises(ValueError, match=says):
        VirtualTree(jax.random.key(0), t0, t1, tol)


def test_space_time_is_a_boolean(unchecked):
    with pytest.raises(TypeError, match="space_time='no'; it is True or False"):
        VirtualTree(jax.random.key(0), 0.0, 1.0, TOL, space_time="no")  # type: ignore[arg-type]


def test_a_traced_interval_is_refused():
    with pytest.raises(TypeError, match="pass concrete numbers"):
        jax.jit(lambda t1: VirtualTree(jax.random.key(0), 0.0, t1, TOL).value(t1, LIKE))(1.0)


def test_a_tree_without_space_time_areas_says_so():
    tree = VirtualTree(jax.random.key(0), 0.0, 1.0, TOL)
    with pytest.raises(ValueError, match=r"space-time areas .* VirtualTree\(\.\.\., space_time=True\)"):
        sdeint_ito_fixed_grid(
            lambda y, t, a: y, lambda y, t, a: y, jnp.ones(2), np.linspace(0, 1, 3), None, None, "sra1",
            noise="additive", brownian=tree,
        )  # fmt: skip
    with pytest.raises(ValueError, match=r"no space-time areas; pass VirtualTree\(\.\.\., space_time=True\)"):
        tree.increment(0, 0.0, 0.5, LIKE, space_time=True)


@pytest.mark.parametrize("ends", [(0.1, 1.0), (0.0, 0.9)])
def test_a_tree_has_to_cover_the_times(ends: tuple[float, float]):
    with pytest.raises(ValueError, match=r"between 0.0 and 1.0; the tree has to cover"):
        sdeint_ito_fixed_grid(
            lambda y, t, a: y, lambda y, t, a: y, jnp.ones(2), np.linspace(1, 0, 3), None,
            brownian=VirtualTree(jax.random.key(0), *ends, TOL),
        )  # fmt: skip
