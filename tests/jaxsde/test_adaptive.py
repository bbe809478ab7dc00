"""Adaptive steps: accuracy, gradients, and what happens when the steps run out."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import SDE, AdaptiveSteps, ReplayedPath, Result, VirtualTree, sdeint_ito, sdeint_strat
from jaxsde import solve as solve_sde

TS = np.asarray([0.0, 0.3, 1.0])
KEY = jax.random.key(0)
TREE = VirtualTree(KEY, 0.0, 1.0, 2.0**-16)


def f(y, t, args):
    return args * y


def g(y, t, args):
    return 0.8 * y


def solve(key, rtol, args=0.5, solver=sdeint_ito, method="milstein", **options):
    return solver(
        f, g, jnp.ones(2), TS, key, jnp.asarray(args), method,
        adaptive=True, rtol=rtol, atol=rtol, max_steps=1000, stats=True, **options,
    )  # fmt: skip


def test_tighter_tolerance_less_error_more_evaluations(x64):
    keys = jax.random.split(jax.random.key(0), 20)
    like = (jax.ShapeDtypeStruct((2,), jnp.float64),)
    W = jax.vmap(lambda k: VirtualTree(k, 0.0, 1.0, 2.0**-18).value(jnp.asarray(1.0), like)[0])(keys)
    exact = jnp.exp(0.5 - 0.32 + 0.8 * W)
    errors, evaluations = [], []
    for rtol in (1e-2, 1e-3, 1e-4):
        ys, stats = jax.jit(jax.vmap(lambda k, rtol=rtol: solve(k, rtol)))(keys)
        errors.append(float(jnp.sqrt(jnp.mean((ys[:, -1] - exact) ** 2))))
        evaluations.append(float(stats["evaluations"].mean()))
        np.testing.assert_array_equal(stats["evaluations"], 3 * stats["tried_steps"] + stats["steps"])
    # A step's error is of order 3/2 and the solution's of order 1, so that theory has 100^(-2/3) = 0.05.
    assert errors[2] < 0.1 * errors[0]
    assert errors[2] < 0.005
    assert evaluations[0] < evaluations[1] < evaluations[2]


def test_steps_no_longer_than_dt_max_see_what_longer_ones_miss():
    def pulse(y, t, args):
        return jnp.where(abs(t - 0.7) < 0.05, 10.0, 0.0) * jnp.ones_like(y)

    def end(dt_max):
        steps = AdaptiveSteps(1e-2, 1e-2, dt=0.02, dt_max=dt_max, max_steps=256)
        found = solve_sde(SDE(pulse, None, "stratonovich"), jnp.zeros(()), [0.0, 1.0], method="midpoint", steps=steps)
        return float(found.ys[-1]), int(found.stats.steps)

    assert abs(end(None)[0] - 1) > 0.3
    area, taken = end(0.05)
    assert abs(area - 1) < 0.05
    assert taken >= 20


def test_a_step_that_is_not_finite_however_short_is_not_tried_again_and_again():
    def ends(y, t, args):
        return jnp.where(t < 0.5, 1.0, jnp.nan) * jnp.ones_like(y)

    steps = AdaptiveSteps(1e-2, 1e-2, max_steps=1000)
    with pytest.warns(RuntimeWarning, match="no further than the output time 0.25: .* is not finite"):
        found = solve_sde(SDE(ends, None), jnp.zeros(()), [0.0, 0.25, 1.0], method="euler_maruyama", steps=steps)
    assert found.result == Result.MAX_STEPS_REACHED
    assert found.stats.tried_steps < 100
    np.testing.assert_allclose(found.ys, [0.0, 0.25, np.nan])


def test_a_dt_max_that_the_tree_has_no_step_for_is_refused():
    steps, tree = AdaptiveSteps(dt_max=1e-3), VirtualTree(KEY, 0.0, 1.0, 2.0**-8)
    with pytest.raises(ValueError, match=r"dt_max is 0.001, and no step is shorter than 0.0078.* smaller tol"):
        solve_sde(SDE(f, g), jnp.ones(2), [0.0, 1.0], None, 0.5, steps=steps, method="milstein", brownian=tree)
    with pytest.raises(ValueError, match=r"dt_max is -1.0; it is a length of time"):
        AdaptiveSteps(dt_max=-1.0)


def test_an_ode_in_either_direction(x64):
    for span in ((0.0, 2.0), (2.0, 0.0)):
        ys, stats = sdeint_strat(
            lambda y, t, a: jnp.cos(5 * t) * y, None, jnp.ones(1), np.asarray(span), None, None, "heun",
            adaptive=True, rtol=1e-6, atol=1e-6, stats=True,
        )  # fmt: skip
        primitive = [np.sin(5 * t) / 5 for t in span]
        np.testing.assert_allclose(ys[-1], np.exp(primitive[1] - primitive[0]), rtol=1e-5)
        assert stats["steps"] < 4000


def test_leaves_of_different_precision():
    y0 = (jnp.ones(2), jnp.ones(3, jnp.bfloat16))
    ys = sdeint_strat(
        lambda y, t, a: jax.tree.map(jnp.negative, y), lambda y, t, a: (0.1 * y[0], None), y0, TS, jax.random.key(0),
        adaptive=True, rtol=0.1, atol=0.1, max_steps=30,
    )  # fmt: skip
    assert [y.dtype for y in ys] == [jnp.float32, jnp.bfloat16]
    np.testing.assert_allclose(ys[1][-1], np.exp(-1.0), rtol=0.05)


@pytest.mark.parametrize("adjoint", ["backprop", "stochastic"])
def test_gradient_on_the_grid_that_was_found(x64, adjoint):
    key = jax.random.key(1)

    def loss(args):
        drift = lambda y, t, _: args * y  # noqa: E731
        ys = sdeint_strat(
            drift,
            g,
            jnp.ones(2),
            TS,
            key,
            None,
            "heun",
            adaptive=True,
            rtol=1e-5,
            atol=1e-5,
            max_steps=1000,
            adjoint=adjoint,
        )
        return ys[1:].sum()

    # y = exp(a t + 0.8 W), so its derivative by a is t y.
    ys, _ = solve(key, 1e-5, solver=sdeint_strat, method="heun")
    np.testing.assert_allclose(jax.jit(jax.grad(loss))(0.5), (TS[:, None] * ys).sum(), rtol=1e-3)


def test_gradient_of_a_batch_whose_grids_have_padding(x64):
    """On the grid of a method that says its own error. Of steps of no length nothing is NaN."""

    def loss(args, key):
        ys, stats = solve(key, 1e-3, args, solver=sdeint_ito, method=None, adjoint="backprop")
        return ys[1:].sum(), (ys, stats["steps"])

    slopes, (ys, steps) = jax.jit(jax.vmap(jax.grad(loss, has_aux=True), (None, 0)))(0.5, jax.random.split(KEY, 3))
    assert len(set(steps.tolist())) > 1
    np.testing.assert_allclose(slopes, np.einsum("t,kti->k", TS, ys), rtol=1e-2)


def test_a_batch_walks_as_far_as_its_longest_solve():
    calls = []

    def called(t):
        calls.append(1)
        return np.zeros_like(t)

    def counted(y, t, args):
        zero = jax.pure_callback(called, t, t, vmap_method="broadcast_all")
        return args * y + zero

    def one(key):
        return sdeint_ito(
            counted, g, jnp.ones(2), TS, key, jnp.asarray(0.5), "milstein", adaptive=True, rtol=3e-2, stats=True
        )

    keys = jax.random.split(KEY, 4).reshape(2, 2)
    ys, stats = jax.block_until_ready(jax.jit(jax.vmap(jax.vmap(one)))(keys))
    steps, tried = (int(stats[name].max()) for name in ("steps", "tried_steps"))
    assert stats["steps"].min() < steps < 200
    # Three evaluations to try a step, one to take it, and some that look at the equation before. 4096 may be tried.
    assert 3 * tried + steps <= len(calls) <= 3 * tried + steps + 20
    for lane in np.ndindex(2, 2):
        np.testing.assert_allclose(ys[lane], one(keys[lane])[0], rtol=1e-5)


def test_too_few_steps_are_reported():
    with pytest.warns(RuntimeWarning, match="max_steps=10 adaptive steps came no further than the output time 0.0"):  # noqa: PT031
        ys = sdeint_strat(
            f,
            g,
            jnp.ones(2),
            TS,
            jax.random.key(0),
            jnp.asarray(0.5),
            adaptive=True,
            rtol=1e-7,
            atol=1e-7,
            max_steps=10,
        )
        jax.effects_barrier()
    assert jnp.isfinite(ys[0]).all()
    assert jnp.isnan(ys[1:]).all()


@pytest.mark.parametrize("transform", [lambda f: f, jax.jit, jax.grad])
def test_a_solution_that_stops_being_finite_says_when(transform):
    def end(y0):
        ys = sdeint_ito(
            lambda y, t, a: jnp.where(t > 0.5, jnp.nan, 1.0) * y, g, y0, np.linspace(0, 1, 6), jax.random.key(0),
            check_finite=True,
        )  # fmt: skip
        return ys[-1]

    with pytest.warns(RuntimeWarning, match="between t = 0.4.* and t = 0.6"):  # noqa: PT031
        jax.block_until_ready(transform(end)(jnp.asarray(1.0)))
        jax.effects_barrier()


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (
            {"method": "euler_maruyama"},
            ValueError,
            "too low.* take method 'milstein' or 'sriw1' or 'sosri' or 'dri1', of order 1 or more, or fixed steps",
        ),
        (
            {"method": "euler_maruyama", "brownian": TREE},
            ValueError,
            "take method 'milstein' or 'dri1', of order 1 or more, or fixed steps",
        ),
        ({"method": "sriw1", "brownian": TREE}, ValueError, r"space-time areas .* VirtualTree\(.*, space_time=True\)"),
        ({"brownian": ReplayedPath(np.zeros((2, 2)))}, TypeError, "VirtualTree"),
        ({"atol": 0.0}, ValueError, "atol=0.0"),
        ({"max_steps": 0}, ValueError, "max_steps=0"),
        ({"dt": -1.0}, ValueError, "dt is -1.0"),
    ],
)
def test_refusals(change, error, says):
    call: dict[str, Any] = {"method": "milstein", "adaptive": True} | change
    with pytest.raises(error, match=says):
        sdeint_ito(f, g, jnp.ones(2), TS, jax.random.key(0), 0.5, **call)


@pytest.mark.parametrize(("solver", "method"), [(sdeint_ito, None), (sdeint_strat, "heun")])
def test_general_noise_is_left_to_fixed_steps(solver, method):
    with pytest.raises(ValueError, match=r"general noise: .* order 0\.5.* another solution.*FixedSteps\(dt") as refused:
        solver(f, lambda y, t, a: jnp.eye(2), jnp.ones(2), TS, KEY, 0.5, method, noise="general", adaptive=True)
    assert "euler_maruyama" not in str(refused.value)


def test_commutative_noise_is_taken(x64):
    """Two correlated geometric Brownian motions, by milstein unless another is named."""
    mix = np.asarray([[0.6, 0.4], [-0.3, 0.5]])
    like = (jax.ShapeDtypeStruct((2,), jnp.float64),)

    def error(key):
        path = VirtualTree(key, 0.0, 1.0, 2.0**-16)
        W = path.value(jnp.asarray(1.0), like)[0]
        ys = sdeint_ito(
            f, lambda y, t, a: y[:, None] * mix, jnp.ones(2), TS[[0, -1]], None, 0.5, noise="commutative",
            brownian=path, adaptive=True, rtol=1e-3, atol=1e-3, max_steps=1000, adjoint="backprop",
        )  # fmt: skip
        return ys[-1] - jnp.exp(0.5 - (mix**2).sum(1) / 2 + mix @ W)

    errors = jax.jit(jax.vmap(error))(jax.random.split(KEY, 20))
    assert jnp.sqrt(jnp.mean(errors**2)) < 0.02


def test_a_method_of_which_order_one_is_not_proved_is_refused_and_taken_where_it_is():
    call: dict[str, Any] = {"method": "reversible_heun", "adaptive": True, "max_steps": 200, "rtol": 1e-2, "atol": 1e-2}
    with pytest.raises(ValueError, match=r"'reversible_heun' and diagonal noise: strong order 0\.5 .* 'heun' or"):
        sdeint_strat(f, g, jnp.ones(2), TS, jax.random.key(0), 0.5, **call)
    sigma = lambda y, t, a: 0.8 * jnp.ones_like(y)  # noqa: E731
    ys = sdeint_strat(f, sigma, jnp.ones(2), TS, jax.random.key(0), -0.5, noise="additive", **call)
    assert jnp.isfinite(ys).all()
