"""The grid that adaptive steps find: free of rounding, and of the clock."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import VirtualTree, sdeint_ito, sdeint_strat

KEYS = jax.random.split(jax.random.key(8), 16)


def solve(key, ts=(0.0, 1.0), dtype=None):
    """The linear test equation of SciML's suite."""
    return sdeint_ito(
        lambda y, t, a: 1.01 * y, lambda y, t, a: 0.87 * y, jnp.asarray(0.5, dtype), np.asarray(ts), None, None,
        "milstein", adaptive=True, rtol=1e-2, atol=1e-3, dt=0.01 * abs(ts[-1] - ts[0]), max_steps=512, stats=True,
        brownian=VirtualTree(key, min(ts[0], ts[-1]), max(ts[0], ts[-1]), abs(ts[-1] - ts[0]) * 2.0**-16),
        adjoint="backprop",
    )  # fmt: skip


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("ts", [(0.0, 1.0), (1.0, 0.3, 0.0)])
def test_a_key_has_one_solution_alone_and_in_a_batch(ts):
    one = jax.jit(lambda key: solve(key, ts))
    batch, stats = jax.jit(jax.vmap(lambda key: solve(key, ts)))(KEYS)
    alone = [one(key) for key in KEYS]
    np.testing.assert_allclose(batch, jnp.stack([ys for ys, _ in alone]), atol=1e-11)
    np.testing.assert_array_equal(stats["tried_steps"], [int(s["tried_steps"]) for _, s in alone])


def test_the_grid_does_not_depend_on_where_time_begins():
    """In single precision: calendar years, and days that are 1/16 apart in it."""
    near, stats = jax.jit(jax.vmap(solve))(KEYS)
    for t0 in (2024.0, 738_000.0):
        far, same = jax.jit(jax.vmap(lambda key, t0=t0: solve(key, (t0, t0 + 1.0))))(KEYS)
        assert (np.abs(far - near) < 1e-4 * np.abs(near)).all(axis=1).sum() >= 15
        assert abs(same["steps"].mean() / stats["steps"].mean() - 1) < 0.02


def test_a_clock_that_f_could_not_read_is_refused():
    with pytest.raises(ValueError, match=r"adaptive steps tell times there apart by 0\.7.*ts - ts\[0\]"):
        sdeint_strat(
            lambda y, t, a: jnp.cos(t) * y, None, jnp.ones(()), np.asarray([738_000.0, 738_001.1]), None, method="heun",
            adaptive=True,
        )  # fmt: skip


def test_output_times_nearer_than_the_cells_of_a_tree_are_refused_and_have_a_finer_tree():
    near = np.asarray([0.0, 0.5000001, 0.5000002, 1.0])
    call: dict[str, Any] = {"method": "heun", "adaptive": True, "rtol": 0.1, "atol": 0.1, "max_steps": 64, "dt": 0.5}
    g = lambda y, t, a: jnp.ones_like(y)  # noqa: E731
    with pytest.raises(ValueError, match=r"0\.5000001 and 0\.5000002 are nearer .* take a tree of tol=5e-08"):
        sdeint_strat(g, g, jnp.ones(()), near, None, brownian=VirtualTree(KEYS[0], 0.0, 1.0, 2.0**-14), **call)
    moved = jax.jit(jax.vmap(lambda key: jnp.diff(sdeint_strat(g, g, jnp.zeros(()), near, key, **call))[1]))
    assert abs(np.log(np.mean(moved(jax.random.split(KEYS[0], 400)) ** 2) / 1e-7)) < 0.5
