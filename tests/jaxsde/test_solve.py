"""`solve` and its `Solution`, and the entry points as other words for it; times that are traced."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import (
    SDE,
    AdaptiveSteps,
    FixedSteps,
    Result,
    VirtualTree,
    sdeint_ito,
    sdeint_ito_fixed_grid,
    sdeint_strat,
    sdeint_strat_fixed_grid,
    solve,
)
from jaxsde.times import lengths

KEY = jax.random.key(3)
ARGS = {"rate": jnp.asarray(-0.4), "sigma": jnp.asarray(0.3)}
UNEVEN = np.asarray([0.0, 0.1, 0.7, 1.0])


def f(y, t, a):
    return a["rate"] * y * jnp.cos(t)


def g(y, t, a):
    return a["sigma"] * y


def energy(y, t, h, dW, a):
    return {"work": jnp.sum(y * dW), "time": h}


@pytest.mark.parametrize(
    ("entry", "sde_type", "steps", "choices"),
    [
        (sdeint_ito_fixed_grid, "ito", FixedSteps(1), {}),
        (sdeint_strat_fixed_grid, "stratonovich", FixedSteps(1), {}),
        (sdeint_ito, "ito", FixedSteps(), {}),
        (sdeint_strat, "stratonovich", FixedSteps(dt=0.03), {"dt": 0.03}),
        (sdeint_ito, "ito", FixedSteps(20), {"steps": 20}),
        (
            sdeint_strat,
            "stratonovich",
            AdaptiveSteps(1e-2, 1e-3, 0.05, 200),
            {"adaptive": True, "rtol": 1e-2, "atol": 1e-3, "dt": 0.05, "max_steps": 200},
        ),
    ],
)
def test_entry_points_are_solve_in_other_words(entry, sde_type, steps, choices):
    solution = solve(SDE(f, g, sde_type), jnp.ones(2), UNEVEN, KEY, ARGS, steps=steps, running=energy, save=jnp.sum)
    if "fixed_grid" not in entry.__name__:
        choices = {**choices, "stats": True, "adjoint": "backprop"}
    found = entry(f, g, jnp.ones(2), UNEVEN, KEY, ARGS, running=energy, save=jnp.sum, **choices)
    (ys, sums), stats = found if "stats" in choices else (found, solution.stats._asdict())
    jax.tree.map(
        np.testing.assert_array_equal, (ys, sums, stats), (solution.ys, solution.sums, solution.stats._asdict())
    )
    np.testing.assert_allclose(solution.ts, UNEVEN, rtol=1e-6)
    np.testing.assert_allclose(solution.sums["time"], UNEVEN, atol=1e-6)
    assert solution.ys.shape == (4,)
    assert solution.result == Result.SUCCESSFUL


def test_a_solution_goes_through_transformations():
    def solved(rate, key):
        return solve(SDE(f, g), jnp.ones(2), UNEVEN, key, ARGS | {"rate": rate})

    keys = jax.random.split(KEY, 3)
    batch = jax.jit(jax.vmap(solved, (None, 0)))(-0.4, keys)
    assert batch.ys.shape == (3, 4, 2)
    assert batch.sums is None
    np.testing.assert_array_equal(batch.stats.steps, [100, 100, 100])
    alone = solved(-0.4, keys[1])
    np.testing.assert_allclose(batch.ys[1], alone.ys, rtol=1e-5)
    gradient = jax.grad(lambda rate: solved(rate, KEY).ys[-1].sum())(-0.4)
    step = 1e-2
    difference = (solved(-0.4 + step, KEY).ys[-1].sum() - solved(-0.4 - step, KEY).ys[-1].sum()) / (2 * step)
    np.testing.assert_allclose(gradient, difference, rtol=1e-3)


def test_an_ode_needs_no_key_and_a_method_follows_from_the_calculus():
    ode = solve(SDE(f), jnp.ones(2), UNEVEN, args=ARGS, steps=FixedSteps(300), method="euler")
    np.testing.assert_allclose(ode.ys[:, 0], np.exp(-0.4 * np.sin(UNEVEN)), rtol=2e-3)
    noisy = solve(SDE(f, g, "stratonovich"), jnp.ones(2), UNEVEN, KEY, ARGS)
    named = solve(SDE(f, g, "stratonovich"), jnp.ones(2), UNEVEN, KEY, ARGS, method="midpoint")
    np.testing.assert_array_equal(noisy.ys, named.ys)


def test_the_result_says_how_a_solve_ended():
    sde = SDE(f, g, "stratonovich")
    short = AdaptiveSteps(1e-4, 1e-4, max_steps=3)
    with pytest.warns(RuntimeWarning, match="max_steps=3"):
        unfinished = solve(sde, jnp.ones(2), UNEVEN, KEY, ARGS, steps=short)
    assert unfinished.result == Result.MAX_STEPS_REACHED
    assert jnp.isnan(unfinished.ys[-1]).all()
    coarse = VirtualTree(KEY, 0.0, 1.0, 1e-2)
    with pytest.warns(RuntimeWarning, match="shortest"):
        above = solve(sde, jnp.ones(2), UNEVEN, args=ARGS, steps=AdaptiveSteps(1e-6, 1e-6), brownian=coarse)
    assert above.result == Result.TOLERANCE_NOT_MET
    assert jnp.isfinite(above.ys).all()


@pytest.mark.parametrize(
    ("sde_type", "noise", "name"),
    [
        ("ito", "diagonal", "sriw1"),
        ("ito", "scalar", "sriw1"),
        ("ito", "additive", "sra1"),
        ("stratonovich", "diagonal", "midpoint"),
    ],
)
def test_adaptive_steps_need_no_method_by_name(sde_type, noise, name):
    g = (lambda y, t, a: jnp.ones_like(y)) if noise == "additive" else (lambda y, t, a: a["sigma"] * y)
    sde, steps = SDE(f, g, sde_type, noise), AdaptiveSteps(1e-1, 1e-1)
    solution = solve(sde, jnp.ones(2), UNEVEN, KEY, ARGS, steps=steps)
    named = solve(sde, jnp.ones(2), UNEVEN, KEY, ARGS, steps=steps, method=name)
    np.testing.assert_array_equal(solution.ys, named.ys)
    assert (
        solution.stats.evaluations == (2 if "sr" in name else 6) * solution.stats.tried_steps + 2 * solution.stats.steps
    )


def test_adaptive_steps_on_a_path_without_areas_take_a_method_that_needs_none():
    choices: dict[str, Any] = {
        "args": ARGS,
        "steps": AdaptiveSteps(1e-1, 1e-1),
        "brownian": VirtualTree(KEY, 0.0, 1.0, 2.0**-16),
    }
    unnamed, named = (solve(SDE(f, g), jnp.ones(2), UNEVEN, method=m, **choices) for m in (None, "milstein"))
    np.testing.assert_array_equal(unnamed.ys, named.ys)


def test_adaptive_steps_say_what_general_noise_takes():
    mixing = jnp.asarray([[1.0, 0.5], [0.0, 1.0]])
    with pytest.raises(ValueError, match=r"AdaptiveSteps or adaptive=True with.* general noise.*FixedSteps"):
        solve(
            SDE(f, lambda y, t, a: mixing * y[0], noise="general"),
            jnp.ones(2),
            UNEVEN,
            KEY,
            ARGS,
            steps=AdaptiveSteps(),
        )


@pytest.mark.parametrize(("asked", "steps"), [(1, 3), (3, 3), (4, 6), (100, 102)])
def test_a_number_of_steps_is_divided_evenly(asked, steps):
    solution = solve(SDE(f, g), jnp.ones(2), UNEVEN, KEY, ARGS, steps=FixedSteps(asked))
    each = steps // 3
    grid = np.append([np.linspace(a, b, each + 1)[:-1] for a, b in itertools.pairwise(UNEVEN)], 1.0)
    assert solution.stats == (steps, steps, steps)
    every = sdeint_ito_fixed_grid(f, g, jnp.ones(2), grid, KEY, ARGS)
    np.testing.assert_allclose(solution.ys, every[::each], rtol=1e-5)


def test_the_calls_of_the_reference_run_inside_jit():
    y0, fw_params, rng = jnp.ones(3), ARGS, KEY

    def fixed_grid(rng):
        ts = jnp.linspace(0.0, 1.0, 21)
        return sdeint_ito_fixed_grid(f, g, y0, ts, rng, fw_params, method="euler_maruyama")

    def by_steps(rng):
        ts = jnp.linspace(0.0, 1.0, 21)
        return sdeint_ito(f, g, y0, ts, rng, fw_params, method="milstein")

    for call in (fixed_grid, by_steps):
        np.testing.assert_allclose(jax.jit(call)(rng), call(rng), rtol=1e-5)


@pytest.mark.parametrize("adjoint", ["backprop", "checkpoint", "reversible", "stochastic"])
@pytest.mark.parametrize("end", [1.0, -1.0])
def test_traced_times_have_the_steps_and_gradients_of_known_ones(x64, adjoint, end):
    def loss(args, scale, known):
        ts = end * np.linspace(0, 1, 4) * (1.0 if known else scale)
        ys, stats = sdeint_strat(f, g, jnp.ones(2), ts, KEY, args, "reversible_heun", adjoint=adjoint, stats=True)
        assert stats["steps"] == 102
        return jnp.sum(ys * jnp.arange(8.0).reshape(4, 2))

    args = {"rate": jnp.asarray(-0.4), "sigma": jnp.asarray(0.3)}
    value, gradient = jax.jit(jax.value_and_grad(loss, (0, 1)), static_argnums=2)(args, 1.0, False)
    known, expected = jax.value_and_grad(loss)(args, 1.0, True)
    np.testing.assert_allclose(value, known, rtol=1e-10)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8), gradient[0], expected)
    ends = [jax.jit(loss, static_argnums=2)(args, 1.0 + step, False) for step in (1e-5, -1e-5)]
    np.testing.assert_allclose(gradient[1], (ends[0] - ends[1]) / 2e-5, rtol=1e-6)


@pytest.mark.parametrize("entry", [sdeint_ito_fixed_grid, sdeint_strat_fixed_grid, sdeint_ito, sdeint_strat])
@pytest.mark.parametrize("ts", [lambda end: [0.0, end], lambda end: (0, 0.5 * end, end)])
def test_a_list_of_times_may_have_traced_entries(entry, ts):
    def end(end):
        return entry(f, g, jnp.ones(2), ts(end), KEY, ARGS)[-1].sum()

    np.testing.assert_allclose(jax.jit(end)(1.0), end(1.0), rtol=1e-5)
    difference = (end(1.01) - end(0.99)) / 0.02
    np.testing.assert_allclose(jax.grad(end)(1.0), difference, rtol=1e-2)


@pytest.mark.parametrize("ts", [[0.0, 0.5, 0.2, 1.0], [0.0, 0.5, 0.5, 1.0], [0.0, 1.0, 0.0]])
def test_traced_times_out_of_order_give_nan(ts):
    solved = jax.jit(lambda ts: sdeint_ito(f, g, jnp.ones(2), ts, KEY, ARGS))
    assert jnp.isnan(solved(jnp.asarray(ts))[1:]).all()
    assert jnp.isfinite(solved(jnp.sort(jnp.asarray([0.0, 0.1, 0.7, 1.0])[: len(ts)]))).all()


@pytest.mark.parametrize(
    "ts",
    [
        np.asarray([200, 100, 0], np.uint8),
        np.asarray([-100, 0, 100], np.int8),
        np.asarray([4_000_000_000, 4_000_000_100], np.uint32),
        np.asarray([0.0, 333.3, 1000.0], np.float16),
    ],
)
def test_lengths_of_traced_times_do_not_wrap(ts):
    found = jax.jit(lambda ts: lengths(ts, np.dtype(np.float32)))(ts)
    np.testing.assert_array_equal(found, np.diff(ts.astype(np.float64)))


def test_lengths_of_traced_times_that_no_integer_holds_are_nan():
    ts = np.asarray([-2_000_000_000, 2_000_000_000], np.int32)
    assert jnp.isnan(jax.jit(lambda ts: lengths(ts, np.dtype(np.float32)))(ts)).all()


def test_traced_times_ask_a_tree_for_the_path_of_known_ones(x64):
    tree = VirtualTree(KEY, 0.0, 1.0, 2.0**-12)
    solved = jax.jit(lambda ts: sdeint_ito(f, g, jnp.ones(2), ts, None, ARGS, steps=30, brownian=tree))
    np.testing.assert_allclose(
        solved(UNEVEN), sdeint_ito(f, g, jnp.ones(2), UNEVEN, None, ARGS, steps=30, brownian=tree), rtol=1e-5
    )
