"""Output times: which steps come between them, and that lengths of time are right whatever the clock."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import ReplayedPath, VirtualTree, brownian_increments, sdeint_ito, sdeint_ito_fixed_grid, sdeint_strat
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
    parts = zip(ts[:-1], ts[1:], counts, strict=True)
    return np.concatenate([np.linspace(start, end, n + 1)[:-1] for start, end, n in parts] + [ts[-1:]])


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
    steps = divide(ts, 0.01)
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
    steps = divide(np.linspace(0, 1, 11), 0.02)
    assert (steps.substeps, steps.count, steps.outputs, steps.total) == (5, None, None, 50)
    ys = sdeint_ito(f, g, jnp.ones(()), np.linspace(0, 1, 11), KEY, ARGS, dt=0.02)
    grid = sdeint_ito_fixed_grid(f, g, jnp.ones(()), np.linspace(0, 1, 51), KEY, ARGS)
    np.testing.assert_allclose(ys, grid[::5], rtol=1e-6)


CLOCKS = [(1.7e9, 200.0), (738_000.0, 1.1), (2024.0, 0.0005), (1e6, 0.2), (-1e6, 0.2), (2024.0, 1.0)]


@pytest.mark.parametrize(("t0", "span"), CLOCKS)
def test_lengths_of_time_far_from_zero_are_right(t0, span):
    """In single precision too, where the equation does not read the clock; the path is that of a clock from zero."""
    ts, zero = t0 + np.asarray([0.0, 0.25, 1.0]) * span, np.asarray([0.0, 0.25, 1.0]) * span
    drift, diffusion = lambda y, t, a: jnp.ones_like(y), lambda y, t, a: jnp.ones_like(y)
    ys = sdeint_ito(drift, None, jnp.zeros(()), ts, None)
    np.testing.assert_allclose(ys, zero, rtol=2e-5)
    trees = [VirtualTree(KEY, t, t + span, span * 2.0**-10) for t in (t0, 0.0)]
    near, far = (
        sdeint_ito(drift, diffusion, jnp.zeros(()), times, None, dt=span / 64, noise="additive", brownian=tree)
        for times, tree in zip((ts, zero), trees, strict=True)
    )
    np.testing.assert_allclose(near, far, rtol=2e-4, atol=2e-4 * span**0.5)
    np.testing.assert_allclose(
        np.diff(brownian_increments(KEY, ts, jnp.zeros(())) / brownian_increments(KEY, zero, jnp.zeros(()))),
        0,
        atol=1e-4,
    )


@pytest.mark.parametrize(("t0", "span"), CLOCKS[:-1])
def test_a_clock_that_f_could_not_read_is_refused(t0, span):
    with pytest.raises(ValueError, match=r"in float32, the precision of y0.*ts - ts\[0\]"):
        sdeint_ito(lambda y, t, a: jnp.cos(t) * y, g, jnp.ones(()), t0 + np.asarray([0, span]), KEY, ARGS)


def test_times_whose_precision_lost_their_lengths_are_refused_or_nan():
    given = jnp.asarray([1.7e9, 1.7e9 + 200.0], jnp.float32)
    with pytest.raises(ValueError, match=r"in float32, in which times there are about 2e\+02 apart"):
        sdeint_ito(f, g, jnp.ones(()), given, KEY, ARGS)
    solve = jax.jit(lambda ts: sdeint_ito_fixed_grid(lambda y, t, a: jnp.ones_like(y), None, jnp.zeros(()), ts, None))
    assert jnp.isnan(solve(given)[-1])
    np.testing.assert_allclose(solve(jnp.linspace(0, 1, 5)), np.linspace(0, 1, 5), rtol=1e-6)


@pytest.mark.parametrize(
    "ts",
    [
        jnp.linspace(0, 1, 11),
        jnp.linspace(0, 1, 11, dtype=jnp.float16),
        np.linspace(2024, 2025, 11, dtype=np.float32),
        list(np.linspace(0, 1, 11, dtype=np.float32)),
        np.arange(11),
    ],
)
def test_rounded_output_times_make_no_step_more(ts):
    _, stats = sdeint_ito(f, g, jnp.ones(()), ts, KEY, ARGS, dt=float(ts[-1] - ts[0]) / 50, stats=True)
    assert stats["steps"] == 50


@pytest.mark.parametrize(
    ("ts", "says"),
    [
        (np.asarray([1.7e9, 1.7e9 + 200.0], np.float32), "in float32, in which times there are about"),
        ([0.0, 2.0, 1.0], "strictly increase or strictly decrease"),
    ],
)
def test_increments_of_times_that_a_solve_refuses_are_refused(ts, says):
    with pytest.raises(ValueError, match=says):
        brownian_increments(KEY, ts, jnp.zeros(()))


def test_dates_are_refused():
    with pytest.raises(TypeError, match=r"datetime64.*timedelta64"):
        sdeint_ito(f, g, jnp.ones(()), np.asarray(["2024-01-01", "2024-01-03"], "datetime64[D]"), KEY, ARGS)


@pytest.mark.parametrize("ts", [np.asarray([0.0, 1.0]), np.asarray([1.0, 0.0])])
def test_steps_inside_one_cell_of_a_tree_are_refused(ts):
    tree = VirtualTree(KEY, 0.0, 1.0, 1e-2)
    with pytest.raises(ValueError, match=r"tol=0\.01.* steps as short as 0\.001 .* take tol=0\.001 or less"):
        sdeint_ito(f, g, jnp.ones(()), ts, None, ARGS, dt=1e-3, brownian=tree)
    # Steps that end on the tree's points may be as short as its cells, of 1/128.
    assert jnp.isfinite(sdeint_ito(f, g, jnp.ones(()), ts, None, ARGS, dt=1 / 128, brownian=tree)).all()
    near = np.asarray([0.0, 0.501, 0.502, 1.0])
    with pytest.raises(ValueError, match=r"as short as 0\.001"):
        sdeint_ito_fixed_grid(f, g, jnp.ones(()), near, None, ARGS, brownian=tree)
    traced = jax.jit(lambda ts: sdeint_ito_fixed_grid(f, g, jnp.ones(()), ts, None, ARGS, brownian=tree))(near)
    np.testing.assert_array_equal(jnp.isfinite(traced), [True, True, False, False])
