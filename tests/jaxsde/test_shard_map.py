"""Solves inside `jax.shard_map`, with its checks: paths shared out over devices, of which only the keys differ."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from jaxsde import (
    VirtualTree,
    brownian_increments,
    path_kl,
    sdeint_ito,
    sdeint_ito_fixed_grid,
    sdeint_strat,
    sdeint_strat_fixed_grid,
)

TS = np.linspace(0.0, 1.0, 5)
Y0 = jnp.array([1.0, 0.5])
ADAPTIVE: dict[str, Any] = {"method": "heun", "adaptive": True, "rtol": 1e-2, "atol": 1e-2, "dt": 0.25, "max_steps": 24}


def f(y, t, a):
    return -a * y


def g(y, t, a):
    return 0.3 * y


def of_step(y, t, h, dW, a):
    return h * jnp.sum(a * y)


def running_of(a):
    return lambda y, t, h, dW, _: of_step(y, t, h, dW, a)


def kl(key, y0, a):
    ys = sdeint_ito_fixed_grid(f, g, y0, TS, key, a)
    return path_kl(f, ys, TS, brownian_increments(key, TS, y0), a, estimator="stl")


SOLVES = {
    "checkpoint": lambda key, y0, a: sdeint_ito(f, g, y0, TS, key, a, dt=0.1, adjoint="checkpoint"),
    "stochastic": lambda key, y0, a: sdeint_ito(
        lambda y, t, _: f(y, t, a), g, y0, TS, key, dt=0.1, save=jnp.sum, running=running_of(a)
    ),
    "reversible": lambda key, y0, a: sdeint_strat(
        f, g, y0, TS, key, a, "reversible_heun", dt=0.1, adjoint="reversible"
    ),
    "tree": lambda key, y0, a: sdeint_strat_fixed_grid(
        f, g, y0, TS, None, a, brownian=VirtualTree(key, 0.0, 1.0, 2.0**-6)
    ),
    "adaptive, backprop": lambda key, y0, a: sdeint_strat(f, g, y0, TS[::4], key, a, adjoint="backprop", **ADAPTIVE),
    "implicit": lambda key, y0, a: sdeint_ito_fixed_grid(f, g, y0, TS[::4], key, a, "implicit_euler"),
    "path KL": kl,
}


def sum_of_squares(solve, keys, y0, a):
    paths = jax.vmap(solve, (0, None, None))(keys, y0, a)
    return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(paths))


@pytest.mark.parametrize("solve", SOLVES.values(), ids=SOLVES.keys())
def test_values_and_gradients_are_those_on_one_device(solve):
    mesh = jax.make_mesh((2,), ("paths",), devices=jax.devices()[:2], axis_types=(jax.sharding.AxisType.Auto,))
    keys = jax.random.split(jax.random.key(0), 4)

    def of_device(keys, y0, a):
        return jax.value_and_grad(lambda *x: jax.lax.psum(sum_of_squares(solve, keys, *x), "paths"), (0, 1))(y0, a)

    shared = jax.jit(jax.shard_map(of_device, mesh=mesh, in_specs=(P("paths"), P(), P()), out_specs=P()))
    alone = jax.jit(jax.value_and_grad(lambda *x: sum_of_squares(solve, keys, *x), (0, 1)))
    for a, b in zip(
        *(jax.tree.leaves(found(*x)) for found, x in ((shared, (keys, Y0, 0.7)), (alone, (Y0, 0.7)))), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4)


def test_the_state_or_the_parameters_alone_vary():
    mesh = jax.make_mesh((2,), ("paths",), devices=jax.devices()[:2], axis_types=(jax.sharding.AxisType.Auto,))
    rates, starts = jnp.array([0.3, 0.9]), jnp.stack([Y0, 2 * Y0])

    def both(a, y0):
        tree: dict[str, Any] = {"rng": None, "brownian": VirtualTree(jax.random.key(1), 0.0, 1.0, 2.0**-6)}
        drawn: dict[str, Any] = {"rng": jax.random.key(0), "dt": 0.1}

        # Nothing varies but what the drift closes over.
        def closed_over(a):
            return sdeint_ito(lambda y, t, _: -a * y, g, Y0, TS, **drawn)

        return [
            jax.vmap(closed_over)(a),
            jax.vmap(lambda a: sdeint_ito(f, g, Y0, TS, args=a, **drawn))(a),
            jax.vmap(lambda y0: sdeint_ito(f, g, y0, TS, args=0.7, **drawn))(y0),
            jax.vmap(lambda a: sdeint_strat(f, g, Y0, TS, args=a, **tree, **ADAPTIVE))(a),
        ]

    shared = jax.jit(jax.shard_map(both, mesh=mesh, in_specs=P("paths"), out_specs=P("paths")))(rates, starts)
    for a, b in zip(shared, jax.jit(both)(rates, starts), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


@pytest.mark.parametrize("adjoint", ["stochastic", "reversible"])
def test_a_state_that_is_shared_out_has_the_gradient_of_one_that_is_not(adjoint):
    mesh = jax.make_mesh((2,), ("rows",), axis_types=(jax.sharding.AxisType.Explicit,))
    y0 = jnp.ones((2, 3))

    def end(y0):
        ys = sdeint_ito(
            f, g, y0, np.array([0.0, 1.0]), jax.random.key(0), 0.5, "euler_maruyama", dt=1 / 16, adjoint=adjoint
        )
        return jnp.sum(ys[-1] ** 2)

    alone = jax.grad(end)(y0)
    with jax.set_mesh(mesh):
        shared = jax.grad(end)(jax.device_put(y0, jax.sharding.NamedSharding(mesh, P("rows"))))
        assert jax.typeof(shared).sharding.spec == P("rows", None)
    np.testing.assert_allclose(shared, alone, rtol=1e-5)
