"""Splitting methods of the Langevin equation: their laws by closed form, their gradients, and what is refused."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.linalg

from jaxsde import METHODS, SDE, AdaptiveSteps, FixedSteps, Langevin, ReplayedPath, solve
from jaxsde.brownian import Increment
from jaxsde.problem import check_langevin

KEY = jax.random.key(0)
ENDS = np.asarray([0.0, 1.0])
SPLITTING = [name for name, method in METHODS.items() if method.langevin]
TEMPERATURE = 0.7


@functools.cache
def affine(name):
    """One step of a harmonic oscillator, x1 = A x + B (dW, H), as a function of stiffness, friction and step."""
    method = METHODS[name]

    def matrices(k, c, h):
        nothing = jnp.zeros(1), jnp.zeros(1)
        sde = check_langevin(Langevin(lambda q, t, a: -k * q, c, TEMPERATURE), nothing, jnp.zeros(1), None)

        def step(x, w):
            increment = Increment((None, w[:1]), (None, w[1:]) if method.space_time else None)
            carry = method.init(sde, (x[:1], x[1:]), jnp.zeros(()), None)
            q, p = method.state(method.step(sde, carry, jnp.zeros(()), h, increment, None))
            return jnp.concatenate([jnp.asarray(q), jnp.asarray(p)])

        return jax.jacfwd(step, (0, 1))(jnp.zeros(2), jnp.zeros(2))

    return jax.jit(matrices)


def law_of_a_step(name, k, c, h):
    """A, and the covariance of the noise."""
    A, B = map(np.asarray, affine(name)(k, c, jnp.asarray(h)))
    return A, B @ np.diag([abs(h), abs(h) / 12]) @ B.T


def exact_law(k, c, h):
    """The same of the equation itself, by a matrix exponential (Van Loan, 1978); back in time the drift is reversed."""
    rate, noise = np.sign(h) * np.asarray([[0, 1], [-k, -c]]), np.diag([0, 2 * c * TEMPERATURE])
    pieces = int(np.ceil(abs(h)))
    both = scipy.linalg.expm(abs(h) / pieces * np.block([[-rate, noise], [np.zeros((2, 2)), rate.T]]))
    one = both[2:, 2:].T, both[2:, 2:].T @ both[:2, 2:]
    return functools.reduce(lambda a, b: (b[0] @ a[0], b[0] @ a[1] @ b[0].T + b[1]), [one] * pieces)


def stationary(name, k, c, h):
    return scipy.linalg.solve_discrete_lyapunov(*law_of_a_step(name, k, c, h))


@pytest.mark.parametrize("h", [0.1, 0.7, 1.35])
@pytest.mark.parametrize("c", [0.3, 20.0])
def test_baoab_samples_positions_of_an_oscillator_exactly(x64, c, h):
    """Stable are steps up to 2 / sqrt(k). The variance of momenta is off by k h^2 / 4."""
    k = 2.0
    expected = np.diag([TEMPERATURE / k, TEMPERATURE * (1 - k * h**2 / 4)])
    np.testing.assert_allclose(stationary("baoab", k, c, h), expected, rtol=1e-11, atol=1e-13)


def test_ubu_has_the_law_of_an_oscillator_to_order_two(x64):
    sizes = np.asarray([0.05, 0.1, 0.2])
    exact = np.diag([TEMPERATURE / 2, TEMPERATURE])
    errors = [np.abs(stationary("ubu", 2.0, 1.0, h) - exact).max() for h in sizes]
    assert abs(np.polyfit(np.log(sizes), np.log(errors), 1)[0] - 2) < 0.05, errors


@pytest.mark.parametrize("h", [1e-3, 0.5, 3.9, 4.1, 20.0, -0.5, -3.9, -4.1])
def test_ubu_is_exact_without_force(x64, h):
    """Also where a step is many times the time of friction, and back in time."""
    found, exact = law_of_a_step("ubu", 0.0, 2.0, h), exact_law(0.0, 2.0, h)
    for mine, theirs in zip(found, exact, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-8, atol=1e-12 * np.abs(theirs).max())


@pytest.mark.parametrize("name", SPLITTING)
def test_weak_order_two(x64, name):
    """Of an oscillator's first and second moments at time 1, from a point."""
    k, c, start = 4.0, 1.5, np.asarray([1.0, -0.5])
    A, Q = exact_law(k, c, 1.0)
    sizes, errors = np.asarray([8, 16, 32]), []
    for n in sizes:
        mean, covariance = start, np.zeros((2, 2))
        a, q = law_of_a_step(name, k, c, 1.0 / n)
        for _ in range(n):
            mean, covariance = a @ mean, a @ covariance @ a.T + q
        errors.append(np.abs(mean - A @ start).max() + np.abs(covariance - Q).max())
    assert abs(-np.polyfit(np.log(sizes), np.log(errors), 1)[0] - METHODS[name].weak_order) < 0.1, errors


def test_the_noise_of_ubu_in_the_middle(x64):
    """Its variance, and its covariance with dW, by quadrature."""
    c, h, seen = 3.0, 0.8, []

    def force(q, t, args):
        seen.append(q)
        return q

    nothing = jnp.zeros(1), jnp.zeros(1)
    sde = check_langevin(Langevin(force, c, TEMPERATURE), nothing, jnp.zeros(1), None)
    for w in np.eye(2):
        increment = Increment((None, jnp.asarray(w[:1])), (None, jnp.asarray(w[1:])))
        METHODS["ubu"].step(sde, nothing, jnp.zeros(()), jnp.asarray(h), increment, None)
    of_dW, of_H = (float(q[0]) for q in seen[-2:])
    weight = lambda s: np.sqrt(2 * c * TEMPERATURE) * (1 - np.exp(-c * (h / 2 - s))) / c  # noqa: E731
    np.testing.assert_allclose(of_dW * h, scipy.integrate.quad(weight, 0, h / 2)[0], rtol=1e-10)
    variance = scipy.integrate.quad(lambda s: weight(s) ** 2, 0, h / 2)[0]
    np.testing.assert_allclose(of_dW**2 * h + of_H**2 * h / 12, variance, rtol=1e-10)


def double_well(q, t, depth):
    return jax.tree.map(lambda q: -4 * depth * q * (q**2 - 1), q)


# Of E q^2 and E q^4 in a double well: their bias by the step h, divided by h^2, is less.
BIAS = {"baoab": (0.02, 0.05), "ubu": (0.22, 0.7)}


@pytest.mark.parametrize("name", SPLITTING)
def test_moments_of_a_double_well(name):
    """exp(-(q^2 - 1)^2 / T) with T = 0.5, of 64,000 chains, by quadrature; the error bar of E q^2 is 0.002, and what
    the step of h may add to four of them 0.002 at most.
    """
    equation, h = Langevin(double_well, 1.0, 0.5), 0.1

    def end(key):
        start = jnp.sign(first_well(key))
        choices: dict[str, Any] = {"method": name, "steps": FixedSteps(dt=h)}
        return solve(equation, (start, jnp.zeros(256)), [0.0, 12.0], key, jnp.ones(()), **choices).ys[0][-1]

    q = np.asarray(jax.jit(jax.vmap(end))(jax.random.split(KEY, 250)), float)
    density = lambda q: np.exp(-((q**2 - 1) ** 2) / 0.5)  # noqa: E731
    total = scipy.integrate.quad(density, -4, 4)[0]
    for power, bias in zip((2, 4), BIAS[name], strict=True):
        moment = scipy.integrate.quad(lambda q, n=power: q**n * density(q), -4, 4)[0] / total
        bar = (q**power).std() / q.size**0.5
        assert abs((q**power).mean() - moment) < 4 * bar + bias * h**2, power
    # As many on either side, within the bar: both wells are reached.
    assert abs(np.sign(q).mean()) < 4 / q.size**0.5
    assert (np.sign(q) != np.sign(np.asarray(jax.vmap(first_well)(jax.random.split(KEY, 250))))).mean() > 0.2


def first_well(key):
    return jax.random.normal(jax.random.fold_in(key, 1), (256,))


@pytest.mark.parametrize("name", SPLITTING)
def test_gradients(x64, name):
    """By all that there is, back in time, where friction makes steps grow."""
    parameters, start, ts = jnp.asarray([1.3, 0.5, 0.8]), jnp.asarray([0.5, -1.2]), np.asarray([1.0, 0.5, 0.0])
    dW, H = jax.random.normal(KEY, (2, 6, 2))
    path = ReplayedPath((None, dW / 6**0.5), (None, H / 72**0.5))

    def loss(parameters, q, adjoint):
        friction, temperature, depth = parameters
        ys = solve(
            Langevin(double_well, friction, temperature), (q, jnp.ones_like(q)), ts, None, depth, method=name,
            steps=FixedSteps(6), adjoint=adjoint, brownian=path,
        ).ys  # fmt: skip
        return jnp.sum(jnp.sin(ys[0]) + jnp.cos(ys[1]))

    both = jax.jit(jax.value_and_grad(loss, (0, 1)), static_argnums=2)
    exact = both(parameters, start, "backprop")[1]
    for adjoint in ("stochastic", "reversible"):
        for mine, theirs in zip(both(parameters, start, adjoint)[1], exact, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-10)
    values = [both(parameters + e, start, "backprop")[0] for e in (*(1e-5 * np.eye(3)), *(-1e-5 * np.eye(3)))]
    np.testing.assert_allclose(np.subtract(values[:3], values[3:]) / 2e-5, exact[0], rtol=1e-6)


def test_positions_and_momenta_are_pytrees_alike():
    def force(q, t, args):
        return jax.tree.map(lambda x: -x, q)

    parts = {"a": jnp.asarray([0.5, -1.2]), "b": jnp.ones((1, 1))}
    path = {"a": 0.1 * np.ones((4, 2), np.float32), "b": 0.2 * np.ones((4, 1, 1), np.float32)}
    for name in SPLITTING:
        found = [
            solve(
                Langevin(force, 1.0, 0.5), (q, q), ENDS, method=name, steps=FixedSteps(4),
                brownian=ReplayedPath((None, w), (None, w)),
            ).ys
            for q, w in ((parts, path), (parts["b"], path["b"]))
        ]  # fmt: skip
        np.testing.assert_allclose(found[0][0]["b"], found[1][0], rtol=1e-6)
        np.testing.assert_allclose(found[0][1]["b"], found[1][1], rtol=1e-6)


def test_the_pair_may_be_a_list_or_a_named_tuple():
    class Pair(NamedTuple):
        q: jax.Array
        p: jax.Array

    equation = Langevin(lambda q, t, a: -q, 1.0, 0.5)
    for y0 in ([jnp.ones(2), jnp.zeros(2)], Pair(jnp.ones(2), jnp.zeros(2))):
        sde, t = check_langevin(equation, y0, jnp.zeros(1), None), jnp.zeros(())
        assert equation.sde.diffusion is not None
        drift, diffusion = (g(y0, t, None) for g in (equation.sde.drift, equation.sde.diffusion))
        assert type(drift) is type(diffusion) is type(y0)
        np.testing.assert_array_equal(sde.drift(tuple(y0), t, None), [[0, 0], [-1, -1]])
        np.testing.assert_array_equal(diffusion[1], [1, 1])
        assert diffusion[0] is None


def test_what_it_costs_and_what_it_takes_unless_told():
    y0 = jnp.ones(2), jnp.zeros(2)
    equation = Langevin(double_well, 1.0, 0.5)
    usual = solve(equation, y0, ENDS, KEY, 1.0, steps=FixedSteps(8))
    assert usual.stats.evaluations == 8
    np.testing.assert_array_equal(
        usual.ys[0], solve(equation, y0, ENDS, KEY, 1.0, steps=FixedSteps(8), method="baoab").ys[0]
    )
    # As an SDE among others.
    fine = solve(equation, y0, ENDS, KEY, 1.0, steps=AdaptiveSteps(1e-2, 1e-2), method="heun")
    assert np.isfinite(fine.ys[0]).all()
    np.testing.assert_array_equal(
        solve(equation, y0, ENDS, KEY, 1.0, method="heun").ys[1],
        solve(equation.sde, y0, ENDS, KEY, 1.0, method="heun").ys[1],
    )


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"friction": 0.0}, ValueError, "friction is 0.0; it is a positive"),
        ({"temperature": np.inf}, ValueError, "temperature is inf"),
        ({"friction": np.ones(2)}, TypeError, r"friction is array.*one real number"),
        ({"friction": True}, TypeError, "friction is True; it is one real number"),
        ({"temperature": np.complex64(1)}, TypeError, "one real number"),
        ({"temperature": "warm"}, TypeError, "temperature is 'warm'"),
        ({"y0": jnp.ones(2)}, ValueError, r"the pair \(q, p\)"),
        ({"y0": (jnp.ones(2), jnp.ones(3))}, ValueError, "position of .* and a momentum of .* alike"),
        ({"force": lambda q, t, a: q[:1]}, ValueError, r"the force gives shape \(1,\); .* \(2,\)"),
        (
            {"y0": 2 * ({"a": jnp.ones(2), "b": jnp.ones(1)},), "force": lambda q, t, a: {"a": q["a"], "b": None}},
            ValueError,
            r"the force gives shape .*'b': None",
        ),
        ({"method": "coupled_baoab"}, ValueError, "take 'baoab' itself, which has an inverse"),
        ({"method": "ubu", "sde": SDE(lambda y, t, a: y, noise="additive")}, ValueError, "splits a Langevin .*pass"),
        ({"method": "baoab", "sde": SDE(lambda y, t, a: y)}, ValueError, "'baoab' is not offered .*jaxsde.Langevin"),
        ({"brownian": ReplayedPath((None, np.zeros((1, 2), np.float32)))}, ValueError, "space-time areas"),
    ],
)
def test_refusals(unchecked, change, error, says):
    given = {"force": double_well, "friction": 1.0, "temperature": 1.0, "y0": (jnp.ones(2), jnp.ones(2))} | change
    others = {"method": "ubu", "steps": FixedSteps(1)} | {
        k: v for k, v in change.items() if k in ("method", "brownian")
    }

    with pytest.raises(error, match=says):
        solve(
            given.get("sde") or Langevin(*(given[k] for k in ("force", "friction", "temperature"))),
            given["y0"], ENDS, KEY, 1.0, **others,
        )  # fmt: skip
