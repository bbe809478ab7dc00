"""Output times: which steps come between them, and that lengths of time are right whatever the clock."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import ReplayedPath, brownian_increments, sdeint_ito, sdeint_ito_fixed_grid, sdeint_strat
from jaxsde.times import divide

KEY = jax.random.key(5)
UNEVEN = np.asarray([0.0, 0.01, 0.02, 0.35, 0.4, 1.0])
# The fewest steps of at most 0.1, by hand.
COUNTS = [1, 1, 4, 1, 6]
ARGS = {"rate": 0.7, "sigma": 0.4}


def f(y, t, a):
    return -a["rate"] * y * jnp.cos(3 * t)


def g(y, t, a):
    return a["sigma"] * y


def every_step(ts, counts):
    return np.concatenate([np.linspace(*ends, n + 1)[:-1] for *ends, n in zip(ts, ts[1:], counts)] + [ts[-1:]])  # noqa: B905


@pytest.mark.parametrize(
    ("adjoint", "sign"), [("backprop", -1.0), ("checkpoint", 1.0), ("reversible", 1.0), ("stochastic", -1.0)]
)
def test_uneven_output_times_are_those_of_the_grid_of_all_steps(x64, adjoint, sign):
    """Solution, sums over the steps, and gradients; increment k is that of step k of the whole solve."""
    ts, y0 = sign * UNEVEN, jnp.asarray([1.0, -2.0])
    grid = every_step(ts, COUNTS)
    at = np.concatenate([[0], np.cumsum(COUNTS)])
    increments = brownian_increments(KEY, grid, y0)
    running = lambda y, t, h, dW, a: {"steps": jnp.ones(()), "work": a["rate"] * jnp.sum(y * dW) + h}  # noqa: E731

    def loss(solved):
        ys, sums = solved
        return jnp.sum(jnp.sin(ys) * jnp.arange(1.0, 7.0)[:, None]) + jnp.sum(sums["work"] ** 2), (ys, sums)

    def uneven(args, y0, increments):
        solved = sdeint_strat(
            f, g, y0, ts, None, args, "reversible_heun", dt=0.1, brownian=ReplayedPath(increments), running=running,
            adjoint=adjoint,
        )  # fmt: skip
        return loss(solved)

    def all_steps(args, y0, increments):
        path = ReplayedPath(increments)
        solved = sdeint_strat(f, g, y0, grid, None, args, "reversible_heun", dt=1.0, brownian=path, running=running,
                              adjoint="backprop")  # fmt: skip
        return loss(jax.tree.map(lambda x: x[at], solved))

    gradient, (ys, sums) = jax.jit(jax.grad(uneven, (0, 1, 2), has_aux=True))(ARGS, y0, increments)
    expected, (exact, exact_sums) = jax.jit(jax.grad(all_steps, (0, 1, 2), has_aux=True))(ARGS, y0, increments)
    np.testing.assert_allclose(ys, exact, rtol=1e-12)
    np.testing.assert_array_equal(sums["steps"], at)
    np.testing.assert_allclose(sums["work"], exact_sums["work"], rtol=1e-10, atol=1e-12)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), gradient, expected)
    drawn = sdeint_strat(f, g, y0, ts, KEY, ARGS, "reversible_heun", dt=0.1)
    np.testing.assert_allclose(drawn, exact, rtol=1e-12)


def test_f_is_evaluated_in_steps_that_are_there_and_in_no_others():
    calls = []

    def counted(y, t, a):
        jax.debug.callback(lambda: calls.append(1))
        return -y

    ts = np.concatenate([np.linspace(0, 0.01, 11), [1.0]])
    ys, stats = sdeint_ito(counted, g, jnp.ones(()), ts, KEY, ARGS, dt=0.01, stats=True, adjoint="backprop")
    jax.block_until_ready(ys)
    jax.effects_barrier()
    assert stats == {"steps": 109, "tried_steps": 109, "evaluations": 109}
    assert len(calls) == 109


@pytest.mark.parametrize(
    "ts",
    [
        np.concatenate([np.linspace(0, 0.01, 101), [1.0]]),
        np.concatenate([[0.0, 1.0], 1.0 + np.geomspace(1e-6, 1, 60)]),
        np.asarray([0.0, 3.0, 3.7]),
        np.cumsum(np.random.default_rng(0).exponential(size=200)),
        np.asarray([1.0, 0.0]),
    ],
)
def test_rows_hold_each_step_once_with_little_padding(ts):
    steps = divide(ts, 0.01, np.float32)
    counts = np.ceil(np.abs(np.diff(ts)) / 0.01 - 1e-6)
    assert steps.total == counts.sum()
    rows = len(steps.first)
    assert rows <= 2 * len(counts) + 16
    assert rows * steps.substeps <= 2 * steps.total + steps.substeps * len(counts)
    count = np.full(rows, steps.substeps) if steps.count is None else steps.count
    np.testing.assert_array_equal(steps.first, np.cumsum(count) - count)
    np.testing.assert_allclose(np.cumsum(count * np.asarray(steps.h))[-1], ts[-1] - ts[0], rtol=1e-5)
    outputs = np.arange(len(ts)) if steps.outputs is None else steps.outputs
    np.testing.assert_array_equal(
        np.concatenate([[0], np.cumsum(count)])[outputs], np.concatenate([[0], counts.cumsum()])
    )


def test_memory_of_uneven_output_times_does_not_grow_with_the_steps():
    def memory(steps):
        def end(y0):
            ts = np.concatenate([np.linspace(0, 1e-3, 11), [1.0]])
            return sdeint_ito(f, g, y0, ts, KEY, ARGS, dt=1 / steps, adjoint="backprop")

        return jax.jit(end).lower(jnp.zeros(4096)).compile().memory_analysis().temp_size_in_bytes

    assert memory(20_000) < 1.6 * memory(200)


def test_too_many_steps_are_refused():
    with pytest.raises(ValueError, match=r"dt=1e-10 makes 1e\+10 steps"):
        sdeint_ito(f, g, jnp.ones(()), np.asarray([0.0, 1.0]), KEY, ARGS, dt=1e-10)


def test_equal_intervals_are_one_row_each():
    steps = divide(np.linspace(0, 1, 11), 0.02, np.float32)
    assert (steps.substeps, steps.count, steps.outputs, steps.total) == (5, None, None, 50)
    ys = sdeint_ito(f, g, jnp.ones(()), np.linspace(0, 1, 11), KEY, ARGS, dt=0.02)
    grid = sdeint_ito_fixed_grid(f, g, jnp.ones(()), np.linspace(0, 1, 51), KEY, ARGS)
    np.testing.assert_allclose(ys, grid[::5], rtol=1e-6)
