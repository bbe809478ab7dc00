"""Going on from a solution: two solves are one, with noise that comes next and none that was."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxsde import (
    ADJOINTS,
    SDE,
    AdaptiveSteps,
    FirstExit,
    FixedSteps,
    Jumps,
    Langevin,
    ReplayedPath,
    Result,
    VirtualTree,
    brownian_increments,
    expectation,
    solve,
)

KEY = jax.random.key(5)
TS = np.linspace(0.0, 1.0, 5)
PARTS = TS[:3], TS[2:4], TS[3:]
STEPS = FixedSteps(dt=1 / 32)
EQUATION = SDE(lambda y, t, a: a * jnp.tanh(y) + t, lambda y, t, a: 0.4 * jnp.cos(y), "stratonovich")
NOISE = SDE(lambda y, t, a: 0 * y, lambda y, t, a: jnp.ones_like(y), noise="additive")


def energy(y: Any, t: Any, h: Any, dW: Any, args: Any) -> Any:
    return {"energy": jnp.sum(y**2) * h, "noise": dW}


def in_parts(sde: Any, y0: Any, rng: Any, **choices: Any) -> Any:
    for ts in PARTS:
        y0 = solve(sde, y0, ts, rng, 0.7, **choices)
    return y0


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("brownian", [None, VirtualTree(KEY, 0.0, 1.0, 1 / 64)], ids=["counted", "tree"])
@pytest.mark.parametrize("save", [None, lambda y: y[0]], ids=["all", "saved"])
def test_parts_are_the_whole(brownian: Any, save: Any) -> None:
    y0 = jnp.array([0.3, -0.2])
    choices: dict[str, Any] = {"steps": STEPS, "brownian": brownian, "running": energy, "save": save}
    whole = solve(EQUATION, y0, TS, KEY, 0.7, **choices)
    last = in_parts(EQUATION, y0, KEY, **choices)
    found, expected = ((s.ys[-2:], s.end, jax.tree.map(lambda x: x[-2:], s.sums)) for s in (last, whole))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), found, expected)
    assert last.stats == whole.stats
    np.testing.assert_array_equal(last.ts, TS[-2:])


@pytest.mark.usefixtures("x64")
def test_parts_of_other_equations() -> None:
    oscillator = Langevin(lambda q, t, a: -a * q, 0.5, 0.3)
    for sde, y0, method in (
        (oscillator, (jnp.ones(2), jnp.zeros(2)), "baoab"),
        (SDE(lambda y, t, a: {"x": -a * y["x"]}), {"x": jnp.ones(2)}, None),
    ):
        whole = solve(sde, y0, TS, KEY, 0.7, steps=STEPS, method=method)
        last = in_parts(sde, y0, KEY, steps=STEPS, method=method)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), last.end, whole.end)


def test_a_given_path_goes_on_with_its_own_increments() -> None:
    increments = brownian_increments(KEY, np.linspace(0, 1, 33), jnp.ones(2))
    first, rest = (ReplayedPath(part) for part in (increments[:16], increments[16:]))
    begun = solve(NOISE, jnp.zeros(2), [0.0, 0.5], steps=STEPS, brownian=first)
    end = solve(NOISE, begun, [0.5, 1.0], steps=STEPS, brownian=rest).end
    np.testing.assert_allclose(end, increments.sum(0), rtol=1e-5)


def test_the_same_key_is_the_noise_that_comes_next() -> None:
    last = in_parts(NOISE, jnp.zeros(2), KEY, steps=STEPS)
    grid = brownian_increments(KEY, np.linspace(0, 1, 33), jnp.ones(2))
    np.testing.assert_allclose(last.end, grid.sum(0), rtol=1e-5)


def independent(first: Any, second: Any) -> None:
    """Of pairs, whose correlation is 1 where the noise is the same again."""
    n = len(first)
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / n**0.5


def test_adaptive_steps_draw_other_noise() -> None:
    def ends(key: Any) -> Any:
        first = solve(NOISE, jnp.zeros(()), [0.0, 1.0], key, steps=AdaptiveSteps(dt=0.5, max_steps=16))
        return first.end, solve(NOISE, first, [1.0, 2.0], key, steps=AdaptiveSteps(dt=0.5, max_steps=16)).end

    first, end = jax.jit(jax.vmap(ends))(jax.random.split(KEY, 800))
    independent(first, end - first)
    assert stats.kstest(end, stats.norm(scale=2**0.5).cdf).pvalue > 0.01


def test_jumps_are_others() -> None:
    births = Jumps(lambda y, t, key, a: y + 1, 3.0)
    still = SDE(lambda y, t, a: 0 * y)

    def counts(key: Any) -> Any:
        first = solve(still, jnp.zeros(()), [0.0, 1.0], key, steps=FixedSteps(1), jumps=births)
        return first.end, solve(still, first, [1.0, 2.0], key, steps=FixedSteps(1), jumps=births).end

    first, end = jax.jit(jax.vmap(counts))(jax.random.split(KEY, 800))
    independent(first, end - first)
    np.testing.assert_allclose(np.mean(end), 6, atol=4 * (6 / 800) ** 0.5)


@pytest.mark.usefixtures("x64")
def test_exits_of_parts_are_those_of_the_whole() -> None:
    """Of a Brownian motion that starts at 1, P(above 0 until t) = erf(1 / sqrt(2 t)), with one step a part."""
    above = FirstExit(lambda y, t, a: y)

    def leaves(key: Any) -> Any:
        first = solve(NOISE, jnp.ones(()), [0.0, 1.0], key, steps=FixedSteps(1), first_exit=above)
        rest = solve(NOISE, first, [1.0, 2.0], key, steps=FixedSteps(1), first_exit=above)
        whole = solve(NOISE, jnp.ones(()), [0.0, 1.0, 2.0], key, steps=FixedSteps(1), first_exit=above)
        return (rest.exit_time, rest.end), (whole.exit_time, whole.end)

    n = 8000
    parts, whole = jax.jit(jax.vmap(leaves))(jax.random.split(KEY, n))
    np.testing.assert_array_equal(np.isinf(parts[0]), np.isinf(whole[0]))
    left = np.isfinite(whole[0])
    np.testing.assert_allclose(parts[0][left], whole[0][left], rtol=1e-12)
    np.testing.assert_allclose(parts[1], whole[1], rtol=1e-12)
    exact = 2 * stats.norm.cdf(1 / 2**0.5) - 1
    assert abs(1 - left.mean() - exact) < 3 * (exact * (1 - exact) / n) ** 0.5


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("adjoint", ADJOINTS)
def test_gradients_flow_through(adjoint: str) -> None:
    choices: dict[str, Any] = {"steps": FixedSteps(dt=1 / 16), "running": energy, "save": lambda y: y[0]}

    def of_parts(y0: Any, args: Any) -> Any:
        first = solve(EQUATION, y0, TS[:3], KEY, args, method="ees25", adjoint=adjoint, **choices)
        rest = solve(EQUATION, first, TS[2:], KEY, args, method="ees25", adjoint=adjoint, **choices)
        return jnp.sum(first.ys[:-1] ** 2) + jnp.sum(rest.ys**2) + rest.sums["energy"][-1] + rest.end.sum()

    def of_whole(y0: Any, args: Any) -> Any:
        whole = solve(EQUATION, y0, TS, KEY, args, method="ees25", **choices)
        return jnp.sum(whole.ys**2) + whole.sums["energy"][-1] + whole.end.sum()

    at = jnp.array([0.3, -0.2]), jnp.asarray(0.7)
    found, expected = (jax.jit(jax.grad(loss, (0, 1)))(*at) for loss in (of_parts, of_whole))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10), found, expected)


@pytest.mark.usefixtures("x64")
def test_a_method_that_carries_more_than_the_state_begins_anew() -> None:
    choices: dict[str, Any] = {"steps": STEPS, "brownian": VirtualTree(KEY, 0.0, 1.0, 1 / 64)}
    first = solve(EQUATION, jnp.ones(1), TS[:3], args=0.7, method="reversible_heun", **choices)
    rest, anew = (
        solve(EQUATION, y0, TS[2:], args=0.7, method="reversible_heun", **choices) for y0 in (first, first.end)
    )
    np.testing.assert_array_equal(rest.ys, anew.ys)


def test_what_cannot_go_on(unchecked: None) -> None:
    y0 = jnp.ones(())
    first = solve(NOISE, y0, [0.0, 1.0], KEY, steps=FixedSteps(1), running=lambda y, t, h, dW, a: h)
    with pytest.raises(ValueError, match=r"ends at t = 1.0, and ts begins at 0.0; ts\[0\] is the time of y0"):
        solve(NOISE, first, [0.0, 1.0], KEY)
    with pytest.raises(ValueError, match="sums go on with what they began with"):
        solve(NOISE, first, [1.0, 2.0], KEY, steps=FixedSteps(1), running=lambda y, t, h, dW, a: h * jnp.ones(3))
    with pytest.raises(TypeError, match="y0 is a Solution, from which only solve goes on"):
        expectation(NOISE, first, [1.0, 2.0], KEY, of=lambda ys: ys[-1], tolerance=0.1)
    late = solve(NOISE, y0, [1e5, 1e5 + 1], KEY, steps=FixedSteps(1))
    with pytest.raises(ValueError, match=r"ends at t = 100001\.0, and ts begins at 100001\.03"):
        solve(NOISE, late, [1e5 + 1.03, 1e5 + 2], KEY)
    old = dataclasses.replace(first, end=None)
    with pytest.raises(ValueError, match=r"without `end`, .*; pass its ys\[-1\]"):
        solve(NOISE, old, [1.0, 2.0], KEY)
    batch = jax.vmap(lambda key: solve(NOISE, y0, [0.0, 1.0], key, steps=FixedSteps(1)))(jax.random.split(KEY, 2))
    with pytest.raises(ValueError, match=r"ts of shape \(2, 2\), a batch of them"):
        solve(NOISE, batch, [1.0, 2.0], KEY)
    down = SDE(lambda y, t, a: -jnp.ones_like(y))
    left = solve(down, y0, [0.0, 2.0], steps=FixedSteps(4), first_exit=FirstExit(lambda y, t, a: y))
    with pytest.raises(ValueError, match=r"left its region at t = 1.0"):
        solve(down, left, [2.0, 3.0])
    stays = solve(down, left, [2.0, 3.0], steps=FixedSteps(4), first_exit=FirstExit(lambda y, t, a: y))
    np.testing.assert_array_equal((*stays.ys, stays.exit_time), (0.0, 0.0, 1.0))
    with pytest.warns(RuntimeWarning, match="max_steps=2"):
        stopped = solve(down, y0, [0.0, 1.0], steps=AdaptiveSteps(max_steps=2, dt=0.01), method="euler_maruyama")
    with pytest.raises(ValueError, match="a Solution with result MAX_STEPS_REACHED"):
        solve(down, stopped, [1.0, 2.0])


def test_what_is_known_at_run_time_alone_is_said(unchecked: None) -> None:
    down = SDE(lambda y, t, a: -jnp.ones_like(y))

    @jax.jit
    def parts(y0: Any, ts: Any) -> Any:
        first = solve(down, y0, [0.0, 2.0], steps=FixedSteps(4), first_exit=FirstExit(lambda y, t, a: y))
        return solve(down, first, ts, steps=FixedSteps(4))

    np.testing.assert_allclose(parts(jnp.asarray(3.0), jnp.array([2.0, 2.5])).ys, [1.0, 0.5])
    for start, ts in (3.0, [0.0, 0.5]), (1.0, [2.0, 2.5]):
        found = parts(jnp.asarray(start), jnp.array(ts))
        assert np.isnan(found.ys).all()
        assert found.result == Result.NOT_BEGUN

    @jax.jit
    def stopped(y0: Any) -> Any:
        steps = AdaptiveSteps(max_steps=2, dt=0.01)
        first = solve(down, y0, [0.0, 1.0], steps=steps, method="euler_maruyama")
        return solve(down, first, [1.0, 2.0], steps=FixedSteps(1))

    with pytest.warns(RuntimeWarning, match="max_steps=2"):
        end = jax.block_until_ready(stopped(jnp.ones(())))
    assert end.result == Result.MAX_STEPS_REACHED
    assert np.isnan(end.ys).all()
