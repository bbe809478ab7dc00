"""The reversible gradient of every explicit method: that of backprop to rounding, in memory that no step adds to.

On dy = (tanh(W y) - y) dt + g dW with five entries and a random W / sqrt(5).
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import METHODS, SDE, FixedSteps, Langevin, ReplayedPath, solve

EXPLICIT = [method for method in METHODS.values() if not method.implicit]
D = 5
W = np.random.default_rng(0).normal(size=(D, D)) / D**0.5
Y0 = np.linspace(-1.0, 1.0, D)
NOISES = {
    "diagonal": lambda y, t, a: 0.3 * jnp.cos(y),
    "additive": lambda y, t, a: 0.3 * jnp.ones_like(y),
    "general": lambda y, t, a: 0.3 * jnp.stack([jnp.cos(y), a @ y], -1),
}


def equation(method):
    """Of noise for which the method is made, the first that it declares."""
    if method.langevin:
        return Langevin(lambda q, t, a: jnp.tanh(a @ q) - q, 0.8, 0.3), (jnp.asarray(Y0), jnp.asarray(Y0[::-1]))
    noise = next(iter(method.strong_order))
    return SDE(lambda y, t, a: jnp.tanh(a @ y) - y, NOISES[noise], method.sde_types[0], noise), jnp.asarray(Y0)


def increments(method, steps):
    """With what areas the method asks for: given ones compile in a third of the time."""
    motions = 2 if "general" in method.strong_order and len(method.strong_order) == 1 else D
    draw = np.random.default_rng(1).normal
    dW, H = (jnp.asarray(draw(size=(steps, motions)) / steps**0.5) for _ in range(2))
    A = jnp.asarray(draw(size=(steps, motions, motions)) / steps)
    given, areas = ((None, x) if method.langevin else x for x in (dW, H))
    return ReplayedPath(given, areas if method.space_time else None, A - A.swapaxes(1, 2) if method.area else None)


def flat(gradient):
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(gradient)])


def program(method, adjoint, steps):
    """That of the gradient by y0 and args, compiled, and these; backprop is that of the reversible form's solution."""
    sde, y0 = equation(method)
    name = f"coupled_{method.name}" if adjoint == "backprop" and method.inverse is None else method.name

    def loss(y0, a, path):
        choices = {"steps": FixedSteps(steps), "method": name, "adjoint": adjoint, "brownian": path}
        ys = solve(sde, y0, np.array([0.0, 1.0]), args=a, **choices).ys
        return sum(jnp.sum(jnp.sin(y)) for y in jax.tree.leaves(ys))

    at = y0, jnp.asarray(W), increments(method, steps)
    return jax.jit(jax.grad(loss, (0, 1))).lower(*at).compile(), at


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("method", EXPLICIT, ids=lambda method: method.name)
def test_it_is_that_of_backprop_in_constant_memory(method):
    """To 1e-10 of the whole gradient at 64 and at 1024 steps; memory at 4096 is that at 64."""
    memory = {}
    for steps in (64, 1024, 4096):
        reversible, at = program(method, "reversible", steps)
        memory[steps] = reversible.memory_analysis().temp_size_in_bytes
        if steps < 4096:
            exact = flat(program(method, "backprop", steps)[0](*at))
            distance = np.linalg.norm(flat(reversible(*at)) - exact)
            assert distance < 1e-10 * np.linalg.norm(exact), steps
    assert memory[4096] <= 1.01 * memory[64], memory


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("method", ["euler_maruyama", "heun", "midpoint", "reversible_heun"])
def test_it_is_so_for_long_steps(method):
    """y' = tanh(W y) - y, whose Lipschitz constant L is 1 + |W|: steps with h L from .05 to 1.5."""
    sde = SDE(lambda y, t, a: jnp.tanh(a @ y) - y, None, METHODS[method].sde_types[0])
    name = method if METHODS[method].inverse else f"coupled_{method}"

    def loss(y0, a, h, adjoint):
        ts = 8 * h * jnp.linspace(0.0, 1.0, 3)
        ys = solve(sde, y0, ts, args=a, steps=FixedSteps(8), method=name, adjoint=adjoint).ys
        return jnp.sum(jnp.sin(ys))

    found, exact = (
        jax.jit(jax.vmap(jax.grad(functools.partial(loss, adjoint=adjoint), (0, 1)), (None, None, 0)))
        for adjoint in ("reversible", "backprop")
    )
    lengths = jnp.array([0.05, 0.15, 0.5, 1.5]) / (1 + np.linalg.norm(W, 2))
    at = jnp.asarray(Y0), jnp.asarray(W), lengths
    for a, b in zip(*(zip(*gradient(*at), strict=True) for gradient in (found, exact)), strict=True):
        assert np.linalg.norm(flat(a) - flat(b)) < 1e-10 * np.linalg.norm(flat(b))
