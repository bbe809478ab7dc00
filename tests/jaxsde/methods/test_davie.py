"""Noise by columns: what Levy areas are for where they do not commute, and the law of those that are drawn."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import (
    METHODS,
    SDE,
    AdaptiveSteps,
    CounterPath,
    FixedSteps,
    ReplayedPath,
    VirtualTree,
    sdeint_ito,
    solve,
)

KEY = jax.random.key(0)
ENDS = np.asarray([0.0, 1.0])
TWO = (jax.ShapeDtypeStruct((2,), jnp.float32),)


def area_problem(y, t, args):
    """dX = dW_1, dY = X dW_2."""
    return jnp.asarray([[1.0, 0.0], [0.0, 0.0]]) + y[0] * jnp.asarray([[0.0, 0.0], [0.0, 1.0]])


def still(y, t, args):
    return jnp.zeros_like(y)


def torus(y, t, args):
    c, s = np.cos(0.5), np.sin(0.5)
    x, z = y
    return jnp.stack([
        jnp.stack([c * jnp.sin(x), c * jnp.cos(x), -s * jnp.sin(z), -s * jnp.cos(z)]),
        jnp.stack([s * jnp.sin(x), s * jnp.cos(x), c * jnp.sin(z), c * jnp.cos(z)]),
    ])  # fmt: skip


def coarsened(dW, A, n):
    """Increments of n steps and their areas, of paths (paths, fine, m) and areas."""
    dW, A = (x.reshape(len(x), n, -1, *x.shape[2:]) for x in (dW, A))
    before = jnp.cumsum(dW, 2) - dW
    twice = jnp.einsum("pnfj,pnfk->pnjk", before, dW)
    return dW.sum(2), A.sum(2) + (twice - jnp.swapaxes(twice, -1, -2)) / 2


PATHS, FINE, SIZES = 400, 2048, np.asarray([16, 64, 512])


@functools.cache
def fine_path():
    draw = jax.vmap(lambda k: CounterPath(KEY).increment(k, 0.0, jnp.asarray(1 / FINE), (jnp.zeros(4),), area=True))
    drawn = draw(jnp.arange(PATHS * FINE))
    return drawn.dW[0].reshape(PATHS, FINE, 4), drawn.A.reshape(PATHS, FINE, 4, 4)


def ends_on_the_torus(method, sizes):
    """At time 1, of as many steps each. One program for all: coarse grids go on after time 1, without noise."""
    sde, y0, most = SDE(still, torus, method.sde_types[0], "general"), jnp.asarray([2.0, 2.0]), int(max(sizes))

    @jax.jit
    def at_all_times(ts, *path):
        def solver(*path):
            brownian = ReplayedPath(*path)
            return solve(sde, y0, ts, steps=FixedSteps(most), method=method.name, brownian=brownian).ys

        return jax.vmap(solver)(*path)

    for n in sizes:
        fine, areas = fine_path()
        after = [(0, 0), (0, most - n), (0, 0), (0, 0)]
        w, a = (jnp.pad(x, after[: x.ndim]) for x in coarsened(fine, areas, n))
        # Of these areas weak methods make what has no part in a strong order.
        H = jnp.zeros_like(w) if method.space_time else None
        yield at_all_times(jnp.arange(most + 1) / n, w, H, a)[:, n]


@functools.cache
def fine_end_on_the_torus():
    (end,) = ends_on_the_torus(METHODS["davie"], [FINE])
    return end


@pytest.mark.parametrize(
    "method", [method for method in METHODS.values() if method.order("general")], ids=lambda method: method.name
)
def test_strong_order_on_the_torus(x64, method):
    """Towards a fine solution of davie's, with the areas of the same path; both calculi have the same one."""
    ends = ends_on_the_torus(method, SIZES)
    errors = [float(jnp.sqrt(jnp.mean((end - fine_end_on_the_torus()) ** 2))) for end in ends]
    order = -np.polyfit(np.log(SIZES), np.log(errors), 1)[0]
    assert abs(order - method.order("general")) < 0.15, (order, errors)


@pytest.mark.parametrize("sde_type", ["ito", "stratonovich"])
def test_where_columns_commute_areas_add_nothing(x64, sde_type):
    mix = jax.random.normal(KEY, (3, 2))
    sde = SDE(still, lambda y, t, a: jnp.sin(y)[:, None] * mix, sde_type, "commutative")
    found, expected = (
        solve(sde, jnp.ones(3), ENDS, KEY, steps=FixedSteps(4), method=name).ys[-1] for name in ("davie", "milstein")
    )
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("adjoint", ["checkpoint", "stochastic"])
def test_gradients_draw_the_areas_of_the_solve_again(x64, adjoint):
    sde = SDE(lambda y, t, a: -y, lambda y, t, a: a * jnp.stack([jnp.sin(y), jnp.cos(y[::-1])], -1), noise="general")

    def loss(y0, args, adjoint):
        return solve(sde, y0, ENDS, KEY, args, steps=FixedSteps(8), method="davie", adjoint=adjoint).ys[-1].sum()

    point = jnp.asarray([0.5, -0.3]), jnp.asarray(0.7)
    exact, found = (jax.grad(loss, (0, 1))(*point, name) for name in ("backprop", adjoint))
    for a, b in zip(exact, found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-10)


def test_correlated_noise_is_that_of_the_diffusion_or_refused(x64):
    correlated, volatility = jnp.asarray([[1.0, 0.0], [0.8, 0.6]]), jnp.asarray([0.4, 0.5])
    y0, steps = jnp.ones(2), FixedSteps(8)
    path = CounterPath(KEY, cholesky=correlated)
    diagonal = SDE(still, lambda y, t, a: volatility * y)
    mixed = SDE(still, lambda y, t, a: (volatility * y)[:, None] * correlated, noise="commutative")
    own = solve(diagonal, y0, ENDS, brownian=path, steps=steps, method="milstein").ys
    np.testing.assert_allclose(own, solve(mixed, y0, ENDS, KEY, steps=steps, method="milstein").ys, rtol=1e-12)

    matrix = SDE(still, lambda y, t, a: (volatility * y)[:, None] * jnp.eye(2), noise="commutative")
    general = SDE(still, matrix.diffusion, noise="general")
    longer = CounterPath(KEY, cholesky=2 * correlated)
    for sde, brownian, method in (
        (matrix, path, "milstein"), (general, path, "davie"), (general, path, "platen_weak2"),
        (diagonal, longer, "milstein"), (diagonal, longer, "sriw1"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=rf"'{method}' takes increments of an Ito solution for independent ones"):
            solve(sde, y0, ENDS, brownian=brownian, steps=steps, method=method)
    for sde in (general, diagonal):
        solve(sde, y0, ENDS, brownian=longer, steps=steps, method="euler_maruyama")
    with pytest.raises(ValueError, match="known and not traced"):
        jax.jit(lambda L: solve(diagonal, y0, ENDS, brownian=CounterPath(KEY, L), steps=steps, method="milstein").ys)(
            correlated
        )


def test_the_second_moment_that_the_area_makes():
    """E Y^2 = t^2 / 2 after a single step; t^2 / 4 without the area."""
    keys = jax.random.split(KEY, 20_000)

    def square(key):
        ys = sdeint_ito(still, area_problem, jnp.zeros(2), ENDS, key, None, "davie", steps=1, noise="general")
        return ys[-1, 1] ** 2

    squares = jax.jit(jax.vmap(square))(keys)
    assert abs(squares.mean() - 0.5) < 3 * squares.std() / squares.size**0.5
    assert squares.std() / squares.size**0.5 < 0.02


def test_the_law_of_drawn_areas():
    """Given the increments: mean zero, variance h^2 / 12 + h (dW_1^2 + dW_2^2) / 12, also of correlated noise."""
    h, n = 0.5, 20_000
    L = np.asarray([[2.0, 0.0], [1.5, 0.5]], np.float32)
    draw = jax.jit(
        lambda path: jax.vmap(lambda k: path.increment(k, 0.0, jnp.asarray(h), TWO, area=True))(jnp.arange(n))
    )
    drawn, correlated = draw(CounterPath(KEY)), draw(CounterPath(KEY, cholesky=L))
    np.testing.assert_allclose(drawn.A, -jnp.swapaxes(drawn.A, 1, 2), atol=1e-6)
    # The increments are those without areas.
    alone = CounterPath(KEY).increment(3, 0.0, jnp.asarray(h), TWO).dW[0]
    np.testing.assert_allclose(drawn.dW[0][3], jnp.asarray(alone), rtol=1e-6)
    ratio = drawn.A[:, 0, 1] ** 2 / (h**2 / 12 + h * (drawn.dW[0] ** 2).sum(1) / 12)
    assert abs(ratio.mean() - 1) < 0.04
    assert abs(drawn.A[:, 0, 1].mean()) < 0.01
    # In two dimensions an area is multiplied by the determinant.
    np.testing.assert_allclose(correlated.A, np.linalg.det(L) * drawn.A, rtol=1e-3, atol=1e-5)


def test_matrix_free_noise_of_any_shape_has_the_same_areas():
    mix = jax.random.normal(KEY, (3, 2, 2))

    def matrix(y, t, args):
        return jnp.sin(y)[:, None] * mix.reshape(3, 4)

    def product(y, t, args):
        return lambda v: jnp.sin(y) * jnp.tensordot(mix, v, 2)

    found, expected = (
        sdeint_ito(still, g, jnp.ones(3), ENDS, KEY, None, "davie", steps=4, noise="general", noise_shape=shape)[-1]
        for g, shape in ((matrix, None), (product, (2, 2)))
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_what_has_no_areas_is_refused():
    sde, y0 = SDE(still, area_problem, noise="general"), jnp.zeros(2)

    def call(**choices):
        return solve(sde, y0, ENDS, KEY, method="davie", **choices)

    one: dict[str, Any] = {"steps": FixedSteps(1)}
    for path in (VirtualTree(KEY, 0.0, 1.0, 0.1), ReplayedPath(np.zeros((1, 2), np.float32))):
        with pytest.raises(ValueError, match=r"'davie' needs the Levy areas .*area=area"):
            call(brownian=path, **one)
    with pytest.raises(ValueError, match=r"area of shape \(1, 2\); .* \(1, 2, 2\)"):
        call(brownian=ReplayedPath(np.zeros((1, 2), np.float32), area=np.zeros((1, 2))), **one)
    product = np.asarray([[[0.0, 0.2], [0.1, 0.0]]])
    with pytest.raises(ValueError, match=r"A \+ A\^T of up to 0.3; .* half of I_jk - I_kj"):
        call(brownian=ReplayedPath(np.zeros((1, 2), np.float32), area=product), **one)
    wrong: dict[Any, str] = {
        "general": r"area of shape \(3,\)",
        "diagonal": "area, which is for general or commutative noise",
    }
    for noise, says in wrong.items():
        g = area_problem if noise == "general" else lambda y, t, a: y
        path = ReplayedPath(np.zeros((1, 2), np.float32), area=np.zeros(3))
        with pytest.raises(ValueError, match=says):
            solve(SDE(still, g, noise=noise), y0, ENDS, method="euler_maruyama", brownian=path, **one)
    with pytest.raises(ValueError, match="it needs Levy areas, which a VirtualTree does not have"):
        call(steps=AdaptiveSteps())


@pytest.mark.parametrize("method", ["davie", "platen_weak2", "dri1"])
def test_without_noise_there_is_an_ode(method):
    ode = solve(SDE(lambda y, t, a: -y, None, noise="general"), jnp.ones(2), ENDS, method=method)
    np.testing.assert_allclose(ode.ys[-1], np.exp(-1), rtol=0.01)
