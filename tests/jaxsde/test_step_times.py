"""Steps at times that the user gives: as those of the grid itself, what they are for, and what is refused."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import SDE, FirstExit, FixedSteps, Jumps, ReplayedPath, VirtualTree, expectation, solve

KEY = jax.random.key(7)
# Steps that grow; of the grid's intervals these outputs have 3, 1 and 8.
GRID = np.linspace(0.0, 1.0, 13) ** 2
OUTPUTS = GRID[[0, 3, 4, 12]]
GENERAL = SDE(
    lambda y, t, a: -a * y * jnp.cos(3 * t),
    lambda y, t, a: jnp.stack([a * jnp.sin(y), 0.3 * jnp.cos(y[::-1])], axis=-1),
    noise="general",
)
DIAGONAL = SDE(lambda y, t, a: -a * y * jnp.cos(3 * t), lambda y, t, a: 0.4 * y)


@pytest.mark.parametrize(
    ("sde", "method", "adjoint", "path", "sign"),
    [
        (DIAGONAL, "euler_maruyama", "backprop", None, 1.0),
        (DIAGONAL, "milstein", "checkpoint", None, -1.0),
        (DIAGONAL, "sriw1", "stochastic", None, 1.0),
        (DIAGONAL, "milstein", "reversible", None, -1.0),
        (DIAGONAL, "milstein", "backprop", "replayed", 1.0),
        (DIAGONAL, "milstein", "stochastic", "tree", -1.0),
        (DIAGONAL, "sriw1", "backprop", "tree with areas", 1.0),
        (GENERAL, "davie", "stochastic", None, 1.0),
    ],
)
def test_it_is_the_solve_on_the_grid_of_all_steps_to_the_bit(sde, method, adjoint, path, sign):
    """Solution, and to rounding the gradient, of every adjoint and path, in either direction."""
    path = {
        None: None,
        "replayed": ReplayedPath(jax.random.normal(KEY, (12, 2)) * np.sqrt(np.diff(GRID))[:, None]),
        "tree": VirtualTree(KEY, -1.0, 1.0, 2.0**-10),
        "tree with areas": VirtualTree(KEY, -1.0, 1.0, 2.0**-10, space_time=True),
    }[path]
    choices: dict[str, Any] = {"method": method, "adjoint": adjoint, "brownian": path}
    y0, grid, ts = jnp.asarray([1.0, -0.5]), sign * GRID, sign * OUTPUTS

    def run(ts, steps):
        def value(a, y0):
            ys = solve(sde, y0, ts, KEY, a, steps=steps, **choices).ys
            ys = ys if len(ts) == 4 else ys[np.isin(ts, sign * OUTPUTS)]
            return jnp.sum(jnp.sin(ys) * jnp.arange(1.0, 5.0)[:, None]), ys

        return jax.jit(jax.value_and_grad(value, (0, 1), has_aux=True))(0.7, y0)

    (_, found), gradient = run(ts, FixedSteps(times=grid))
    (_, exact), expected = run(grid, FixedSteps(1))
    np.testing.assert_array_equal(found, exact)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5), gradient, expected)


def graded(n):
    """Which are e^6 times as long at the end as at the start."""
    return np.expm1(6 * np.linspace(0, 1, n + 1)) / np.expm1(6)


def test_graded_steps_have_the_order_where_even_ones_do_not_see_the_start(x64):
    """dX = -r(t) X dt + X / 2 dW with r = 1 + 100 e^(-100 t) is known: X = exp(-t - 1 + e^(-100 t) - t / 8 + W / 2)."""
    burst = SDE(lambda y, t, a: -(1 + 100 * jnp.exp(-100 * t)) * y, lambda y, t, a: 0.5 * y)

    def error(grid):
        dW = jax.random.normal(KEY, (2000, grid.size - 1)) * np.sqrt(np.diff(grid))[None]

        def one(dW):
            choices: dict[str, Any] = {
                "steps": FixedSteps(times=grid),
                "method": "milstein",
                "brownian": ReplayedPath(dW),
            }
            return solve(burst, jnp.ones(()), np.asarray([0.0, 1.0]), **choices).ys[-1]

        exact = np.exp(-2 + np.exp(-100) - 1 / 8 + dW.sum(axis=1) / 2)
        return float(jnp.sqrt(jnp.mean((jax.jit(jax.vmap(one))(dW) - exact) ** 2)))

    sizes = np.asarray([16, 32, 64, 128])
    errors = [error(graded(int(n))) for n in sizes]
    assert abs(-np.polyfit(np.log(sizes), np.log(errors), 1)[0] - 1) < 0.15, errors
    assert errors[2] < error(np.linspace(0, 1, 65)) / 10


def test_times_of_steps_may_be_traced_and_learned(x64):
    """The solution of known ones, to the bit where ts is all of them, and the derivative by them."""
    ts, weights = np.asarray([0.0, 1.0]), jnp.linspace(0.0, 2.0, 8)

    def grid(weights):
        return jnp.concatenate([jnp.zeros(1), jnp.cumsum(jax.nn.softmax(weights))])

    def end(weights, ts=ts, adjoint="backprop"):
        choices: dict[str, Any] = {"steps": FixedSteps(times=grid(weights)), "method": "milstein", "adjoint": adjoint}
        return solve(DIAGONAL, jnp.ones(2), ts, KEY, 0.7, **choices).ys[-1].sum()

    value, slope = jax.jit(jax.value_and_grad(end))(weights)
    known = np.array(grid(weights))
    known[-1] = 1.0
    exact = solve(DIAGONAL, jnp.ones(2), ts, KEY, 0.7, steps=FixedSteps(times=known), method="milstein").ys[-1].sum()
    np.testing.assert_allclose(value, exact, rtol=1e-12)
    np.testing.assert_allclose(jax.jit(jax.grad(lambda w: end(w, adjoint="stochastic")))(weights), slope, rtol=1e-10)
    moved = jax.jit(jax.vmap(end))(weights[None] + 1e-5 * np.concatenate([np.eye(8), -np.eye(8)]))
    np.testing.assert_allclose((moved[:8] - moved[8:]) / 2e-5, slope, rtol=1e-5, atol=1e-8)
    # Output times that are traced among known steps.
    traced = jax.jit(lambda ts: solve(DIAGONAL, jnp.ones(2), ts, KEY, 0.7, steps=FixedSteps(times=GRID)).ys)
    known = solve(DIAGONAL, jnp.ones(2), OUTPUTS, KEY, 0.7, steps=FixedSteps(times=GRID)).ys
    np.testing.assert_allclose(traced(OUTPUTS), known, rtol=1e-12)
    for wrong in (OUTPUTS + 0.01, OUTPUTS[::-1], OUTPUTS[:-1], OUTPUTS[1:], np.asarray([0.0, 0.5, 1.0])):
        assert np.isnan(traced(wrong)[1:]).all(), wrong
    unordered = jax.jit(lambda times: solve(DIAGONAL, jnp.ones(2), ts, KEY, 0.7, steps=FixedSteps(times=times)).ys[-1])
    assert np.isnan(unordered(np.asarray([0.0, 0.7, 0.5, 1.0]))).all()


def test_a_solve_goes_on_along_one_grid():
    """In two parts, the second of which begins amid the grid; times were given in single precision."""
    steps, y0 = FixedSteps(times=jnp.asarray(GRID, jnp.float32)), jnp.ones(2)
    whole = solve(DIAGONAL, y0, OUTPUTS, KEY, 0.7, steps=steps)
    half = solve(DIAGONAL, y0, OUTPUTS[:3], KEY, 0.7, steps=steps)
    rest = solve(DIAGONAL, half, OUTPUTS[2:], KEY, 0.7, steps=steps)
    np.testing.assert_array_equal(np.concatenate([half.ys, rest.ys[1:]]), whole.ys)
    assert (int(half.stats.steps), int(rest.stats.steps)) == (4, 12)


def test_sums_jumps_and_exits_are_those_of_the_grid():
    """What looks at steps: their lengths, what is drawn beside the path, and a clock that is read."""

    def solved(ts, steps, **choices):
        return solve(DIAGONAL, jnp.ones(()), ts, KEY, 0.7, steps=FixedSteps(**steps), **choices)

    given, on_grid, at = (OUTPUTS, {"times": GRID}), (GRID, {"number": 1}), np.isin(GRID, OUTPUTS)
    running = lambda y, t, h, dW, a: jnp.stack([t * h, y * dW])  # noqa: E731
    found, exact = (solved(*grid, running=running).sums for grid in (given, on_grid))
    np.testing.assert_allclose(found, exact[at], rtol=1e-5, atol=1e-7)
    jumps = Jumps(lambda y, t, key, a: y * jnp.exp(0.3 * jax.random.normal(key)), 3.0)
    found, exact = (solved(*grid, jumps=jumps).ys for grid in (given, on_grid))
    np.testing.assert_allclose(found, exact[at], rtol=1e-5)
    assert not np.allclose(found, solved(*given).ys)
    leaves = FirstExit(lambda y, t, a: 1.1 - y)
    found, exact = (solved(*grid, first_exit=leaves) for grid in (given, on_grid))
    np.testing.assert_allclose(found.exit_time, exact.exit_time, rtol=1e-6)
    assert float(found.exit_time) < 1


def test_equal_times_are_equal_steps():
    assert FixedSteps(times=GRID) == FixedSteps(times=GRID.copy())
    assert hash(FixedSteps(times=GRID)) == hash(FixedSteps(times=GRID.copy()))
    assert FixedSteps(times=GRID) != FixedSteps(times=GRID / 2) != FixedSteps(3)


@pytest.mark.parametrize(
    ("times", "ts", "says"),
    [
        ([0.0, 0.6, 0.5, 1.0], [0.0, 1.0], "times goes from 0.6.* to 0.5 at entries 1 and 2"),
        ([0.5], [0.0, 1.0], r"times has shape \(1,\); it is a vector of two or more times\.$"),
        ([0.0, np.nan, 1.0], [0.0, 1.0], "times has a time that is not finite"),
        (np.asarray([0.0, 1j]), [0.0, 1.0], "times is of dtype complex.*; times are real numbers"),
        ([0.0, 0.5], [0.0, 1.0], "times of steps run from 0.0 to 0.5, and ts from 0.0 to 1.0; they have to cover"),
        ([1.0, 0.5, 0.0], [0.0, 1.0], r"the other way: pass times\[::-1\]"),
        (
            [0.0, 0.5, 1.0],
            [0.0, 0.6, 1.0],
            r"ts has 0.6 at entry 1, which is none of .* nearest is 0.5.*np.union1d\(times, ts\)",
        ),
    ],
)
def test_times_that_are_no_steps_of_these_outputs_are_refused(times, ts, says):
    with pytest.raises((ValueError, TypeError), match=says):
        solve(DIAGONAL, jnp.ones(()), np.asarray(ts), KEY, 0.7, steps=FixedSteps(times=times))


def test_what_does_not_go_with_times_is_refused():
    with pytest.raises(ValueError, match="number=3 or dt=None as well; pass one of them"):
        FixedSteps(3, times=GRID)
    with pytest.raises(ValueError, match=r"levels halve equal steps: give ts itself uneven times"):
        expectation(
            DIAGONAL, jnp.ones(()), OUTPUTS, KEY, 0.7, of=lambda ys: ys[-1], tolerance=0.1, steps=FixedSteps(times=GRID)
        )
    with pytest.raises(ValueError, match="this noise on this grid of 12 steps has"):
        solve(DIAGONAL, jnp.ones(()), OUTPUTS, None, 0.7, steps=FixedSteps(times=GRID),
              brownian=ReplayedPath(np.zeros(11)))  # fmt: skip
    near = np.asarray([0.0, 0.501, 0.502, 1.0])
    with pytest.raises(ValueError, match=r"tol=0\.01.* as short as 0\.001"):
        solve(DIAGONAL, jnp.ones(()), [0.0, 1.0], None, 0.7, steps=FixedSteps(times=near),
              brownian=VirtualTree(KEY, 0.0, 1.0, 1e-2))  # fmt: skip
    jumps = Jumps(lambda y, t, key, a: 2 * y, 1.0, most=20)
    with pytest.raises(TypeError, match="where jumps come between is not known: pass all times of steps for ts"):
        jax.jit(lambda times: solve(DIAGONAL, jnp.ones(()), [0.0, 1.0], KEY, 0.7, steps=FixedSteps(times=times),
                                    jumps=jumps).ys)(GRID)  # fmt: skip


def test_a_derivative_by_ts_beside_times_that_are_known_is_refused():
    """It would be zero in silence: the ends of steps do not move with ts."""

    def end(scale, times):
        ts = jnp.asarray([0.0, 0.5, 1.0]) * scale
        return solve(SDE(lambda y, t, a: -y), jnp.ones(()), ts, steps=FixedSteps(times=times(scale))).ys[-1]

    grid = np.linspace(0, 1, 9)
    np.testing.assert_allclose(jax.jit(end, static_argnums=1)(1.0, lambda scale: grid), (1 - 1 / 8) ** 8, rtol=1e-5)
    with pytest.raises(TypeError, match="derivative by ts is asked for, and the times of steps are known"):
        jax.grad(end)(1.0, lambda scale: grid)
    # Steps of s / 8: the derivative of (1 - s / 8)^8.
    moved = jax.grad(end)(1.0, lambda scale: jnp.asarray(grid) * scale)
    np.testing.assert_allclose(moved, -((1 - 1 / 8) ** 7), rtol=1e-4)


def test_an_output_time_that_is_traced_is_an_end_of_a_step_to_rounding(x64):
    def end(middle):
        ts = jnp.stack([jnp.zeros(()), middle, jnp.ones(())])
        return solve(SDE(lambda y, t, a: -y), jnp.ones(()), ts, steps=FixedSteps(times=np.linspace(0, 1, 9))).ys[1]

    assert np.isfinite(jax.jit(end)(0.5 + 1e-15))
    assert np.isnan(jax.jit(end)(0.5 + 1e-6))
