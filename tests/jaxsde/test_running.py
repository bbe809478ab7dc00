"""Sums along a solve: they equal those read off the kept path, and so do their gradients."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import (
    METHODS,
    ReplayedPath,
    brownian_increments,
    path_kl,
    running_path_kl,
    sdeint_ito,
    sdeint_ito_fixed_grid,
    sdeint_strat,
)

KEY = jax.random.key(3)
Y0 = {"w": jnp.array([0.3, -0.2]), "x": jnp.array([0.5])}
ARGS = jnp.array([0.7, -0.4])
SIGMA = 0.5
TS = np.linspace(0.0, 1.0, 17)


def drift(y: Any, t: Any, a: Any) -> Any:
    return {"w": a * jnp.tanh(y["w"]) + t, "x": -y["x"] * y["w"][:1]}


def diffusion(y: Any, t: Any, a: Any) -> Any:
    return {"w": jnp.full(2, SIGMA, t.dtype), "x": None}


def u(y: Any, t: Any, a: Any) -> Any:
    return {"w": (a * jnp.tanh(y["w"]) + y["w"]) / SIGMA, "x": None}


def read_off(args: Any, y0: Any, estimator: str) -> Any:
    """The objective from the kept path, differentiated by backprop."""
    increments = {"w": brownian_increments(KEY, TS, y0["w"]), "x": None}
    ys = sdeint_ito_fixed_grid(
        drift, diffusion, y0, TS, None, args, noise="additive", brownian=ReplayedPath(increments)
    )
    return path_kl(u, ys, TS, increments, args, estimator=estimator) + ys["x"][-1, 0]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("estimator", ["analytic", "full_mc", "stl"])
@pytest.mark.parametrize("adjoint", ["backprop", "checkpoint", "stochastic"])
def test_the_running_path_kl_is_that_of_the_kept_path(adjoint: str, estimator: str) -> None:
    y0, args = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), (Y0, ARGS))

    def running(args: Any, y0: Any) -> Any:
        increments = {"w": brownian_increments(KEY, TS, y0["w"]), "x": None}
        ys, kl = sdeint_ito(
            drift, diffusion, y0, TS[[0, -1]], None, args, dt=1 / 16, noise="additive", adjoint=adjoint,
            brownian=ReplayedPath(increments), running=running_path_kl(u, estimator),
        )  # fmt: skip
        assert kl.shape == (2,)
        return kl[-1] + ys["x"][-1, 0]

    value, gradient = jax.value_and_grad(running, (0, 1))(args, y0)
    expected, exact = jax.value_and_grad(read_off, (0, 1))(args, y0, estimator)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    # The stochastic adjoint recovers the states of its 16 steps to 0.2 %; the others are exact.
    tolerance = 2e-3 if adjoint == "stochastic" else 1e-11
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), gradient, exact)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("method", "same"), [("reversible_heun", "reversible_heun"), ("euler_heun", "coupled_euler_heun")]
)
def test_the_reversible_adjoint_of_a_running_sum_is_exact(method: str, same: str) -> None:
    """Of a method that has an inverse, and of a coupled form, whose halves have the sum beside them."""
    y0, args = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), (Y0, ARGS))

    def objective(args: Any, adjoint: str, method: str) -> Any:
        ys, kl = sdeint_strat(
            drift, diffusion, y0, TS[[0, 8, -1]], KEY, args, method, dt=1 / 32, noise="additive",
            adjoint=adjoint, running=running_path_kl(u, "stl"),
        )  # fmt: skip
        return kl[1] - 2 * kl[2] + ys["x"][1, 0]

    exact = jax.grad(objective)(args, "backprop", same)
    np.testing.assert_allclose(jax.grad(objective)(args, "reversible", method), exact, rtol=1e-11)


# Of the implicit ones, which compile for longer, one.
@pytest.mark.parametrize(
    "method",
    [n for n, m in METHODS.items() if "additive" in m.strong_order and not m.langevin and n != "trapezoidal"],
)
def test_every_method_adds_up_every_step_once(method: str) -> None:
    """Lengths add up to the time that has passed, and increments to the path of a pure Brownian motion."""
    solver = sdeint_ito if "ito" in METHODS[method].sde_types else sdeint_strat
    ys, (elapsed, moved) = solver(
        lambda y, t, a: jnp.zeros_like(y), lambda y, t, a: jnp.ones_like(y), jnp.zeros(2), np.array([1.0, 0.5, 0.0]),
        KEY, None, method, dt=0.125, noise="additive", running=lambda y, t, h, dW, a: (h, dW),
    )  # fmt: skip
    np.testing.assert_allclose(elapsed, [0.0, -0.5, -1.0], rtol=1e-6)
    np.testing.assert_allclose(moved, ys, atol=1e-6)


def test_a_path_walked_towards_smaller_times_has_a_kl_too() -> None:
    """The same process under t -> -t has the same KL."""
    increments = brownian_increments(KEY, TS, ARGS)

    def kl(ts: Any, sign: float) -> Any:
        return sdeint_ito(
            lambda y, t, a: sign * jnp.tanh(y), lambda y, t, a: jnp.ones_like(y), ARGS, ts[[0, -1]], None, None,
            dt=1 / 16, noise="additive", brownian=ReplayedPath(increments),
            running=running_path_kl(lambda y, t, a: sign * jnp.tanh(y), "full_mc"),
        )[1][-1]  # fmt: skip

    np.testing.assert_allclose(kl(TS, 1.0), kl(-TS, -1.0), rtol=1e-6)


def test_memory_of_the_gradient_of_a_running_sum_does_not_grow_with_the_steps() -> None:
    def memory(steps: int) -> int:
        def objective(y0: Any) -> Any:
            _, kl = sdeint_ito(
                lambda y, t, a: jnp.tanh(y), lambda y, t, a: jnp.ones_like(y), y0, np.array([0.0, 1.0]), KEY,
                dt=1 / steps, noise="additive", adjoint="stochastic",
                running=running_path_kl(lambda y, t, a: jnp.tanh(y), "full_mc"),
            )  # fmt: skip
            return kl[-1]

        compiled = jax.jit(jax.grad(objective)).lower(jnp.zeros(10_000)).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert memory(640) < 1.05 * memory(40)


def test_an_unknown_estimator_is_refused() -> None:
    with pytest.raises(ValueError, match="exact"):
        running_path_kl(lambda y, t, a: y, "exact")
