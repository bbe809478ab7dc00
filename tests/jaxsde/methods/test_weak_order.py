"""Weak order by regression, without random numbers: moments of linear equations are known, and so are those of a solve.

A step of a linear equation is a random matrix M times what the step carries, with a row for the constant one where the
equation is affine. So a solve of n steps has the first moment E[M]^n c and the second E[M x M]^n (c x c), where the
expectations are integrals over normals, by Gauss and Hermite: exact for polynomials of degree 9 of increments and 5 of
areas, which those of all but coupled forms are. The moments of the equation itself solve linear equations whose
matrices are put together here from its coefficients.

Where equations are not linear and depend on time, a step is held against its expansion by the generator.
"""

import dataclasses
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from jax.flatten_util import ravel_pytree

from jaxsde import METHODS
from jaxsde.brownian import Increment
from jaxsde.flat_sde import FlatSDE
from jaxsde.methods.coupled import SEGMENTS, coupled
from jaxsde.types import Noise

OFFERED = [
    (method.name, sde_type, noise)
    for method in METHODS.values()
    if not method.langevin
    for noise in method.strong_order
    # Whose step with commutative noise is that with general noise.
    if noise != "commutative" or "general" not in method.strong_order
    # Implicit methods, which compile for longer, do not ask for the type.
    for sde_type in (("ito", "stratonovich") if noise == "additive" and not method.implicit else method.sde_types)
]
RATE = np.asarray([[-0.8, 0.3], [0.1, 0.5]])
CONSTANT = np.asarray([0.4, -0.2])
COLUMNS = {
    "diagonal": np.asarray([np.diag([0.5, 0.0]), np.diag([0.0, 0.4])]),
    "scalar": np.asarray([[[0.4, 0.2], [-0.3, 0.5]]]),
    "commutative": np.asarray([[[0.3, 0.5], [0.0, 0.3]], [[-0.2, 0.4], [0.0, -0.2]]]),
    "general": np.asarray([[[0.0, 0.6], [0.0, 0.2]], [[0.1, 0.0], [0.6, 0.0]]]),
    "additive": np.zeros((2, 2, 2)),
}
# No two of which commute: what takes the place of their iterated integrals must not be correlated.
THREE = np.asarray([[[0.0, 0.6], [0.0, 0.2]], [[0.1, 0.0], [0.6, 0.0]], [[0.3, 0.2], [-0.5, 0.1]]])
ADDITIVE = np.asarray([0.7, 0.5])
Y0 = np.asarray([1.0, -0.5])


def equation(noise, sde_type, columns=None):
    """Drift and diffusion as the methods see them."""
    columns = COLUMNS[noise] if columns is None else columns

    def diffusion(y, t, args):
        each = jnp.stack([column @ y for column in columns], -1)
        if noise == "additive":
            return jnp.asarray(ADDITIVE)
        return {"diagonal": each.sum(-1), "scalar": each[:, 0]}.get(noise, each)

    y = jnp.asarray(Y0)
    like = (jnp.zeros(() if noise == "scalar" else len(columns)),)
    return FlatSDE(lambda y, t, args: RATE @ y + CONSTANT, diffusion, sde_type, noise, y, like)


def kronecker_square(matrix):
    return np.kron(matrix, matrix)


def moments_of_the_equation(noise, sde_type, columns=None):
    """At time 1, of (y, 1): the first and the second."""

    def with_one(matrix, constant):
        return np.block([[matrix, constant[:, None]], [np.zeros((1, 3))]])

    rate, columns = with_one(RATE, CONSTANT), COLUMNS[noise] if columns is None else columns
    constants = np.diag(ADDITIVE) if noise == "additive" else np.zeros((len(columns), 2))
    columns = [with_one(*pair) for pair in zip(columns, constants, strict=True)]
    if sde_type == "stratonovich":
        rate = rate + sum(column @ column for column in columns) / 2
    start, one = np.append(Y0, 1.0), np.eye(3)
    square = np.kron(rate, one) + np.kron(one, rate) + sum(map(kronecker_square, columns))
    return scipy.linalg.expm(rate) @ start, scipy.linalg.expm(square) @ np.kron(start, start)


def area_of(dW, H, rest):
    """Davie's, of two Brownian motions."""
    straight = jnp.outer(H, dW)
    return straight - straight.T + rest * jnp.asarray([[0.0, 1.0], [-1.0, 0.0]])


def quadrature(counts):
    """Points of independent standard normals, (points, normals), and their chances; `counts`: nodes for each."""
    rules = [np.polynomial.hermite_e.hermegauss(count) for count in counts]
    points = np.asarray(list(itertools.product(*(nodes for nodes, _ in rules))))
    chances = np.asarray([np.prod(w) for w in itertools.product(*(weights / weights.sum() for _, weights in rules))])
    return points, chances


def increment_of(method, shape, normals, h):
    """Of a step of length h: dW, and H and A where the method asks for them, of so many normals as they take."""
    m = math.prod(shape)
    dW = jnp.reshape(normals[:m], shape) * h**0.5
    H = jnp.reshape(normals[m : 2 * m], shape) * (h / 12) ** 0.5 if method.space_time or method.area else None
    A = area_of(dW, H, normals[-1] * h / 12**0.5) if method.area else None
    return Increment((dW,), None if H is None else (H,), A)


def moments_of_a_solve(method, sde, sizes):
    """For each number of steps, the first and the second of (y, 1)."""
    shape = sde.noise_like[0].shape
    m, rest = math.prod(shape), method.space_time or method.area
    points, chances = quadrature([5] * m + [5 if method.inverse else 3] * (m * rest + method.area))
    start, unravel = ravel_pytree(method.init(sde, (jnp.asarray(Y0),), jnp.zeros(()), None))
    nothing = jnp.zeros_like(start)

    def matrix(normals, h):
        """Of (carry, 1)."""

        def step(carry):
            increment = increment_of(method, shape, normals, h)
            return ravel_pytree(method.step(sde, unravel(carry), jnp.zeros(()), h, increment, None))[0]

        M = jax.jacfwd(step)(nothing)
        return jnp.block([[M, step(nothing)[:, None]], [jnp.zeros((1, start.size)), jnp.ones((1, 1))]])

    # One program for all sizes.
    matrices = jax.jit(jax.vmap(jax.vmap(matrix, (0, None)), (None, 0)))(jnp.asarray(points), 1 / sizes)
    carry = np.append(start, 1.0)
    size, power = len(carry), np.linalg.matrix_power
    # y comes first in every carry.
    keep = [0, 1, size - 1]
    for n, each in zip(sizes, np.asarray(matrices), strict=True):
        first = np.einsum("p,pij->ij", chances, each)
        second = np.einsum("p,pij,pkl->ikjl", chances, each, each, optimize=True).reshape(2 * [size**2])
        pairs = (power(second, n) @ np.kron(carry, carry)).reshape(size, size)
        yield (power(first, n) @ carry)[keep], pairs[np.ix_(keep, keep)].ravel()


def measured(method, sde_type, noise, columns=None):
    sizes, exact = np.asarray([16, 32, 64]), moments_of_the_equation(noise, sde_type, columns)
    found = moments_of_a_solve(method, equation(noise, sde_type, columns), sizes)
    errors = [sum(np.abs(a - b).max() for a, b in zip(moments, exact, strict=True)) for moments in found]
    return -np.polyfit(np.log(sizes), np.log(errors), 1)[0], errors


# Better there than it is elsewhere.
ON_LINEAR = {"sriw1": 2.0}


@pytest.mark.parametrize(("name", "sde_type", "noise"), OFFERED)
def test_order(x64, name, sde_type, noise):
    method = METHODS[name]
    order, errors = measured(method, sde_type, noise)
    expected = ON_LINEAR.get(name, method.weak_order)
    assert order > expected - 0.15, (order, errors)
    # With additive noise some methods are better on linear equations.
    if noise != "additive" or set(method.strong_order) == {"additive"}:
        assert order < expected + 0.15, (order, errors)


@pytest.mark.parametrize(("noise", "calls"), [("diagonal", 3), ("scalar", 3), ("general", 1 + 4 * 5)])
def test_how_often_dri1_evaluates_g(noise, calls):
    """As often with diagonal and scalar noise, however many Brownian motions there are."""
    counted: list[object] = []
    y = jnp.ones(5)

    def g(y, t, args):
        jax.debug.callback(counted.append, y)
        return jnp.diag(jnp.sin(y)) if noise == "general" else jnp.sin(y)

    normal = jnp.full(() if noise == "scalar" else 5, 0.1)
    sde = FlatSDE(lambda y, t, a: -y, g, "ito", noise, y, (normal,))
    increment = Increment((normal,), (normal,))
    jax.jit(lambda y: METHODS["dri1"].step(sde, (y,), jnp.zeros(()), jnp.asarray(0.1), increment, None))(y)
    jax.effects_barrier()
    assert len(counted) == calls


@pytest.mark.parametrize("name", ["platen_weak2", "dri1"])
def test_order_of_three_brownian_motions(x64, name):
    order, errors = measured(METHODS[name], "ito", "general", THREE)
    assert abs(order - 2) < 0.15, (order, errors)


def within_a_segment(form):
    """A coupled form whose carry is its two solutions, never made one again: a linear map on linear equations."""

    def step(sde, carry, *where):
        begun = form.init(sde, carry[0], where[0], where[-1])
        return form.step(sde, begun._replace(z=carry[1], step=begun.step + 1), *where)[:2]

    return dataclasses.replace(form, init=lambda sde, y, t, args: (y, y), step=step, state=lambda carry: carry[0])


@pytest.mark.parametrize(("name", "noise"), [("sriw1", "diagonal"), ("sra1", "additive"), ("platen_weak2", "general")])
def test_order_of_the_coupled_form(x64, name, noise):
    form = coupled(METHODS[name], 64 * SEGMENTS, noise == "additive", 1e-16)
    order, errors = measured(within_a_segment(form), "ito", noise)
    expected = form.weak_order if form.weak_order == 1 else ON_LINEAR.get(name, form.weak_order)
    assert abs(order - expected) < 0.25, (order, errors)


NONLINEAR = {
    "additive": lambda y, t: jnp.stack([0.4 + jnp.sin(2 * t), 0.5 * jnp.exp(-t)]),
    "diagonal": lambda y, t: jnp.cos(t) * jnp.stack([0.5 * jnp.cos(y[0]), jnp.sin(y[1]) - 0.6]),
    "general": lambda y, t: jnp.stack(
        [jnp.stack([jnp.sin(y[1] + t), 0.5 * y[0]]), jnp.stack([0.3 + 0 * t, jnp.cos(y[0] - 2 * t)])]
    ),
}


@pytest.mark.parametrize(
    ("name", "noise"),
    [
        ("sra1", "additive"), ("sosra", "additive"), ("sosri", "diagonal"), ("platen_weak2", "general"),
        ("dri1", "diagonal"), ("dri1", "general"),
    ],
)  # fmt: skip
def test_the_order_of_a_step_where_nothing_is_linear_and_all_depends_on_time(x64, name, noise):
    """E phi(X_h) = phi + h L phi + h^2 / 2 L L phi + O(h^3), where L is the generator of the equation with time.

    A method of a lower weak order has an error before that.
    """
    method, g = METHODS[name], NONLINEAR[noise]

    def f(y, t):
        return jnp.stack([jnp.sin(y[1] + t) - y[0] ** 2, jnp.cos(2 * t) * y[0]])

    def phi(y, t):
        return jnp.exp(0.5 * y[0]) * jnp.sin(y[1]) + y[0] * y[1] ** 2

    def generator(phi):
        def of(y, t):
            columns = g(y, t) if noise == "general" else jnp.diag(g(y, t))
            slope, curve = jax.grad(phi)(y, t), jax.hessian(phi)(y, t)
            return jax.grad(phi, 1)(y, t) + slope @ f(y, t) + jnp.trace(columns.T @ curve @ columns) / 2

        return of

    y, t = jnp.asarray(Y0), jnp.asarray(0.3)
    sde = FlatSDE(lambda y, t, a: f(y, t), lambda y, t, a: g(y, t), "ito", noise, y, (y,))
    points, chances = quadrature([9, 9, 5, 5])

    @jax.jit
    def errors(sizes):
        first, second = generator(phi), generator(generator(phi))

        def error(h):
            def end(normals):
                (end,) = method.step(sde, (y,), t, h, increment_of(method, (2,), normals, h), None)
                return phi(end, t + h)

            mean = chances @ jax.vmap(end)(jnp.asarray(points))
            return mean - phi(y, t) - h * first(y, t) - h**2 / 2 * second(y, t)

        return jax.vmap(error)(sizes)

    sizes = 2.0 ** -np.arange(4, 8)
    found = np.abs(errors(sizes))
    assert abs(np.polyfit(np.log(sizes), np.log(found), 1)[0] - method.weak_order - 1) < 0.25, found


@pytest.mark.parametrize("name", ["sriw1", "sosri"])
def test_a_step_to_which_g_is_not_linear_has_an_error_of_h_to_the_2_5(x64, name):
    """E X_h^2 of dX = (1 + sin(X) / 2) dW by three terms of its series: nothing of the order of h^2.5 is in it."""

    def g(y):
        return 1 + jnp.sin(y) / 2

    def generator(phi):
        return lambda y: g(y) ** 2 * jax.grad(jax.grad(phi))(y) / 2

    y, terms = jnp.asarray(0.4), [lambda y: y**2]
    for _ in range(3):
        terms.append(generator(terms[-1]))
    series = [float(term(y)) for term in terms]
    sde = FlatSDE(lambda y, t, a: 0 * y, lambda y, t, a: g(y), "ito", "diagonal", y, (y,))
    points, chances = quadrature([24, 6])

    @jax.jit
    @jax.vmap
    def mean_square(h):
        def end(normals):
            increment = increment_of(METHODS[name], (), normals, h)
            return METHODS[name].step(sde, (y,), jnp.zeros(()), h, increment, None)[0] ** 2

        return jnp.asarray(chances) @ jax.vmap(end)(jnp.asarray(points))

    sizes = 2.0 ** -np.arange(11, 15)
    errors = np.abs(mean_square(sizes) - sum(x * sizes**k / math.factorial(k) for k, x in enumerate(series)))
    assert abs(np.polyfit(np.log(sizes), np.log(errors), 1)[0] - 2.5) < 0.1, errors


OF_ITSELF = [
    (name, sde_type)
    for name, sde_type, noise in OFFERED
    # That carries another solution along.
    if noise == "diagonal" and name != "reversible_heun"
] + [("platen_weak2", "ito"), ("davie", "ito")]


@pytest.mark.parametrize(("name", "sde_type"), OF_ITSELF)
def test_order_where_all_moments_of_the_solution_count(x64, name, sde_type):
    """dX = (X / 2 + r) dt + r dW from 0 with r = sqrt(X^2 + 1) is sinh(t + W); E p(t + W) = t^3 - 3 t^2 + 2 t for
    p(z) = z^3 - 6 z^2 + 8 z.

    What p is worth a step before is an expectation over normals, by quadrature, of its interpolation in arsinh X.
    """
    method, end, degree, edge = METHODS[name], 1.5, 140, 11.0
    several = "general" in method.strong_order and "diagonal" not in method.strong_order

    def root(y):
        return jnp.sqrt(y**2 + 1)

    def f(y, t, args):
        return root(y) + (y / 2 if sde_type == "ito" else 0)

    y = jnp.zeros(1)
    noise: Noise = "general" if several else "diagonal"
    g = (lambda y, t, a: root(y)[:, None]) if several else lambda y, t, a: root(y)
    sde = FlatSDE(f, g, sde_type, noise, y, (y,))
    points, chances = quadrature([24, 8] if method.space_time else [24])
    z = edge * np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))
    sizes = 2 ** np.asarray([7, 9, 11])  # Finer ones would show the interpolation.

    @jax.jit
    def moved(x, normals, h):
        def step(x, normals, h):
            if method.area:  # Of one Brownian motion there are none.
                increment = Increment((normals * h**0.5,), None, jnp.zeros((1, 1)))
            else:
                increment = increment_of(method, (1,), normals, h)
            return method.step(sde, (x[None],), jnp.zeros(()), h, increment, None)[0][0]

        return jax.vmap(jax.vmap(jax.vmap(step, (None, 0, None)), (0, None, None)), (None, None, 0))(x, normals, h)

    vandermonde = np.polynomial.chebyshev.chebvander
    to_coefficients = np.linalg.inv(vandermonde(z / edge, degree))
    errors = []
    for n, ends in zip(sizes, np.asarray(moved(jnp.sinh(z), jnp.asarray(points), end / sizes)), strict=True):
        at = vandermonde(np.clip(np.arcsinh(ends) / edge, -1, 1), degree)
        one_step = np.einsum("q,zqc->zc", chances, at) @ to_coefficients
        worth = np.linalg.matrix_power(one_step, n) @ (z**3 - 6 * z**2 + 8 * z)
        errors.append(abs(vandermonde(np.zeros(1), degree) @ to_coefficients @ worth + 0.375)[0])
    order = -np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert abs(order - method.weak_order) < 0.25, (order, errors)
