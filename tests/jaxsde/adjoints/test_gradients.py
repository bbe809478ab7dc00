"""Gradients against backprop of the same scheme, for what each adjoint is offered."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import io_callback

from jaxsde import (
    METHODS,
    CounterPath,
    ReplayedPath,
    sdeint_ito,
    sdeint_strat,
    sdeint_strat_fixed_grid,
)

KEY = jax.random.key(0)
SOLVERS = {"ito": sdeint_ito, "stratonovich": sdeint_strat}


def f(y, t, args):
    return jnp.tanh(args["w"] @ y) - y * jnp.cos(t)


def diagonal(y, t, args):
    return 0.3 * jax.nn.sigmoid(args["s"] * y)


NOISES = {
    "diagonal": diagonal,
    "additive": lambda y, t, args: 0.3 * args["s"] * (1 + 0.1 * t),
    "scalar": diagonal,
    "commutative": lambda y, t, args: diagonal(y, t, args)[:, None] * args["m"],
    "general": lambda y, t, args: 0.3 * jnp.sin(y[:, None] * args["m"]),
}
OFFERED = [
    (method.name, sde_type, noise)
    for method in METHODS.values()
    # Of implicit methods, which compile for longer, test_theta.py has them, of splitting methods test_langevin.py.
    if not (method.implicit or method.langevin)
    for noise in method.strong_order
    # Whose step with commutative noise is that with general noise.
    if noise != "commutative" or "general" not in method.strong_order
    # Whose step is that of SRIW1 by another tableau.
    if (method.name, noise) != ("sosri", "scalar")
    for sde_type in (method.sde_types[:1] if noise in ("additive", "commutative") or method.area else method.sde_types)
]
WITH_INVERSE = [method.name for method in METHODS.values() if method.inverse is not None and not method.langevin]
COUPLED = [of for of in OFFERED if of[0] not in WITH_INVERSE]


def problem():
    k = jax.random.split(jax.random.key(7), 3)
    args = {
        "w": 0.5 * jax.random.normal(k[0], (4, 4)),
        "s": 1 + 0.1 * jax.random.normal(k[1], (4,)),
        "m": jax.random.normal(k[2], (4, 2)),
    }
    return jnp.linspace(-1, 1, 4), args


def gradient(solve, noise, method, adjoint, ts, y0, args, **options):
    """With respect to y0 and args, of a loss that all output times enter."""

    def loss(y0, args):
        ys = solve(f, NOISES[noise], y0, ts, KEY, args, method, noise=noise, adjoint=adjoint, **options)
        return jnp.sum(jnp.sin(ys) * jnp.arange(1, 1 + len(ts))[:, None].astype(ys.dtype))

    return jax.jit(jax.grad(loss, (0, 1)))(y0, args)


def gradients_of_long_and_short_steps(solve, noise, method, adjoint, y0, args, path=None, steps=1024):
    """Of so many steps of 1/64, and of as many over a time of 1, by one program; `path` is one of steps of length 1."""

    @jax.jit
    def of_length(h):
        brownian = path and ReplayedPath(path.increments * jnp.sqrt(h))
        ts = steps * h * jnp.linspace(0.0, 1.0, 5)
        return gradient(solve, noise, method, adjoint, ts, y0, args, steps=steps, brownian=brownian)

    return [of_length(h) for h in (1 / 64, 1 / steps)]


def replayed(method, noise, steps, h):
    """A path of steps of length h, which compiles in half of the time that draws by a key take, unless the method takes
    space-time areas.
    """
    if METHODS[method].space_time:
        return None
    shape = {"scalar": (), "commutative": (2,), "general": (2,)}.get(noise, (4,))
    area = None
    if METHODS[method].area:
        half = jax.random.normal(KEY, (steps, 2, 2)) * h / 24**0.5
        area = half - half.swapaxes(1, 2)
    return ReplayedPath(jax.random.normal(KEY, (steps, *shape)) * h**0.5, area=area)


def distance(a, b):
    """Relative, in the norm of the whole gradient."""
    a, b = (jnp.concatenate([x.ravel() for x in jax.tree.leaves(tree)]) for tree in (a, b))
    return float(jnp.linalg.norm(a - b) / jnp.linalg.norm(b))


@pytest.mark.parametrize("noise", ["diagonal", "general"])
@pytest.mark.parametrize("method", WITH_INVERSE)
def test_checkpoint_and_reversible_equal_backprop(x64, method, noise):
    y0, args = problem()
    exact = gradients_of_long_and_short_steps(sdeint_strat, noise, method, "backprop", y0, args)
    for adjoint in ("checkpoint", "reversible", "stochastic"):
        got = gradients_of_long_and_short_steps(sdeint_strat, noise, method, adjoint, y0, args)
        for a, b in zip(got, exact, strict=True):
            assert distance(a, b) < 1e-10, adjoint


@pytest.mark.parametrize(("method", "sde_type", "noise"), OFFERED)
def test_stochastic_equals_backprop_at_64_steps(x64, method, sde_type, noise):
    y0, args = problem()
    solve, ts = SOLVERS[sde_type], np.asarray([0.0, 0.5, 1.0])
    options = {"steps": 64, "brownian": replayed(method, noise, 64, 1 / 64)}
    exact = gradient(solve, noise, method, "backprop", ts, y0, args, **options)
    assert distance(gradient(solve, noise, method, "stochastic", ts, y0, args, **options), exact) < 1e-10


STIFF = {
    "double well, midpoint": (sdeint_strat, "midpoint", lambda y, t, k: -k * (y**3 - y), 20.0),
    "double well, Euler": (sdeint_ito, "euler_maruyama", lambda y, t, k: -k * (y**3 - y), 20.0),
    "relaxation, Euler": (sdeint_ito, "euler_maruyama", lambda y, t, k: -k * (y - 1.0), 50.0),
    "relaxation near the bound of stability": (sdeint_ito, "milstein", lambda y, t, k: -k * (y - 1.0), 120.0),
    "loud": (sdeint_ito, "milstein", lambda y, t, k: -k * y, 5.0),
}


@pytest.mark.parametrize("name", STIFF)
def test_stochastic_equals_backprop_where_steps_contract(x64, name):
    # In single precision backpropagation itself is 1e-4 off here: little is left of what depends on k.
    solve, method, f, k = STIFF[name]
    sigma = 3.0 if name == "loud" else 0.1

    def loss(y0, k, adjoint):
        ys = solve(f, lambda y, t, k: sigma * y, y0, np.asarray([0.0, 1.0]), KEY, k, method, dt=1 / 64, adjoint=adjoint)
        return jnp.sum(jnp.log(ys[-1] ** 2 + 0.1))

    start = jnp.array([0.5, 2.0 if "well" not in name else 0.9])
    stochastic, backprop = (jax.grad(loss, (0, 1))(start, k, adjoint) for adjoint in ("stochastic", "backprop"))
    np.testing.assert_allclose(stochastic[0], backprop[0], rtol=1e-8, atol=1e-30)
    np.testing.assert_allclose(stochastic[1], backprop[1], rtol=1e-8)


@pytest.mark.parametrize(("times", "save"), [(2, None), (9, jnp.cos), (1001, None), (1001, jnp.cos)])
def test_stochastic_equals_backprop_at_1000_steps(x64, times, save):
    y0, args = problem()
    ts, options = np.linspace(0, 1, times), {"dt": 1 / 1000, "save": save}
    exact = gradient(sdeint_ito, "diagonal", "milstein", "backprop", ts, y0, args, **options)
    assert distance(gradient(sdeint_ito, "diagonal", "milstein", "stochastic", ts, y0, args, **options), exact) < 1e-10


@pytest.mark.parametrize("adjoint", ["checkpoint", "reversible", "stochastic"])
def test_what_f_and_g_close_over_and_the_times_have_gradients(x64, adjoint):
    y0, args = problem()
    ts, key = jnp.linspace(0.0, 1.0, 8), jax.random.key(3)

    def loss(y0, args, ts, cholesky, adjoint):
        ys = sdeint_strat_fixed_grid(
            lambda y, t, _: f(y, t, args), lambda y, t, _: diagonal(y, t, args), y0, ts, None, None, "reversible_heun",
            brownian=CounterPath(key, cholesky), adjoint=adjoint, save=lambda y: y * args["s"],
        )  # fmt: skip
        return jnp.sum(ys**2)

    cholesky = jnp.eye(4) + 0.1
    expected = jax.grad(loss, (0, 1, 2, 3))(y0, args, ts, cholesky, "backprop")
    assert distance(jax.grad(loss, (0, 1, 2, 3))(y0, args, ts, cholesky, adjoint), expected) < 1e-10


@pytest.mark.parametrize("adjoint", ["reversible", "stochastic"])
@pytest.mark.parametrize("make_key", [jax.random.key, jax.random.PRNGKey])
def test_integers_and_keys_that_f_closes_over_may_be_batched(x64, adjoint, make_key):
    y0, args = problem()

    def loss(s, adjoint):
        def end(k, key):
            mask = jax.random.bernoulli(key, 0.5, (4,)).astype(jnp.float64)
            ys = sdeint_strat_fixed_grid(
                lambda y, t, _: -s * y * k.astype(y.dtype) * mask + jax.random.normal(key, (4,)), diagonal, y0,
                np.linspace(0, 1, 5), KEY, args, "reversible_heun", adjoint=adjoint,
            )  # fmt: skip
            return jnp.sum(ys**2)

        return jnp.sum(jax.vmap(end)(jnp.arange(3), jax.random.split(make_key(1), 3)))

    expected = jax.grad(loss)(args["s"], "backprop")
    assert distance(jax.grad(loss)(args["s"], adjoint), expected) < 1e-10


@pytest.mark.parametrize("adjoint", ["reversible", "stochastic"])
def test_save_may_keep_integers(x64, adjoint):
    y0, args = problem()

    def loss(y0, adjoint):
        kept = sdeint_strat(
            f, diagonal, y0, np.linspace(0, 1, 3), KEY, args, "reversible_heun", dt=0.125, adjoint=adjoint,
            save=lambda y: {"largest": jnp.argmax(y), "y": jnp.sin(y)},
        )  # fmt: skip
        return jnp.sum(kept["y"]), kept["largest"]

    exact, largest = jax.grad(loss, has_aux=True)(y0, "backprop")
    got, same = jax.grad(loss, has_aux=True)(y0, adjoint)
    assert distance(got, exact) < 1e-10
    np.testing.assert_array_equal(same, largest)


@pytest.mark.parametrize("adjoint", ["reversible", "stochastic"])
def test_increments_have_gradients(x64, adjoint):
    y0, args = problem()

    def loss(increments, adjoint):
        ys = sdeint_strat(
            f, diagonal, y0, np.linspace(0, 1, 3), None, args, "reversible_heun", dt=0.125,
            brownian=ReplayedPath(increments), adjoint=adjoint,
        )  # fmt: skip
        return jnp.sum(ys**2)

    increments = 0.3 * jax.random.normal(KEY, (8, 4))
    expected = jax.grad(loss)(increments, "backprop")
    assert distance(jax.grad(loss)(increments, adjoint), expected) < 1e-10


@pytest.mark.parametrize("adjoint", ["checkpoint", "reversible", "stochastic"])
def test_no_adjoint_changes_the_solution_and_vmap_works_both_ways(adjoint):
    y0, args = problem()
    y0s, keys = jnp.stack([y0, -y0, 2 * y0]), jax.random.split(KEY, 3)

    def solve(y0, key, args, adjoint):
        return sdeint_strat(
            f, diagonal, y0, np.linspace(1, 0, 3), key, {**args, "label": "not an array"}, "reversible_heun",
            dt=0.1, adjoint=adjoint,
        )  # fmt: skip

    np.testing.assert_allclose(solve(y0, KEY, args, adjoint), solve(y0, KEY, args, "backprop"), rtol=1e-6)

    def loss(args, adjoint):
        return jnp.mean(jax.vmap(lambda y, k: solve(y, k, args, adjoint))(y0s, keys) ** 2)

    outside = jax.grad(loss)(args, adjoint)
    inside = jax.vmap(lambda y, k: jax.grad(lambda a: jnp.mean(solve(y, k, a, adjoint) ** 2))(args))(y0s, keys)
    np.testing.assert_allclose(outside["w"], inside["w"].mean(0), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(outside["w"], jax.grad(loss)(args, "backprop")["w"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", WITH_INVERSE)
def test_reversible_is_nan_with_a_warning_where_its_walk_loses_the_states(method):
    def gradient(k, adjoint):
        def loss(y0):
            ys = sdeint_strat(
                lambda y, t, _: -k * (y - 1.0), lambda y, t, _: 0.1 * y, y0, np.asarray([0.0, 1.0]), KEY, None,
                method, dt=1 / 256, adjoint=adjoint, running=lambda y, t, h, dW, _: jnp.sum(y) * h,
            )  # fmt: skip
            return jnp.sum(ys[0][-1]) + ys[1][-1]

        found = jax.grad(loss)(jnp.array([0.5, 1.2]))
        jax.effects_barrier()
        return found

    np.testing.assert_allclose(gradient(6.0, "reversible"), gradient(6.0, "backprop"), rtol=1e-3)
    with pytest.warns(RuntimeWarning, match="adjoint='stochastic'"):
        lost = gradient(30.0, "reversible")
    assert np.isnan(lost).all()
    assert np.isfinite(gradient(30.0, "stochastic")).all()


@pytest.mark.parametrize(("method", "sde_type", "noise"), COUPLED)
def test_reversible_equals_backprop_of_the_coupled_form(x64, method, sde_type, noise):
    y0, args = problem()
    solve = SOLVERS[sde_type]
    # One noise of nearly each method over many steps as well.
    if noise == next(iter(METHODS[method].strong_order)) and not METHODS[method].area:
        # Rounding of these grows over a time of 16.
        steps = 256 if method in ("platen_weak2", "sosri") else 1024
        path = replayed(method, noise, steps, 1.0)
        of = (y0, args, path, steps)
        exact = gradients_of_long_and_short_steps(solve, noise, f"coupled_{method}", "backprop", *of)
        got = gradients_of_long_and_short_steps(solve, noise, method, "reversible", *of)
    else:
        ts, options = np.asarray([0.0, 0.5, 1.0]), {"steps": 64, "brownian": replayed(method, noise, 64, 1 / 64)}
        exact = [gradient(solve, noise, f"coupled_{method}", "backprop", ts, y0, args, **options)]
        got = [gradient(solve, noise, method, "reversible", ts, y0, args, **options)]
    for a, b in zip(got, exact, strict=True):
        assert distance(a, b) < 1e-10


@pytest.mark.parametrize(
    ("method", "adjoint", "growth"),
    [
        ("reversible_heun", "reversible", 1.01),
        ("ees25", "reversible", 1.01),
        ("midpoint", "reversible", 1.01),
        ("midpoint", "stochastic", 1.01),
        ("midpoint", "checkpoint", 8.0),
    ],
)
def test_memory_of_the_gradient_over_64_and_4096_steps(method, adjoint, growth):
    def temporary(steps):
        def loss(y0):
            ys = sdeint_strat(
                lambda y, t, a: jnp.tanh(y), lambda y, t, a: 0.1 * y, y0, np.asarray([0.0, 1.0]), KEY, None, method,
                dt=1 / steps, adjoint=adjoint,
            )  # fmt: skip
            return jnp.sum(ys**2)

        compiled = jax.jit(jax.grad(loss)).lower(jnp.ones(4096)).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporary(4096) <= growth * temporary(64)


def gradient_program(f, steps=64, method="euler_maruyama"):
    def loss(w, y0):
        ys = sdeint_ito(
            f, lambda y, t, w: 0.1 * y, y0, np.asarray([0.0, 1.0]), KEY, w, method, steps=steps, adjoint="backprop"
        )
        return jnp.sum(ys[-1] ** 2)

    y0, w = jnp.linspace(-1, 1, 4096).reshape(64, 64), 0.1 * jnp.eye(64)
    return jax.jit(jax.grad(loss)).lower(w, y0)


def in_layers(y, t, w):
    for _ in range(3):
        y = jnp.tanh(jnp.sin(y) @ w)
    return y


def test_backprop_keeps_products_and_computes_the_rest_again():
    program = gradient_program(in_layers)
    # Three products, and two for the derivative of each.
    assert program.as_text().count("stablehlo.dot_general") == 9
    kept = program.compile().memory_analysis().temp_size_in_bytes / (64 * 4096 * 4)
    # The state, the noise and three products; each layer's sine and tanh would be six more.
    assert kept < 6


@pytest.mark.parametrize(("part", "times"), [(jnp.sin, 2), (jax.checkpoint(jnp.sin), 1)])
def test_a_drift_that_says_what_is_computed_again_is_left_to_it(part, times):
    program = gradient_program(lambda y, t, w: part(y) @ w * jnp.tanh(y))
    assert program.as_text().count("stablehlo.tanh") == times


def test_a_drift_with_effects_has_a_gradient():
    """JAX refuses to compute effects again."""

    def f(y, t, a):
        io_callback(lambda: None, None)
        return -a * y

    def end(a):
        return sdeint_ito(f, None, jnp.ones(()), np.asarray([0.0, 1.0]), None, a, steps=4, adjoint="backprop")[-1]

    np.testing.assert_allclose(jax.grad(end)(1.0), -((1 - 1 / 4) ** 3), rtol=1e-6)
