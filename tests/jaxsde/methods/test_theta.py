"""What implicit methods are for: stability by closed form, and gradients of what Newton's method finds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import ADJOINTS, METHODS, SDE, FixedSteps, ReplayedPath, sdeint_ito, solve
from jaxsde.brownian import Increment
from jaxsde.flat_sde import FlatSDE
from jaxsde.methods.newton import root

KEY = jax.random.key(0)
ENDS = np.asarray([0.0, 1.0])
THETA = {"implicit_euler": 1.0, "trapezoidal": 0.5}


def one_step(method, rate, diffusion, noise, h):
    """Of dX = rate X dt + diffusion(X) dW, as a function of X and dW."""
    like = jnp.zeros(1)
    sde = FlatSDE(lambda y, t, a: rate * y, lambda y, t, a: diffusion(y), "ito", noise, like, (like,))

    def step(x, w):
        here = jnp.zeros(()), jnp.asarray(h), Increment((jnp.reshape(w, 1),))
        return METHODS[method].step(sde, (jnp.reshape(x, 1),), *here, None)[0][0]

    return step


@pytest.mark.parametrize("method", THETA)
def test_the_stationary_variance(x64, method):
    rate, size, h = 1e3, 0.1, 0.01
    step = one_step(method, -rate, lambda y: size * jnp.ones_like(y), "additive", h)
    a, b = jax.grad(step, (0, 1))(0.3, 0.2)
    expected = {
        "implicit_euler": size**2 * h / ((1 + rate * h) ** 2 - 1),
        "trapezoidal": size**2 / (2 * rate),
    }
    np.testing.assert_allclose(b**2 * h / (1 - a**2), expected[method], rtol=1e-12)


@pytest.mark.parametrize("method", THETA)
def test_mean_square_stability(x64, method):
    rate, size, h, theta = -3.0, 1.5, 0.7, THETA[method]
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    step = one_step(method, rate, lambda y: size * y, "diagonal", h)
    squares = jax.vmap(lambda w: step(1.0, w) ** 2)(jnp.asarray(nodes * h**0.5))
    expected = ((1 + (1 - theta) * rate * h) ** 2 + size**2 * h) / (1 - theta * rate * h) ** 2
    np.testing.assert_allclose(squares @ weights / weights.sum(), expected, rtol=1e-12)


@pytest.mark.parametrize("method", [*THETA, "crank_nicolson", "euler_maruyama"])
def test_a_fast_relaxation_is_followed_with_long_steps(method):
    """In single precision, with h L of 10 and of 10,000."""
    ts = np.linspace(0, 1, 101)

    def distance(rate):
        ys = sdeint_ito(
            lambda y, t, a: -rate * (y - jnp.cos(t)), lambda y, t, a: 0.1 * jnp.ones_like(y), jnp.ones(2), ts, KEY,
            None, method, steps=100, noise="additive",
        )  # fmt: skip
        return jnp.abs(ys - jnp.cos(jnp.asarray(ts, jnp.float32))[:, None]).max()

    found = jax.jit(jax.vmap(distance))(jnp.asarray([1e3, 1e6]))
    if method == "euler_maruyama":
        assert not (found < 1e6).any()
    else:
        assert (found < 0.05).all()


def double_well(y, t, k):
    """Stiff, and its parts depend on each other."""
    return {"a": -k * (y["a"] ** 3 - y["a"]) - 5.0 * (y["a"] - y["b"].sum()), "b": jnp.cos(t) - k * y["b"]}


def test_gradients_are_those_of_the_root(x64):
    """Against finite differences, and against backpropagation through Newton's iterations."""
    start, n, theta = {"a": jnp.asarray([2.0, -0.3]), "b": jnp.ones((1, 1))}, 4, THETA["trapezoidal"]
    noise = jax.random.normal(KEY, (n, 2)) / n**0.5

    def solved(k, adjoint):
        ys = sdeint_ito(
            double_well, lambda y, t, k: {"a": 0.3 * y["a"] * jnp.cos(k), "b": None}, start, ENDS, None, k,
            "trapezoidal", steps=n, brownian=ReplayedPath({"a": noise, "b": None}), adjoint=adjoint,
        )  # fmt: skip
        return jnp.sum(jnp.sin(ys["a"][-1]))

    def by_iterations(k):
        def f(z, t):
            moved = double_well({"a": z[:2], "b": z[2:].reshape(1, 1)}, t, k)
            return jnp.append(moved["a"], moved["b"])

        def step(y, here):
            t, w = here
            moved = y.at[:2].add(0.3 * y[:2] * jnp.cos(k) * w)
            known = moved + (1 - theta) / n * f(y, t)

            def iteration(z, _):
                equation = lambda z: z - known - theta / n * f(z, t + 1 / n)  # noqa: E731
                return z - jnp.linalg.solve(jax.jacfwd(equation)(z), equation(z)), None

            return jax.lax.scan(iteration, moved, None, 10)[0], None

        ts = jnp.arange(n, dtype=float) / n
        return jnp.sum(jnp.sin(jax.lax.scan(step, jnp.asarray([2.0, -0.3, 1.0]), (ts, noise))[0][:2]))

    value, exact = jax.jit(jax.value_and_grad(by_iterations))(5.0)
    found = {adjoint: jax.jit(jax.value_and_grad(lambda k, a=adjoint: solved(k, a))) for adjoint in ADJOINTS}
    for adjoint in ("backprop", "checkpoint", "stochastic"):
        np.testing.assert_allclose(found[adjoint](5.0), (value, exact), rtol=1e-9)
    above, below = (found["backprop"](5.0 + e)[0] for e in (1e-4, -1e-4))
    np.testing.assert_allclose((above - below) / 2e-4, exact, rtol=1e-6)
    forward = jax.jvp(lambda k: solved(k, "backprop"), (5.0,), (1.0,))[1]
    np.testing.assert_allclose(forward, exact, rtol=1e-9)


@pytest.mark.parametrize("method", THETA)
def test_the_order_without_noise(x64, method):
    def end(steps):
        return sdeint_ito(lambda y, t, a: jnp.cos(t) - y**3, None, jnp.ones(1), ENDS, None, None, method, steps=steps)

    sizes = np.asarray([8, 16, 32])
    errors = [float(jnp.abs(end(int(n))[-1] - end(2048)[-1])[0]) for n in sizes]
    order = -np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert abs(order - 1 / THETA[method]) < 0.1, errors


def test_a_step_without_an_end_is_nan_with_a_warning():
    """z = y + h (1 + 100 z^2) has no root for h = 1/3."""

    def end(y0):
        drift = lambda y, t, a: 1 + 100 * y**2  # noqa: E731
        return solve(SDE(drift), y0, ENDS, steps=FixedSteps(3), method="implicit_euler").ys[-1].sum()

    with pytest.warns(RuntimeWarning, match="Newton's method did not find the end of a step: take smaller"):  # noqa: PT031
        value, gradient = jax.jit(jax.value_and_grad(end))(jnp.ones(2))
        jax.effects_barrier()
    assert np.isnan(value)
    assert np.isnan(gradient).all()


def test_a_small_correction_where_the_function_is_steep_is_not_the_last(x64):
    """The derivative of z + sqrt(z) is infinite at zero, so that the first corrections are small far from the root."""
    found = root(lambda z: (z[0] + jnp.sqrt(jnp.abs(z[0])) - 1,), (jnp.asarray([1e-24]),))
    np.testing.assert_allclose(found[0], ((5**0.5 - 1) / 2) ** 2, rtol=1e-12)


def test_what_implicit_methods_refuse():
    def call(y0, **choices):
        return sdeint_ito(lambda y, t, a: -y, None, y0, ENDS, None, method="trapezoidal", **choices)

    with pytest.raises(ValueError, match=r"10001 x 10001; it takes states of up to 10000 entries.*jax\.vmap"):
        call({"a": jnp.ones(10_000), "b": jnp.ones(1)})
    with pytest.raises(ValueError, match=r"'trapezoidal' is for stiff equations, .*adjoint='stochastic'"):
        call(jnp.ones(2), adjoint="reversible")
    with pytest.raises(ValueError, match="no reversible form"):
        sdeint_ito(lambda y, t, a: -y, None, jnp.ones(2), ENDS, None, method="coupled_implicit_euler")


def test_states_of_half_precision_and_without_entries():
    for dtype, size in ((jnp.bfloat16, 2), (jnp.float32, 0)):
        ys = sdeint_ito(lambda y, t, a: 1 - y**3, None, jnp.zeros(size, dtype), ENDS, None, method="implicit_euler")
        assert ys.dtype == dtype
        np.testing.assert_allclose(ys[-1].astype(float), np.full(size, 0.82), atol=0.03)
