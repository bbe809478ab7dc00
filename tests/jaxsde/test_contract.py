"""What is refused, before any integration, in a sentence."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import (
    SDE,
    AdaptiveSteps,
    CounterPath,
    FixedSteps,
    Jumps,
    ReplayedPath,
    VirtualTree,
    ito_to_stratonovich,
    sdeint_ito,
    sdeint_ito_fixed_grid,
    sdeint_strat,
    sdeint_strat_fixed_grid,
    solve,
)

KEY = jax.random.key(0)
TS = np.linspace(0, 1, 4)


def f(y, t, args):
    return -y


@pytest.mark.parametrize("solver", [sdeint_ito, sdeint_ito_fixed_grid, sdeint_strat, sdeint_strat_fixed_grid])
@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"y0": jnp.arange(3)}, TypeError, "int32"),
        ({"y0": ()}, ValueError, "no arrays"),
        ({"ts": TS[:, None]}, ValueError, r"\(4, 1\)"),
        ({"ts": TS[:1]}, ValueError, r"\(1,\)"),
        ({"ts": np.asarray([0.0, 0.5, 0.5])}, ValueError, "from 0.5 to 0.5 at entries 1 and 2"),
        ({"ts": np.asarray([0.0, 1.0, 0.5])}, ValueError, "from 1.0 to 0.5"),
        ({"ts": np.asarray([1.0, 0.5, 0.7])}, ValueError, "from 0.5 to 0.7"),
        ({"ts": np.asarray([0.0, np.nan])}, ValueError, "not finite"),
        ({"f": lambda y, t, a: y[:2]}, ValueError, r"f gives shape \(2,\); .* \(3,\)"),
        ({"f": lambda y, t, a: None}, ValueError, "f gives"),
        ({"g": lambda y, t, a: (y, y)}, ValueError, "g gives"),
        ({"g": lambda y, t, a: jnp.eye(3)}, ValueError, r"g gives shape \(3, 3\)"),
        ({"g": f, "noise": "general"}, ValueError, "last axis"),
        ({"noise_shape": (2,)}, ValueError, "matrix-free"),
        ({"noise_shape": (2,), "noise": "general"}, TypeError, "a function"),
        ({"g": lambda y, t, a: lambda v: y, "noise": "general"}, TypeError, "returns a function; .* with noise_shape"),
        ({"g": lambda y, t, a: None, "noise": "general"}, ValueError, "gives None for all of y"),
        ({"g": lambda y, t, a: 1.0, "noise": "general"}, ValueError, r"g gives shape \(\)"),
        ({"g": lambda y, t, a: y > 0}, TypeError, "bool"),
        ({"method": "midpont"}, ValueError, "Did you mean 'midpoint'"),
        ({"method": "ReversibleHeun"}, ValueError, "Did you mean 'reversible_heun'"),
        ({"method": "ItoMilstein"}, ValueError, "Did you mean 'milstein'"),
        ({"method": "SRIW"}, ValueError, "Did you mean 'sriw1'"),
        ({"noise": "diag"}, ValueError, "'diagonal', 'additive'"),
        ({"adjoint": "backprob"}, ValueError, "Did you mean 'backprop'"),
        ({"rng": 0}, TypeError, r"jax.random.key.*uint32\.$"),
        ({"rng": None}, TypeError, "jax.random.key"),
        (
            {"rng": jax.random.split(KEY)},
            TypeError,
            r"one JAX key.* For a batch of solves take jax\.vmap over its keys",
        ),
        ({"rng": jax.random.split(jax.random.PRNGKey(0), 3)}, TypeError, "one JAX key.*For a batch"),
        ({"rng": KEY, "brownian": CounterPath(jax.random.key(1))}, ValueError, "CounterPath of another key than rng"),
        ({"brownian": VirtualTree(jax.random.PRNGKey(1), 0.0, 1.0, 0.1)}, ValueError, "pass rng=None, or leave out"),
        ({"brownian": ReplayedPath(np.zeros((2, 3)))}, ValueError, r"\(2, 3\)"),
        ({"brownian": ReplayedPath({"w": np.zeros((3, 3))})}, ValueError, "ReplayedPath"),
        ({"brownian": CounterPath(KEY, np.eye(2))}, ValueError, "square"),
        ({"brownian": CounterPath(None)}, TypeError, "rng is NoneType"),
        ({"brownian": VirtualTree(None, 0.0, 1.0, 0.1)}, TypeError, "rng is NoneType"),
        ({"brownian": KEY}, TypeError, "CounterPath"),
        ({"running": lambda y, t, h, dW, a: 1}, TypeError, "running gives an array of dtype int32"),
    ],
)
def test_refusals(unchecked, solver, change, error, says):
    call = {"f": f, "g": f, "y0": jnp.ones(3), "ts": TS, "rng": KEY} | change
    with pytest.raises(error, match=says):
        solver(**call)


@pytest.mark.parametrize(
    ("solver", "method", "noise", "says"),
    [
        (sdeint_strat_fixed_grid, "euler_maruyama", "diagonal", "converges to the Ito solution.*stratonovich_to_ito"),
        (sdeint_ito_fixed_grid, "heun", "diagonal", "'euler_maruyama', 'milstein'.*ito_to_stratonovich"),
        (sdeint_ito_fixed_grid, "milstein", "general", "it is for diagonal and .* scalar and commutative noise"),
        (sdeint_ito_fixed_grid, "sra1", "diagonal", "it is for additive noise"),
    ],
)
def test_a_method_is_refused_by_name_where_it_does_not_converge(solver, method, noise, says):
    with pytest.raises(ValueError, match=says):
        solver(f, f, jnp.ones(3), TS, KEY, None, method, noise=noise)


@pytest.mark.parametrize("dt", [0.0, -0.1, np.nan, np.inf])
def test_dt(dt):
    with pytest.raises(ValueError, match=f"dt is {dt}"):
        sdeint_ito(f, f, jnp.ones(3), TS, KEY, dt=dt)


@pytest.mark.parametrize(
    ("choices", "error", "says"),
    [
        ({"dt": 0.1}, TypeError, "ts is traced and dt=0.1, .*steps=100"),
        ({"method": "milstein", "adaptive": True}, TypeError, "ts is traced, and adaptive steps need to know it"),
    ],
)
def test_what_needs_to_know_the_times_refuses_traced_ones(choices, error, says):
    with pytest.raises(error, match=says):
        jax.jit(lambda ts: sdeint_ito(f, f, jnp.ones(3), ts, KEY, **choices))(TS)


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        ({"steps": 10, "dt": 0.1}, "Both a number of steps, 10, and dt=0.1"),
        ({"steps": 0}, "The number of steps is 0; it is a whole number"),
        ({"steps": True}, "The number of steps is True"),
        ({"steps": 2**31}, r"number=2147483648 makes 2.15e\+09 steps"),
        ({"steps": 10, "adaptive": True, "method": "milstein"}, "adaptive=True finds the number of steps"),
    ],
)
def test_the_number_of_steps(choices, says):
    with pytest.raises(ValueError, match=says):
        sdeint_ito(f, f, jnp.ones(3), TS, KEY, **choices)


def test_keys_that_are_known_are_compared_in_a_function_that_is_traced(unchecked):
    def end(y0, key):
        return sdeint_ito(f, f, y0, TS, KEY, brownian=VirtualTree(key, 0.0, 1.0, 2**-10))[-1]

    other = jax.random.key(1)
    assert jnp.isfinite(jax.jit(lambda y0: end(y0, KEY))(jnp.ones(3))).all()
    with pytest.raises(ValueError, match="VirtualTree of another key than rng"):
        jax.jit(lambda y0: end(y0, other))(jnp.ones(3))


def test_numbers_of_steps_are_those_of_any_library(unchecked):
    given = AdaptiveSteps(jnp.asarray(0.5), np.float32(0.25), jnp.asarray(0.125), 1e3)  # type: ignore[arg-type]
    assert given == AdaptiveSteps(0.5, 0.25, 0.125, 1000)
    assert hash(given) == hash(AdaptiveSteps(0.5, 0.25, 0.125, 1000))
    assert repr(FixedSteps(np.int64(3))) == "FixedSteps(number=3, dt=None, times=None)"  # type: ignore[arg-type]
    assert hash(FixedSteps(dt=jnp.asarray(0.5))) == hash(FixedSteps(dt=0.5))  # type: ignore[arg-type]
    solution = solve(SDE(f), jnp.ones(3), TS, steps=AdaptiveSteps(jnp.asarray(1e-2), max_steps=1e2))  # type: ignore[arg-type]
    assert solution.result == 0


@pytest.mark.parametrize("name", ["rtol", "atol", "dt", "max_steps"])
def test_traced_numbers_of_adaptive_steps_are_refused(unchecked, name):
    with pytest.raises(TypeError, match=f"{name} is traced"):
        jax.jit(lambda x: AdaptiveSteps(**{name: x}).atol)(1.0)


def test_half_a_step_is_refused(unchecked):
    with pytest.raises(ValueError, match=r"max_steps=10\.5.*whole number"):
        AdaptiveSteps(max_steps=10.5)  # type: ignore[arg-type]


def test_a_traced_longest_step_is_refused(unchecked):
    with pytest.raises(TypeError, match="dt is traced"):
        jax.jit(lambda dt: solve(SDE(f, f), jnp.ones(3), TS, KEY, steps=FixedSteps(dt=dt)).ys)(0.1)


@pytest.mark.parametrize(
    ("sde", "choices", "error", "says"),
    [
        (SDE(f, f, "stratonovic"), {}, ValueError, "sde_type is 'stratonovic'; .* Did you mean 'stratonovich'"),  # type: ignore[arg-type]
        (SDE(f, f), {"steps": 100}, TypeError, r"steps is int; it is FixedSteps or .*, as FixedSteps\(100\)\."),
        (SDE(f, f), {"steps": 0.5}, TypeError, r"steps is float; it is .*, as FixedSteps\(dt=0\.5\)\."),
        (SDE(f, f), {"steps": None}, TypeError, r"steps is NoneType; it is FixedSteps or AdaptiveSteps of jaxsde\."),
        (SDE(f, f), {"dt": 0.1}, TypeError, r"solve has no argument 'dt'; it is said by steps=FixedSteps\(dt="),
        (SDE(f, f), {"adaptive": True}, TypeError, r"'adaptive'; it is said by steps=AdaptiveSteps\("),
        (SDE(f, f), {"noise": "scalar"}, TypeError, r"'noise'; it is said by SDE\(f, g, sde_type, noise"),
        (SDE(f, f), {"metod": "heun"}, TypeError, r"solve has no argument 'metod'\."),
        (f, {}, TypeError, "sde is function; it is an SDE of jaxsde"),
        (SimpleNamespace(f=f, g=f), {}, TypeError, r"as f lambda y, t, args: sde.f\(t, y\), and g alike"),
        (SDE(f, f), {"t0": 0.0}, TypeError, "solve has no argument 't0'; it is said by ts"),
        (SDE(f, f), {"dt_max": 0.1}, TypeError, r"it is said by steps=AdaptiveSteps\(dt_max=\.\.\.\)"),
    ],
)
def test_refusals_of_solve(unchecked, sde, choices, error, says):
    with pytest.raises(error, match=says):
        solve(sde, jnp.ones(3), TS, KEY, **choices)


@pytest.mark.parametrize(
    ("noise", "y0", "shape", "says"),
    [
        ("scalar", (3,), (3, 1), r"has to give \(3,\)\. One Brownian motion .* leave out its last axis\.$"),
        ("diagonal", (3,), (3, 1), "is noise='scalar', and g is like y: leave out its last axis"),
        ("diagonal", (3,), (3, 2), "A last axis for 2 Brownian motions is for noise='general', or 'commutative'"),
        ("scalar", (3,), (3, 4), "A last axis for 4 Brownian motions is for noise='general'"),
        ("diagonal", (3,), (3, 2), "or 'additive' where g does not depend on y"),
        ("additive", (3,), (2, 3), "or in all leaves one more axis, last, for the m Brownian motions"),
        ("scalar", (5, 3), (5, 3, 1), "leave out its last axis. If y0 is a batch take jax.vmap over y0 and keys"),
        ("diagonal", (3,), (2, 3), r"has to give \(3,\) \(a leaf without noise of its own is None\)\.$"),
        ("general", (3,), (2, 3), r"give \(3, m\), with a last axis for the m Brownian motions, .* all leaves\.$"),
        ("commutative", (3,), (3,), r"all leaves; g like y is for noise='diagonal', or .* for all of y 'scalar'\.$"),
    ],
)
def test_a_diffusion_for_another_noise_is_pointed_to_it(noise, y0, shape, says):
    with pytest.raises(ValueError, match=says):
        solve(SDE(f, lambda y, t, args: jnp.ones(shape), noise=noise), jnp.ones(y0), TS, KEY)


def test_a_key_beside_a_path_may_be_the_same_or_be_used():
    path, other = CounterPath(KEY), jax.random.key(1)
    of_path = solve(SDE(f, f), jnp.ones(3), TS, brownian=path).ys
    for rng in (KEY, jax.random.key_data(KEY)):
        np.testing.assert_array_equal(solve(SDE(f, f), jnp.ones(3), TS, rng, brownian=path).ys, of_path)
    jumps = Jumps(lambda y, t, key, args: 2 * y, 1.0)
    jumped = [solve(SDE(f), jnp.ones(3), TS, rng, brownian=path, jumps=jumps).ys for rng in jax.random.split(other)]
    assert not np.array_equal(*jumped)


def test_of_a_batch_without_vmap_general_noise_is_shared():
    """As documented: (batch, d) is one state."""
    sde = SDE(f, lambda y, t, args: jnp.ones((4, 3, 2)), noise="general")
    y0 = jnp.broadcast_to(jnp.arange(4.0)[:, None], (4, 3))
    moved = solve(sde, y0, TS, KEY, steps=FixedSteps(1)).ys[1] - y0 * (1 - TS[1])
    np.testing.assert_allclose(moved, np.broadcast_to(moved[:1], moved.shape), atol=1e-6)


def test_space_time_areas_are_asked_for():
    path = ReplayedPath(np.zeros((3, 3), np.float32))
    with pytest.raises(ValueError, match="space_time"):
        sdeint_ito_fixed_grid(f, f, jnp.ones(3), TS, None, None, "sra1", noise="additive", brownian=path)


def test_legacy_keys_and_an_ode_without_a_key():
    legacy = jax.random.PRNGKey(0)
    np.testing.assert_array_equal(
        sdeint_ito_fixed_grid(f, f, jnp.ones(3), TS, legacy), sdeint_ito_fixed_grid(f, f, jnp.ones(3), TS, KEY)
    )
    ys = sdeint_strat(f, None, jnp.ones(3), TS, None, method="heun")
    np.testing.assert_allclose(ys[-1], np.exp(-1.0), rtol=1e-4)


def test_times_are_a_list_as_well():
    np.testing.assert_array_equal(
        sdeint_ito(f, f, jnp.ones(3), [0, 0.5, 1.0], KEY), sdeint_ito(f, f, jnp.ones(3), np.array([0, 0.5, 1.0]), KEY)
    )


def test_euler_is_euler_maruyama():
    call = (f, f, jnp.ones(3), TS, KEY, None)
    np.testing.assert_array_equal(sdeint_ito(*call, "euler"), sdeint_ito(*call, "euler_maruyama"))
    with pytest.raises(ValueError, match="'euler' is not offered for an SDE of type 'stratonovich'"):
        sdeint_strat(*call, "euler")


@pytest.mark.parametrize(
    ("solver", "name", "noise", "same"),
    [
        (sdeint_ito, "srk", "diagonal", "sriw1"),
        (sdeint_ito, "srk", "scalar", "sriw1"),
        (sdeint_strat, "srk", "additive", "sra1"),
        (sdeint_strat, "log_ode", "diagonal", "midpoint"),
        (sdeint_strat, "log_ode", "scalar", "midpoint"),
        (sdeint_ito, "log_ode", "additive", "midpoint"),
        (sdeint_strat, "coupled_log_ode", "diagonal", "coupled_midpoint"),
    ],
)
def test_names_of_torchsde_are_those_of_the_methods_for_the_noise(solver, name, noise, same):
    def g(y, t, args):
        return jnp.full_like(y, 0.5) if noise == "additive" else 0.5 * y

    one, other = (solver(f, g, jnp.ones(3), TS, KEY, None, method, steps=2, noise=noise) for method in (name, same))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("solver", "name", "noise", "says"),
    [
        (sdeint_ito, "srk", "general", "'srk' is not .* it is for diagonal and additive and scalar noise.*'dri1'"),
        (sdeint_ito, "srk", "commutative", "'srk' is not .* with commutative noise: .*'milstein'"),
        (sdeint_strat, "srk", "diagonal", "'srk' is not .* it converges to the Ito solution"),
        (sdeint_ito, "log_ode", "diagonal", "'log_ode' is not .* converges to the Stratonovich .*ito_to_stratonovich"),
        (sdeint_ito, "log_ode", "general", "'log_ode' is not .* converges to the Stratonovich solution"),
    ],
)
def test_names_of_torchsde_where_no_method_of_theirs_converges(solver, name, noise, says):
    with pytest.raises(ValueError, match=says):
        solver(f, f, jnp.ones(3), TS, KEY, None, name, noise=noise)


def test_areas_are_asked_for_where_a_method_needs_them():
    """dri1 needs none with diagonal noise, so that it has the path and the tree of the others."""
    path = ReplayedPath(np.full((3, 3), 0.1, np.float32))
    found = sdeint_ito_fixed_grid(f, f, jnp.ones(3), TS, None, None, "dri1", brownian=path)
    with_areas = ReplayedPath(path.increments, np.full((3, 3), 0.3, np.float32))
    again = sdeint_ito_fixed_grid(f, f, jnp.ones(3), TS, None, None, "dri1", brownian=with_areas)
    np.testing.assert_array_equal(found, again)
    adaptive = AdaptiveSteps(1e-1, 1e-1, max_steps=64)
    tree = VirtualTree(KEY, 0.0, 1.0, 2.0**-10)
    assert solve(SDE(f, f), jnp.ones(3), [0.0, 1.0], method="dri1", steps=adaptive, brownian=tree).result == 0

    def matrix(y, t, args):
        return y[:, None] * jnp.eye(3)

    with pytest.raises(ValueError, match="'dri1' needs the space-time areas"):
        sdeint_ito_fixed_grid(f, matrix, jnp.ones(3), TS, None, None, "dri1", noise="general", brownian=path)


NOTHING = {"none": jnp.zeros((0, 2)), "some": jnp.ones(3)}


@pytest.mark.parametrize("y0", [jnp.zeros(0), NOTHING])
@pytest.mark.parametrize(
    "choices",
    [
        {"method": "euler_maruyama", "noise": "scalar", "check_finite": True},
        {"method": "reversible_heun", "noise": "additive", "adjoint": "reversible"},
        {"method": "midpoint", "noise": "additive", "adaptive": True, "rtol": 0.1, "atol": 0.1, "max_steps": 200},
    ],
)
def test_a_state_without_entries_has_a_solution_without_entries(y0, choices):
    def drift(y, t, args):
        return jax.tree.map(lambda x: -x, y)

    def diffusion(y, t, args):
        return jax.tree.map(lambda x: 0.5 * jnp.ones_like(x), y)

    ys = sdeint_ito(drift, diffusion, y0, TS[[0, -1]], KEY, **choices)
    jax.tree.map(lambda y, x: np.testing.assert_array_equal(y[0], x), ys, y0)
    assert all(np.isfinite(y).all() for y in jax.tree.leaves(ys))


@pytest.mark.parametrize("y0", [jnp.zeros(0), NOTHING])
def test_no_brownian_motions_are_an_ode(y0):
    def drift(y, t, args):
        return jax.tree.map(lambda x: -x, y)

    def matrix(y, t, args):
        return jax.tree.map(lambda x: jnp.zeros((*x.shape, 0)), y)

    def product(y, t, args):
        return lambda v: jax.tree.map(lambda x: x * v.sum(), y)

    ode = sdeint_ito(drift, None, y0, TS, None)
    with_matrix = sdeint_ito(ito_to_stratonovich(drift, matrix, "general"), matrix, y0, TS, KEY, noise="general")
    without = sdeint_ito(drift, product, y0, TS, KEY, noise="general", noise_shape=(0,))
    for found in (with_matrix, without):
        jax.tree.map(np.testing.assert_array_equal, found, ode)
