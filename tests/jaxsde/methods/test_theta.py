"""What implicit methods are for: stability by closed form, and gradients of what Newton's method finds."""

import math
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from jaxsde import METHODS, SDE, AdaptiveSteps, FixedSteps, ReplayedPath, expectation, sdeint_ito, solve, theta_method
from jaxsde.brownian import Increment
from jaxsde.flat_sde import FlatSDE
from jaxsde.methods import named_methods, newton
from jaxsde.methods.newton import MANY, root

KEY = jax.random.key(0)
ENDS = np.asarray([0.0, 1.0])
BETWEEN = theta_method(0.7)
# Of the drift. Split step is implicit Euler with another noise.
THETA = {"implicit_euler": 1.0, "trapezoidal": 0.5, "split_step": 1.0, BETWEEN.name: 0.7}
CHOICE = METHODS | {BETWEEN.name: BETWEEN}
EXPLICIT = [name for name, m in METHODS.items() if not (m.implicit or m.langevin) and m.order("additive")]


def one_step(method, rate, diffusion, noise, h):
    """Of dX = rate X dt + diffusion(X) dW, as a function of X and dW."""
    like = jnp.zeros(1)
    sde = FlatSDE(lambda y, t, a: rate * y, lambda y, t, a: diffusion(y), "ito", noise, like, (like,))

    def step(x, w):
        here = jnp.zeros(()), jnp.asarray(h), Increment((jnp.reshape(w, 1),))
        return CHOICE[method].step(sde, (jnp.reshape(x, 1),), *here, None)[0][0]

    return step


@pytest.mark.parametrize("method", THETA)
def test_the_stationary_variance(x64, method):
    rate, size, h = 1e3, 0.1, 0.01
    step = one_step(method, -rate, lambda y: size * jnp.ones_like(y), "additive", h)
    a, b = jax.grad(step, (0, 1))(0.3, 0.2)
    expected = {
        "implicit_euler": size**2 * h / ((1 + rate * h) ** 2 - 1),
        "trapezoidal": size**2 / (2 * rate),
        "split_step": size**2 * h * (1 + rate * h) ** 2 / ((1 + rate * h) ** 2 - 1),
        BETWEEN.name: size**2 / (2 * rate + 0.4 * rate**2 * h),
    }
    np.testing.assert_allclose(b**2 * h / (1 - a**2), expected[method], rtol=1e-12)


@pytest.mark.parametrize("method", THETA)
def test_mean_square_stability(x64, method):
    """The equation's decays, and so do these, at a step with which that of Euler and Maruyama grows."""
    rate, size, h, theta = -3.0, 1.5, 0.7, THETA[method]
    assert 2 * rate + size**2 < 0 < (1 + rate * h) ** 2 + size**2 * h - 1
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    step = one_step(method, rate, lambda y: size * y, "diagonal", h)
    squares = jax.vmap(lambda w: step(1.0, w) ** 2)(jnp.asarray(nodes * h**0.5))
    expected = ((1 + (1 - theta) * rate * h) ** 2 + size**2 * h) / (1 - theta * rate * h) ** 2
    np.testing.assert_allclose(squares @ weights / weights.sum(), expected, rtol=1e-12)
    assert expected < 1


@pytest.mark.parametrize("method", [*THETA, *EXPLICIT])
def test_a_fast_relaxation_is_followed_with_long_steps(method):
    """In single precision, with h L of 10 and of 10,000, with which every explicit method explodes."""
    ts = np.linspace(0, 1, 101)

    def distance(rate):
        ys = sdeint_ito(
            lambda y, t, a: -rate * (y - jnp.cos(t)), lambda y, t, a: 0.1 * jnp.ones_like(y), jnp.ones(2), ts, KEY,
            None, CHOICE[method], steps=100, noise="additive",
        )  # fmt: skip
        return jnp.abs(ys - jnp.cos(jnp.asarray(ts, jnp.float32))[:, None]).max()

    found = jax.jit(jax.vmap(distance))(jnp.asarray([1e3, 1e6]))
    if method in THETA:
        assert (found < 0.05).all()
    else:
        assert not (found < 1e6).any()


@pytest.mark.parametrize("method", ["split_step", "euler_maruyama"])
def test_a_drift_that_grows_faster_than_linearly(method):
    """dX = (X - X^3) dt + X / 2 dW comes from 20 to its stationary law, of which X^2 is of a gamma law of mean 7/8."""

    def end(key):
        sde = SDE(lambda y, t, a: y - y**3, lambda y, t, a: 0.5 * y)
        return solve(sde, jnp.float32(20), [0.0, 6.0], key, steps=FixedSteps(dt=1 / 64), method=method).ys[-1]

    found = np.asarray(jax.jit(jax.vmap(end))(jax.random.split(KEY, 4000)), float)
    if method == "euler_maruyama":
        assert not np.isfinite(found).any()
    else:
        squares = found**2
        assert abs(squares.mean() - 7 / 8) < 4 * squares.std() / len(squares) ** 0.5 + 0.01
        assert squares.max() < 8


def test_crank_nicolson_is_the_trapezoidal_rule():
    assert named_methods("diagonal")["crank_nicolson"] is METHODS["trapezoidal"] is theta_method(0.5)
    assert theta_method(1.0) is METHODS["implicit_euler"]
    assert theta_method(np.float64(0.75)) is theta_method(0.75)


@pytest.mark.parametrize(
    ("theta", "says"),
    [
        (0.4, r"theta is 0.4; below 1/2 steps of a drift .* stable up to 2 / \(\(1 - 2 theta\) L\) alone.*explicit"),
        (1.2, "theta is 1.2; it is from 1/2 to 1"),
        (float("nan"), "theta is nan; it is from 1/2 to 1"),
        ("0.7", "theta is '0.7'; it is one real number"),
        (0.7 + 0j, "it is one real number from 1/2 to 1"),
        (np.ones(2), "it is one real number from 1/2 to 1"),
    ],
)
def test_a_theta_without_use_is_refused(theta, says, unchecked):
    with pytest.raises((TypeError, ValueError), match=says):
        theta_method(theta)


def test_a_method_is_a_choice_wherever_a_name_is(unchecked):
    with pytest.raises(TypeError, match="theta is traced, and which method it is has to be known"):
        jax.jit(theta_method)(0.7)
    sde, long = SDE(lambda y, t, a: -(y**3), lambda y, t, a: 0.1 * jnp.ones_like(y), "stratonovich"), [0.0, 1.0]
    with pytest.raises(ValueError, match=r"method 'theta_method\(0.7\)' is not offered for an SDE of type 'strat"):
        solve(sde, jnp.ones(1), long, KEY, method=BETWEEN)
    with pytest.raises(ValueError, match=r"'theta_method\(0.7\)' is for stiff equations, .*no reversible form"):
        solve(SDE(sde.drift), jnp.ones(1), long, method=BETWEEN, adjoint="reversible")
    # A mean that is exact: of the affine drift -2 y with four steps of theta = .7.
    choices: dict[str, Any] = {"of": lambda ys: ys[-1], "tolerance": 0.02, "steps": FixedSteps(4), "method": BETWEEN}
    ou = SDE(lambda y, t, a: -2 * y, lambda y, t, a: 0.3 * jnp.ones_like(y), noise="additive")
    assert abs(float(expectation(ou, jnp.ones(()), long, KEY, **choices).mean) - math.exp(-2)) < 0.06


def test_between_the_two_long_steps_are_damped(x64):
    """By (1 - theta) / theta each, where the trapezoidal rule rings and implicit Euler forgets at once."""

    def after(theta):
        return solve(SDE(lambda y, t, a: -1e9 * y), jnp.ones(()), np.linspace(0, 1, 5), steps=FixedSteps(4),
                     method=theta_method(theta)).ys  # fmt: skip

    for theta in (0.55, 0.7, 0.9):
        np.testing.assert_allclose(after(theta), ((theta - 1) / theta) ** np.arange(5), rtol=1e-6)


def double_well(y, t, k):
    """Stiff, and its parts depend on each other."""
    return {"a": -k * (y["a"] ** 3 - y["a"]) - 5.0 * (y["a"] - y["b"].sum()), "b": jnp.cos(t) - k * y["b"]}


@pytest.mark.parametrize("method", THETA)
def test_gradients_are_those_of_the_root(x64, method):
    """Against backpropagation through Newton's iterations; of one method, the curvature too, finite differences."""
    start, n, theta = {"a": jnp.asarray([2.0, -0.3]), "b": jnp.ones((1, 1))}, 4, THETA[method]
    noise = jax.random.normal(KEY, (n, 2)) / n**0.5

    def solved(k, adjoint):
        ys = sdeint_ito(
            double_well, lambda y, t, k: {"a": 0.3 * y["a"] * jnp.cos(k), "b": None}, start, ENDS, None, k,
            CHOICE[method], steps=n, brownian=ReplayedPath({"a": noise, "b": None}), adjoint=adjoint,
        )  # fmt: skip
        return jnp.sum(jnp.sin(ys["a"][-1]))

    def by_iterations(k):
        def f(z, t):
            moved = double_well({"a": z[:2], "b": z[2:].reshape(1, 1)}, t, k)
            return jnp.append(moved["a"], moved["b"])

        def noisy(y, w):
            return y.at[:2].add(0.3 * y[:2] * jnp.cos(k) * w)

        def step(y, here):
            t, w = here
            moved = y if method == "split_step" else noisy(y, w)
            known = moved + (1 - theta) / n * f(y, t)

            def iteration(z, _):
                equation = lambda z: z - known - theta / n * f(z, t + 1 / n)  # noqa: E731
                return z - jnp.linalg.solve(jax.jacfwd(equation)(z), equation(z)), None

            z = jax.lax.scan(iteration, moved, None, 10)[0]
            return noisy(z, w) if method == "split_step" else z, None

        ts = jnp.arange(n, dtype=float) / n
        return jnp.sum(jnp.sin(jax.lax.scan(step, jnp.asarray([2.0, -0.3, 1.0]), (ts, noise))[0][:2]))

    value, exact = jax.jit(jax.value_and_grad(by_iterations))(5.0)
    for adjoint in ("backprop", "stochastic")[: 1 + (method == "trapezoidal")]:
        found = jax.jit(jax.value_and_grad(lambda k, adjoint=adjoint: solved(k, adjoint)))
        np.testing.assert_allclose(found(5.0), (value, exact), rtol=1e-9)
    if method == "trapezoidal":
        (above, upper), (below, lower) = (found(5.0 + e) for e in (1e-4, -1e-4))
        np.testing.assert_allclose((above - below) / 2e-4, exact, rtol=1e-6)
        curvature = jax.jit(jax.hessian(lambda k: solved(k, "backprop")))(5.0)
        np.testing.assert_allclose(curvature, (upper - lower) / 2e-4, rtol=1e-6)


@pytest.mark.parametrize("method", THETA)
def test_the_order_without_noise(x64, method):
    def end(steps):
        return sdeint_ito(
            lambda y, t, a: jnp.cos(t) - y**3, None, jnp.ones(1), ENDS, None, None, CHOICE[method], steps=steps
        )

    sizes = np.asarray([8, 16, 32])
    errors = [float(jnp.abs(end(int(n))[-1] - end(2048)[-1])[0]) for n in sizes]
    order = -np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert abs(order - (2 if THETA[method] == 0.5 else 1)) < 0.1, errors


def test_a_step_without_an_end_is_nan_with_a_warning():
    """z = y + h (1 + 100 max(z, 0)) has no root for h = 1/3, and no derivative at NaN."""

    def end(y0):
        drift = lambda y, t, a: 1 + 100 * jax.nn.relu(y)  # noqa: E731
        return solve(SDE(drift), y0, ENDS, steps=FixedSteps(3), method="implicit_euler").ys[-1].sum()

    with pytest.warns(RuntimeWarning, match="Newton's method did not find the end of a step: take smaller"):  # noqa: PT031
        value, gradient = jax.jit(jax.value_and_grad(end))(jnp.ones(2))
        jax.effects_barrier()
    assert np.isnan(value)
    assert np.isnan(gradient).all()


@pytest.mark.parametrize("entries", [1, MANY])
def test_no_step_ends_on_another_branch(entries):
    """y' = a (y - b y^3) for h = 0.1: with a = 100 Newton goes to zero, between the wells, or changes the sign.

    Beside entries that decay, of which the matrix is kept from correction to correction.
    """

    def end(a, b):
        a, b = jnp.ones(entries).at[0].set(a), jnp.ones(entries).at[0].set(b)
        return root(lambda z: (z[0] - 0.3 - 0.1 * a * (z[0] - b * z[0] ** 3),), (jnp.full(entries, 0.3),))[0]

    rates, cubes = jnp.asarray([9.0, 9.0, 100.0, 20.0]), jnp.asarray([1.0, 0.0, 1.0, 0.0])
    found = np.asarray(jax.jit(jax.vmap(end))(rates, cubes))
    wells = [scipy.optimize.brentq(lambda z, a=a: (1 - a) * z + a * z**3 - 0.3, 0, 1) for a in (0.9, 0.1)]
    np.testing.assert_allclose(found[:2, 0], [wells[0], 3], 1e-5)
    np.testing.assert_allclose(found[:2, 1:], np.full((2, entries - 1), wells[1]), 1e-5)
    assert np.isnan(found[2:]).all()


def test_a_matrix_is_kept_while_corrections_fall_fast(x64, monkeypatch):
    """On 30 points of a rod with y - y^3 and diffusion one is enough for the root to rounding; beside an exponential
    flank it takes more.
    """
    made: list[object] = []
    of = newton._Factorised.of

    def counted(J):
        jax.debug.callback(made.append, 0)
        return of(J)

    monkeypatch.setattr(newton._Factorised, "of", counted)
    start = np.sin(2 * np.pi * np.arange(30) / 30)

    def equation(z, steep, roll, exp):
        return z - start - 0.01 * (1e3 * (roll(z, 1) - 2 * z + roll(z, -1)) + z - z**3) + steep * (exp(5 * z) - 1)

    def found(steep):
        return root(lambda z: (equation(z[0], steep, jnp.roll, jnp.exp),), (jnp.asarray(start),))[0]

    for steep, least, most in ((0.0, 1, 1), (0.1, 2, 15)):
        made.clear()
        left = equation(np.asarray(found(steep)), steep, np.roll, np.exp)
        np.testing.assert_allclose(left, np.zeros(30), atol=1e-11)
        jax.effects_barrier()
        assert least <= len(made) <= most


def test_newton_goes_on_where_corrections_stay_alike():
    """Down an exponential, beside a large entry, in single precision; and towards a root that is nearly threefold."""
    h = 2.5e-4

    def diode(V):
        return 1e6 * ((1.0 - V) - 1e-12 * np.expm1(V / 0.026))

    def voltage(other):
        y = jnp.stack([other, jnp.ones(())])

        def residual(z):
            V = z[0][1]
            return (z[0] - y - h * jnp.stack([0 * V, 1e6 * ((1.0 - V) - 1e-12 * jnp.expm1(V / 0.026))]),)

        return root(residual, (y,))[0][1]

    expected = scipy.optimize.brentq(lambda V: V - 1.0 - h * diode(V), 0.0, 1.0, xtol=1e-14)
    found = jax.jit(jax.vmap(voltage))(jnp.asarray([1.0, 300.0, 1e6]))
    np.testing.assert_allclose(found, expected, rtol=1e-6)

    def end(y):
        return root(lambda z: (z[0] - y + 5e4 * (z[0] - 3.4501349925) ** 3,), (y,))[0][0]

    value, slope = jax.jit(jax.value_and_grad(lambda y: end(y[None])))(jnp.asarray(3.38))
    u = scipy.optimize.brentq(lambda u: u + 3.4501349925 - 3.38 + 5e4 * u**3, -1.0, 0.0, xtol=1e-14)
    np.testing.assert_allclose(value, 3.4501349925 + u, rtol=1e-6)
    np.testing.assert_allclose(slope, 1 / (1 + 1.5e5 * u**2), rtol=1e-4)


def test_rounding_is_an_end():
    """Of a drift whose terms cancel, at a state near zero, and of one that mixes what is slow with what is fast."""

    def cancelling(y):
        return root(lambda z: (z[0] - y + 1e3 * (jnp.exp(z[0] + 1) - jnp.exp(jnp.ones(()))),), (y,))[0]

    near = jnp.asarray([1e-2, 1e-5, 1e-8, 0.0])[:, None]
    found = jax.jit(jax.vmap(cancelling))(near)
    np.testing.assert_allclose(found, near / (1 + 1e3 * math.e), atol=1e-6)
    basis, fast = np.linalg.qr(np.random.default_rng(0).normal(size=(20, 20)))[0], np.geomspace(1, 1e4, 20)
    matrix = jnp.asarray((basis * fast) @ basis.T, jnp.float32)
    mixed = jax.jit(lambda y: root(lambda z: (z[0] - y + matrix @ z[0],), (y,))[0])(jnp.ones(20))
    np.testing.assert_allclose(mixed, (basis / (1 + fast)) @ basis.T @ np.ones(20), atol=2e-3)


def test_steps_that_ran_out_are_no_failure_of_newton():
    steps = AdaptiveSteps(1e-6, 1e-8, max_steps=20)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        solution = solve(SDE(lambda y, t, a: -y), jnp.ones(1), [0.0, 0.5, 1.0], steps=steps, method="implicit_euler")
        jax.effects_barrier()
    assert np.isnan(solution.ys[-1]).all()
    assert ["max_steps=20" in str(w.message) for w in said] == [True], said


def test_a_small_correction_where_the_function_is_steep_is_not_the_last(x64):
    """The derivative of z + sqrt(z) is infinite at zero, so that the first corrections are small far from the root."""
    found = root(lambda z: (z[0] + jnp.sqrt(jnp.abs(jnp.asarray(z[0]))) - 1,), (jnp.asarray([1e-24]),))
    np.testing.assert_allclose(jnp.asarray(found[0]), ((5**0.5 - 1) / 2) ** 2, rtol=1e-12)


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
