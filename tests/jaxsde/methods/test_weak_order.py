"""Weak order by regression, without random numbers: moments of linear equations are known, and so are those of a solve.

A step of a linear equation is a random matrix M times what the step carries, with a row for the constant one where the
equation is affine. So a solve of n steps has the first moment E[M]^n c and the second E[M x M]^n (c x c), where the
expectations are integrals of polynomials of normals, exact by Gauss and Hermite. The moments of the equation itself
solve linear equations whose matrices are put together here from its coefficients.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from jax.flatten_util import ravel_pytree

from jaxsde import METHODS, ReplayedPath, sdeint_ito_fixed_grid
from jaxsde.brownian import Increment
from jaxsde.flat_sde import FlatSDE
from jaxsde.methods.coupled import coupled

OFFERED = [
    (method.name, sde_type, noise)
    for method in METHODS.values()
    if not method.langevin
    for noise in method.strong_order
    # Implicit methods, which compile for longer, do not ask for the type.
    for sde_type in (("ito", "stratonovich") if noise == "additive" and not method.implicit else method.sde_types)
]
RATE = np.asarray([[-0.8, 0.3], [0.1, 0.5]])
CONSTANT = np.asarray([0.4, -0.2])
COLUMNS = {
    "diagonal": np.asarray([np.diag([0.5, 0.0]), np.diag([0.0, 0.4])]),
    "scalar": np.asarray([[[0.4, 0.2], [-0.3, 0.5]]]),
    "general": np.asarray([[[0.0, 0.6], [0.0, 0.2]], [[0.1, 0.0], [0.6, 0.0]]]),
    "additive": np.zeros((2, 2, 2)),
}
ADDITIVE = np.asarray([0.7, 0.5])
Y0 = np.asarray([1.0, -0.5])


def equation(noise, sde_type):
    """Drift and diffusion as the methods see them."""
    columns = COLUMNS[noise]

    def diffusion(y, t, args):
        each = jnp.stack([column @ y for column in columns], -1)
        return {"diagonal": each.sum(-1), "scalar": each[:, 0], "general": each, "additive": jnp.asarray(ADDITIVE)}[
            noise
        ]

    y = jnp.asarray(Y0)
    like = (jnp.zeros({"scalar": (), "general": (2,)}.get(noise, (2,))),)
    return FlatSDE(lambda y, t, args: RATE @ y + CONSTANT, diffusion, sde_type, noise, y, like)


def kronecker_square(matrix):
    return np.kron(matrix, matrix)


def moments_of_the_equation(noise, sde_type):
    """At time 1, of (y, 1): the first and the second."""

    def with_one(matrix, constant):
        return np.block([[matrix, constant[:, None]], [np.zeros((1, 3))]])

    rate = with_one(RATE, CONSTANT)
    constants = np.diag(ADDITIVE) if noise == "additive" else np.zeros((len(COLUMNS[noise]), 2))
    columns = [with_one(*pair) for pair in zip(COLUMNS[noise], constants, strict=True)]
    if sde_type == "stratonovich":
        rate = rate + sum(column @ column for column in columns) / 2
    start, one = np.append(Y0, 1.0), np.eye(3)
    square = np.kron(rate, one) + np.kron(one, rate) + sum(map(kronecker_square, columns))
    return scipy.linalg.expm(rate) @ start, scipy.linalg.expm(square) @ np.kron(start, start)


def area_of(dW, H, rest):
    """Davie's, of two Brownian motions."""
    straight = jnp.outer(H, dW)
    return straight - straight.T + rest * jnp.asarray([[0.0, 1.0], [-1.0, 0.0]])


def moments_of_a_solve(method, sde, n):
    h = 1.0 / n
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    count = np.size(sde.noise_like[0]) * (2 if method.space_time or method.area else 1) + method.area
    start, unravel = ravel_pytree(method.init(sde, (jnp.asarray(Y0),), jnp.zeros(()), None))

    def matrix(normals):
        """Of (carry, 1)."""
        m = np.size(sde.noise_like[0])
        dW = (jnp.reshape(normals[:m], sde.noise_like[0].shape) * h**0.5,)
        H = (jnp.reshape(normals[m : 2 * m], sde.noise_like[0].shape) * (h / 12) ** 0.5,) if count > m else None
        A = area_of(dW[0], H[0], normals[-1] * h / 12**0.5) if method.area else None

        def step(carry):
            end = method.step(sde, unravel(carry), jnp.zeros(()), jnp.asarray(h), Increment(dW, H, A), None)
            return ravel_pytree(end)[0]

        nothing = jnp.zeros_like(start)
        M = jax.jacfwd(step)(nothing)
        return jnp.block([[M, step(nothing)[:, None]], [jnp.zeros((1, start.size)), jnp.ones((1, 1))]])

    points = jnp.asarray(list(itertools.product(nodes, repeat=count)))
    chances = np.asarray([np.prod(w) for w in itertools.product(weights / weights.sum(), repeat=count)])
    each = np.asarray(jax.jit(jax.vmap(matrix))(points))
    first = np.einsum("p,pij->ij", chances, each)
    second = np.einsum("p,pij,pkl->ikjl", chances, each, each).reshape(2 * [len(first) ** 2])
    carry = np.append(start, 1.0)
    size, power = len(carry), np.linalg.matrix_power
    # y comes first in every carry.
    keep = [0, 1, size - 1]
    pairs = (power(second, n) @ np.kron(carry, carry)).reshape(size, size)
    return (power(first, n) @ carry)[keep], pairs[np.ix_(keep, keep)].ravel()


def measured(method, sde_type, noise):
    sizes, exact = np.asarray([16, 32, 64]), moments_of_the_equation(noise, sde_type)
    found = [moments_of_a_solve(method, equation(noise, sde_type), n) for n in sizes]
    errors = [sum(np.abs(a - b).max() for a, b in zip(moments, exact, strict=True)) for moments in found]
    return -np.polyfit(np.log(sizes), np.log(errors), 1)[0], errors


@pytest.mark.parametrize(("name", "sde_type", "noise"), OFFERED)
def test_order(x64, name, sde_type, noise):
    method = METHODS[name]
    order, errors = measured(method, sde_type, noise)
    assert order > method.weak_order - 0.15, (order, errors)
    # With additive noise some methods are better on linear equations.
    if noise != "additive" or set(method.strong_order) == {"additive"}:
        assert order < method.weak_order + 0.15, (order, errors)


@pytest.mark.parametrize(("name", "noise"), [("sriw1", "diagonal"), ("sra1", "additive"), ("platen_weak2", "general")])
def test_order_of_the_coupled_form(x64, name, noise):
    form = coupled(METHODS[name], 64, noise == "additive", 1e-16)
    order, errors = measured(form, "ito", noise)
    assert abs(order - form.weak_order) < 0.25, (order, errors)


def test_order_of_platen_weak2_where_drift_and_noise_are_not_linear(x64):
    """dX = (X / 2 + sqrt(X^2 + 1)) dt + sqrt(X^2 + 1) dB, whose solution is sinh(t + B), of which B is made of two.

    What the solution has on the same path, and on its mirror image, is taken off: the error bar is a tenth.
    """
    end, paths = 1.5, 40_000
    mix = np.asarray([0.6, 0.8])

    def moment(x):
        z = jnp.arcsinh(x)
        return z**3 - 6 * z**2 + 8 * z

    def error(dW, H):
        path = ReplayedPath(dW, H)
        ys = sdeint_ito_fixed_grid(
            lambda y, t, a: y / 2 + jnp.sqrt(y**2 + 1), lambda y, t, a: jnp.sqrt(y**2 + 1)[:, None] * mix[None],
            jnp.zeros(1), np.linspace(0, end, len(dW) + 1), None, None, "platen_weak2", noise="general", brownian=path,
        )  # fmt: skip
        return moment(ys[-1, 0]) - moment(jnp.sinh(end + dW.sum(0) @ mix))

    errors, sizes = [], (8, 32)
    for n in sizes:
        keys, h = jax.random.split(jax.random.key(n)), end / n
        dW, H = (jax.random.normal(k, (paths, n, 2)) * d for k, d in zip(keys, (h**0.5, (h / 12) ** 0.5), strict=True))
        each = jax.jit(jax.vmap(lambda dW, H: (error(dW, H) + error(-dW, H)) / 2))(dW, H)
        errors.append((float(each.mean()), float(each.std()) / paths**0.5))
    (coarse, _), (fine, deviation) = errors
    assert deviation < 0.15 * abs(fine)
    assert abs(np.log(coarse / fine) / np.log(4) - 2) < 0.25, errors
