"""Strong order by regression over nested grids on the same path, towards a limit that is known independently."""

import functools
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import (
    METHODS,
    FixedSteps,
    Langevin,
    ReplayedPath,
    VirtualTree,
    ito_to_stratonovich,
    sdeint_ito,
    sdeint_ito_fixed_grid,
    sdeint_strat_fixed_grid,
    solve,
)

PATHS, FINE = 300, 2048
SOLVERS = {"ito": sdeint_ito_fixed_grid, "stratonovich": sdeint_strat_fixed_grid}
OFFERED = [
    (method.name, sde_type, noise)
    for method in METHODS.values()
    if not method.langevin
    for noise in method.strong_order
    # Implicit methods, which compile for longer, do not ask for the type.
    for sde_type in (("ito", "stratonovich") if noise == "additive" and not method.implicit else method.sde_types)
]
# Two matrices that commute: of the form a I + b N with N = ((0, 1), (0, 0)).
C, D = np.asarray([[0.2, 0.5], [0.0, 0.2]]), np.asarray([[-0.3, 0.4], [0.0, -0.3]])
# Two matrices that do not, and whose squares are zero: both calculi have the same drift.
A, B = np.asarray([[0.0, 0.6], [0.0, 0.0]]), np.asarray([[0.0, 0.0], [0.6, 0.0]])


def setup(noise):
    """Drift, diffusion, y0 and the shape of the noise."""
    if noise == "additive":
        return lambda y, t, a: 0.5 - jnp.exp(y), lambda y, t, a: jnp.ones_like(y), jnp.zeros(1), (1,)
    if noise == "scalar":
        return lambda y, t, a: 0.3 * y, lambda y, t, a: 0.6 * y, jnp.ones(1), ()
    if noise == "diagonal":
        return lambda y, t, a: 0.3 * y, lambda y, t, a: 0.6 * y, jnp.ones(1), (1,)
    one, other = (C, D) if noise == "commutative" else (A, B)
    return lambda y, t, a: 0.3 * y, lambda y, t, a: jnp.stack([one @ y, other @ y], -1), jnp.ones(2), (2,)


def log_logistic(dW, H):
    """dX = X (1 - X) dt + X dB has X = E / (1 + integral of E), E = exp(t / 2 + B), and log X has additive noise.

    The integral over a fine step is the trapezoidal rule and the part of the space-time area.
    """
    E = np.exp(0.5 * (np.arange(1, FINE + 1) / FINE)[:, None] + np.cumsum(dW, 0))
    left = np.concatenate([np.ones((1, PATHS)), E[:-1]])
    return np.log(E[-1] / (1 + np.sum((left + E) / 2 + left * H, 0) / FINE))


def products_of_exponentials(dW):
    """dy = 0.3 y dt + A y dB1 + B y dB2 by matrix exponentials of the increments, on the finest grid.

    The square of M = w1 A + w2 B is r^2 = 0.36 w1 w2 times the identity, so that exp(M) = cosh(r) + sinh(r) / r M.
    """
    r = np.emath.sqrt(0.36 * dW[..., 0] * dW[..., 1]).astype(complex)
    evens, odds = np.cosh(r).real, 0.6 * (np.sinh(r) / r).real
    y = np.ones((PATHS, 2))
    for w, even, odd in zip(dW, evens, odds, strict=True):
        y = np.exp(0.3 / FINE) * (even[:, None] * y + odd[:, None] * w * y[:, ::-1])
    return y


def exponential_of_commuting_matrices(sde_type, W):
    """dy = 0.3 y dt + C y dB1 + D y dB2 at time 1, of W (paths, 2): exp(a I + b N) = e^a (I + b N)."""
    matrix = 0.3 * np.eye(2) - (C @ C + D @ D) / 2 * (sde_type == "ito") + np.tensordot(W, np.stack([C, D]), 1)
    a, b = matrix[:, 0, 0], matrix[:, 0, 1]
    return np.exp(a)[:, None] * np.stack([1 + b, np.ones(len(b))], -1)


@functools.cache
def draw(shape):
    """Fine increments and their space-time areas, which are independent."""
    keys = jax.random.split(jax.random.key(0))
    dW, H = (np.asarray(jax.random.normal(key, (FINE, PATHS, *shape)) / FINE**0.5) for key in keys)
    return dW, H / 12**0.5


@functools.cache
def solution(sde_type, noise):
    """At time 1, from the fine path."""
    dW, H = draw(setup(noise)[3])
    if noise == "additive":
        return log_logistic(dW[..., 0], H[..., 0])[:, None]
    if noise == "general":
        return products_of_exponentials(dW)
    if noise == "commutative":
        return exponential_of_commuting_matrices(sde_type, dW.sum(0))
    W = dW.reshape(FINE, PATHS).sum(0)
    return np.exp(0.3 - (0.18 if sde_type == "ito" else 0.0) + 0.6 * W)[:, None]


def coarsened(dW, H, n):
    """The same path in n steps: its increments, and its average over a step less half of the increment."""
    dW, H = (x.reshape(n, FINE // n, *x.shape[1:]) for x in (dW, H))
    W = np.cumsum(dW, 1)
    return W[:, -1], (W - dW / 2 + H).mean(1) - W[:, -1] / 2


def areas(dW, n):
    """Of the path that is straight in each fine step, over n steps."""
    dW = dW.reshape(n, FINE // n, *dW.shape[1:])
    W = np.cumsum(dW, 1) - dW / 2
    twice = np.einsum("nfpj,nfpk->npjk", W, dW)
    return (twice - np.swapaxes(twice, -1, -2)) / 2


# Whose step another one takes back, for which the reversible adjoint has a solution of its own.
COUPLED = [
    (method, sde_type, noise, "reversible")
    for method, sde_type, noise in OFFERED
    if METHODS[method].inverse is None and not METHODS[method].implicit
    # Of davie, which compiles for longer, one calculus.
    if sde_type in METHODS[method].sde_types[: 1 if METHODS[method].area else None]
]


X0 = np.asarray([0.5, 1.0, 0.5])


def errors_by_steps(sizes, equation, exact, noise, method, sde_type, adjoint="backprop"):
    """Root mean squares over the paths at time 1, (sizes, entries), of drift, diffusion, y0 and the shape of noise."""
    f, g, y0, shape = equation
    fine, errors = draw(shape), []

    @jax.jit
    def at_all_times(ts, *path):
        def solve(*path):
            return SOLVERS[sde_type](
                f, g, y0, ts, None, None, method, noise=noise, brownian=ReplayedPath(*path), adjoint=adjoint,
                save=lambda y: y,
            )  # fmt: skip

        return jax.vmap(solve, 1, 1)(*path)

    for n in sizes:
        path = coarsened(fine[0], fine[1], n)
        if METHODS[method].area:
            path = *path, areas(fine[0], n)
        steps = n
        if adjoint == "backprop":
            # One program for all grids: each goes on to as many steps as the finest has, after time 1 without noise.
            # That of a coupled form is another for each number of steps.
            steps = sizes[-1]
            path = [np.concatenate([x, np.zeros((steps - n, *x.shape[1:]))]) for x in path]
        ys = at_all_times(jnp.arange(steps + 1) / n, *path)[n]
        errors.append(np.sqrt(np.mean((ys - exact) ** 2, 0)))
    return np.stack(errors)


def orders(sizes, errors):
    return -np.polyfit(np.log(sizes), np.log(errors), 1)[0]


@pytest.mark.parametrize(
    ("method", "sde_type", "noise", "adjoint"), [(*offered, "backprop") for offered in OFFERED] + COUPLED
)
def test_order(x64, method, sde_type, noise, adjoint):
    sizes = np.asarray([8, 16, 32, 64, 128])
    if adjoint == "reversible":  # Each grid is a program of its own.
        sizes = sizes[::2]
    if METHODS[method].space_time:  # Its error of order 2 is the larger one on the coarsest grid, of two solutions too.
        sizes = sizes * (2 if adjoint == "backprop" else 8)
    entries = errors_by_steps(sizes, setup(noise), solution(sde_type, noise), noise, method, sde_type, adjoint)
    errors = np.linalg.norm(entries, axis=1)
    order = orders(sizes, errors)
    declared = METHODS[method].strong_order[noise]
    assert order > declared - 0.15, (order, errors)
    # Of reversible Heun no more than 1/2 is proved, also where the noise commutes and more is measured.
    if method != "reversible_heun" or noise not in ("diagonal", "scalar"):
        assert order < declared + 0.15, (order, errors)
    assert errors[-1] < 0.1


@pytest.mark.parametrize(("method", "sde_type"), [offered[:2] for offered in OFFERED if offered[2] == "diagonal"])
def test_order_on_equations_with_closed_forms(x64, method, sde_type):
    """Side by side a linear one, one of small noise, and one that stays between -1 and 1."""

    def f(y, t, args):
        x, wave, cubic = y
        return jnp.stack([1.01 * x, -0.01 * jnp.sin(wave) * jnp.cos(wave) ** 3, -0.25 * cubic * (1 - cubic**2)])

    def g(y, t, args):
        return jnp.stack([0.87 * y[0], 0.1 * jnp.cos(y[1]) ** 2, 0.5 * (1 - y[2] ** 2)])

    W = draw((3,))[0].sum(0)
    e = 1.5 * np.exp(W[:, 2])
    linear, wave = 0.5 * np.exp(1.01 - 0.87**2 / 2 + 0.87 * W[:, 0]), np.arctan(0.1 * W[:, 1] + np.tan(1.0))
    exact = np.stack([linear, wave, (e - 0.5) / (e + 0.5)], 1)
    drift = f if sde_type == "ito" else ito_to_stratonovich(f, g)
    sizes, equation = np.asarray([16, 32, 64, 128, 256]), (drift, g, jnp.asarray(X0), (3,))
    errors = errors_by_steps(sizes, equation, exact, "diagonal", method, sde_type)
    found, declared = orders(sizes, errors), METHODS[method].strong_order["diagonal"]
    assert (found > declared - 0.15).all(), (found, errors)
    # Where noise is small the error of the drift is the larger one, and that of order 1/2 not yet seen.
    assert (found < (1.15 if declared == 0.5 else declared + 0.15)).all(), (found, errors)


# Those for general noise alone, of one calculus each, have the order that they have there.
WITH_COMMUTING_COLUMNS = [offered for offered in OFFERED if offered[2] == "commutative"] + [
    (method.name, method.sde_types[0], "general")
    for method in METHODS.values()
    if method.order("general") and "commutative" not in method.strong_order
]


@pytest.mark.parametrize(("method", "sde_type", "noise"), WITH_COMMUTING_COLUMNS)
def test_order_with_ten_brownian_motions(x64, method, sde_type, noise):
    """Equation (7.4) of Rößler (2010): dX = A X dt + ten times B X dW, where A and B commute."""
    A, B = (np.full((4, 4), off) + np.diag(np.full(4, on - off)) for on, off in ((-1.5, 0.05), (0.2, 0.01)))
    start, W = np.asarray([0.3, 0.9, 0.6, 0.2]), draw((10,))[0].sum((0, 2))
    sizes, basis = np.asarray([16, 32, 64]), np.linalg.eigh(np.ones((4, 4)))[1]
    a, b = (np.diag(basis.T @ matrix @ basis) for matrix in (A, B))
    exact = (np.exp(a - 5 * b**2 + W[:, None] * b) * (start @ basis)) @ basis.T
    drift = A if sde_type == "ito" else A - 5 * B @ B
    equation = (
        lambda y, t, args: drift @ y,
        lambda y, t, args: jnp.broadcast_to((B @ y)[:, None], (4, 10)),
        jnp.asarray(start),
        (10,),
    )
    errors = np.linalg.norm(errors_by_steps(sizes, equation, exact, noise, method, sde_type), axis=1)
    found, declared = orders(sizes, errors), METHODS[method].strong_order[noise]
    assert declared - 0.15 < found < (1.15 if declared == 0.5 else declared + 0.15), (found, errors)


ADDITIVE = [method.name for method in METHODS.values() if method.order("additive") and not method.langevin]


@pytest.mark.parametrize("name", ADDITIVE)
def test_order_on_an_equation_of_time_and_additive_noise(x64, name):
    """dX = (b / sqrt(1 + t) - X / (2 (1 + t))) dt + a b / sqrt(1 + t) dW."""
    a, b, sizes = 0.1, 0.05, np.asarray([16, 32, 64, 128])
    equation = (
        lambda y, t, args: b / jnp.sqrt(1 + t) - y / (2 * (1 + t)),
        lambda y, t, args: a * b / jnp.sqrt(1 + t) + 0 * y,
        jnp.ones(1),
        (1,),
    )
    exact = (1 + b * (1 + a * draw((1,))[0].sum(0))) / 2**0.5
    errors = errors_by_steps(sizes, equation, exact, "additive", name, METHODS[name].sde_types[0])[:, 0]
    # Noise is so small that the error of the drift is seen, and of the trapezoidal rule that of the noise as well.
    once = name in ("euler_maruyama", "milstein", "euler_heun", "implicit_euler", "split_step")
    least, most = {"trapezoidal": (1.0, 2.0)}.get(name, (1.0, 1.0) if once else (2.0, 2.0))
    assert least - 0.15 < orders(sizes, errors) < most + 0.15, errors


def test_two_columns_of_which_areas_are_all(x64):
    """dX = dW1, dY = X dW2: exact with the areas, of order 1/2 without."""

    def g(y, t, args):
        return jnp.stack([jnp.asarray([1.0, 0.0]), jnp.stack([jnp.zeros(()), y[0]])])

    dW, sizes = draw((2,))[0], np.asarray([8, 32])
    W = dW.cumsum(0)
    exact = np.stack([W[-1, :, 0], np.sum((W - dW / 2)[..., 0] * dW[..., 1], 0)], 1)
    equation = (lambda y, t, args: 0 * y, g, jnp.zeros(2), (2,))
    for method, sde_type in (("davie", "ito"), ("log_ode", "stratonovich")):
        assert errors_by_steps(sizes, equation, exact, "general", method, sde_type).max() < 1e-12
    without = [m for m in METHODS.values() if m.order("general") and not m.area]
    for method, sde_type in ((m.name, m.sde_types[0]) for m in without):
        found = orders(sizes, errors_by_steps(sizes, equation, exact, "general", method, sde_type)[:, 1])
        assert abs(found - 0.5) < 0.15, (method, found)


def three_equations(W, H):
    """Drift and diffusion of three equations side by side, and their solution at time 1, each of its own W and H.

    The first depends on time: its log has the noise (0.3 + t) dB, whose integral is 0.3 W + W / 2 - H.
    """

    def f(y, t, args):
        wave = -0.01 * jnp.sin(y[1]) * jnp.cos(y[1]) ** 3
        return jnp.stack([(1.5 - t) * y[0], wave, -0.25 * y[2] * (1 - y[2] ** 2)])

    def g(y, t, args):
        return jnp.stack([(0.3 + t) * y[0], 0.1 * jnp.cos(y[1]) ** 2, 0.5 * (1 - y[2] ** 2)])

    linear = X0[0] * jnp.exp(1.0 - (1.3**3 - 0.3**3) / 6 + 0.8 * W[0] - H[0])
    wave = jnp.arctan(0.1 * W[1] + np.tan(X0[1]))
    e = (1 + X0[2]) * jnp.exp(W[2])
    return f, g, jnp.stack([linear, wave, (e + X0[2] - 1) / (e + 1 - X0[2])])


def test_order_of_sriw1_on_a_tree_with_areas(x64):
    """They are those of the path that the solution is driven by, whatever the grid."""
    like = (jax.ShapeDtypeStruct((3,), jnp.float64),)

    def tree(key):
        return VirtualTree(key, 0.0, 1.0, 2.0**-8, space_time=True)

    def error(key, whole, n):
        f, g, exact = three_equations(whole.dW[0], whole.H[0])
        ts = np.asarray([0.0, 1.0])
        choices = {"steps": n, "brownian": tree(key), "adjoint": "backprop"}
        return sdeint_ito(f, g, jnp.asarray(X0), ts, None, None, "sriw1", **choices)[-1] - exact

    keys, sizes = jax.random.split(jax.random.key(1), 400), [32, 128]
    ends = jnp.asarray([0.0, 1.0])
    wholes = jax.jit(jax.vmap(lambda key: tree(key).increment(0, *ends, like, space_time=True)))(keys)
    errors = [jnp.sqrt(jnp.mean(jax.jit(jax.vmap(functools.partial(error, n=n)))(keys, wholes) ** 2, 0)) for n in sizes]
    orders = np.log(errors[0] / errors[1]) / np.log(sizes[1] / sizes[0])
    np.testing.assert_allclose(orders, 1.5, atol=0.15, err_msg=str(errors))


def test_sriw1_is_the_solution_of_ito_towards_smaller_times(x64):
    """In its own direction the drift is -f; the noise has the length of time alone."""
    tree = VirtualTree(jax.random.key(2), 0.0, 1.0, 2.0**-8, space_time=True)
    W = tree.value(jnp.asarray(1.0), (jax.ShapeDtypeStruct((), jnp.float64),))[0]
    ys = sdeint_ito(
        lambda y, t, a: 0.5 * y, lambda y, t, a: 0.8 * y, jnp.ones(()), np.asarray([1.0, 0.0]), None, None, "sriw1",
        steps=256, brownian=tree,
    )  # fmt: skip
    np.testing.assert_allclose(ys[-1], jnp.exp(-0.5 - 0.32 - 0.8 * W), rtol=1e-3)


def test_order_of_splitting_methods(x64):
    """Of a pendulum, towards another method on the fine path."""
    pendulum = Langevin(lambda q, t, a: jnp.cos(t) - 3.0 * jnp.sin(q), 1.5, 0.8)
    dW, H = draw((1,))

    def ends(dW, H, name):
        path, n = ReplayedPath((None, dW), (None, H)), len(dW)
        y0 = jnp.asarray([2.0]), jnp.asarray([0.0])
        return jnp.stack(solve(pendulum, y0, [0.0, 1.0], steps=FixedSteps(n), method=name, brownian=path).ys)[:, -1]

    ends = jax.jit(jax.vmap(ends, (1, 1, None)), static_argnums=2)
    exact, sizes = ends(dW, H, "sra1"), np.asarray([8, 16, 32])
    for method in (method for method in METHODS.values() if method.langevin):
        errors = [jnp.sqrt(jnp.mean((ends(*coarsened(dW, H, n), method.name) - exact) ** 2, (0, 2))) for n in sizes]
        orders = -np.polyfit(np.log(sizes), np.log(errors), 1)[0]
        assert (abs(orders - method.strong_order["additive"]) < 0.15).all(), (method.name, orders, errors)


ORACLES = {
    "euler_maruyama": ("ito", diffrax.Euler()),
    "milstein": ("ito", diffrax.ItoMilstein()),
    "heun": ("stratonovich", diffrax.Heun()),
    "euler_heun": ("stratonovich", diffrax.EulerHeun()),
    "reversible_heun": ("stratonovich", diffrax.ReversibleHeun()),
    "midpoint": ("stratonovich", diffrax.Midpoint()),
}


class Replayed(diffrax.AbstractBrownianPath):
    """The same increments, as diffrax asks for them."""

    W: jax.Array
    t0 = 0.0
    t1 = 1.0
    levy_area = diffrax.BrownianIncrement

    def evaluate(self, t0, t1=None, left=True, use_levy=False):
        n = self.W.shape[0] - 1
        at = [jnp.rint(t * n).astype(jnp.int32) for t in (t0, t1)]
        dW = self.W[at[1]] - self.W[at[0]]
        return diffrax.BrownianIncrement(dt=jnp.asarray(t1 - t0), W=dW) if use_levy else dW


@pytest.mark.parametrize("method", ORACLES)
def test_diffrax_takes_the_same_steps(x64, method):
    sde_type, solver = ORACLES[method]
    n, dim = 16, 3
    dW = jax.random.normal(jax.random.key(2), (n, dim)) / n**0.5
    W = jnp.concatenate([jnp.zeros((1, dim)), jnp.cumsum(dW, 0)])

    def f(y, t, args):
        return jnp.sin(y) - y

    def g(y, t, args):
        return 0.5 * jnp.cos(y)

    ys = SOLVERS[sde_type](f, g, jnp.ones(dim), np.linspace(0, 1, n + 1), None, None, method, brownian=ReplayedPath(dW))
    with jax.numpy_dtype_promotion("standard"):
        terms: Any = diffrax.MultiTerm(
            diffrax.ODETerm(lambda t, y, a: f(y, t, a)),
            diffrax.ControlTerm(lambda t, y, a: jnp.diag(g(y, t, a)), Replayed(W)),  # type: ignore[arg-type, call-arg]
        )
        peer = diffrax.diffeqsolve(terms, solver, 0.0, 1.0, 1 / n, jnp.ones(dim)).ys[-1]
    np.testing.assert_allclose(ys[-1], peer, rtol=1e-5)
