"""Outside of `jit` a solve compiles once a process for one shape, and is never answered from what has changed."""

import dataclasses
import gc
import weakref
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import CounterPath, Increment, ito_to_stratonovich, sdeint_ito, sdeint_ito_fixed_grid, sdeint_strat
from jaxsde.compiled import recalled

TS = np.linspace(0.0, 1.0, 5)
KEY = jax.random.key(0)
Y0 = jnp.array([1.0, 0.5])
factor = 1.0

compiled = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, duration_secs, **_: compiled.append(event) if event.endswith("backend_compile_duration") else None
)


def compilations(call):
    compiled.clear()
    jax.block_until_ready(call())
    return len(compiled)


def drift(rate):
    return lambda y, t, args: -rate * jax.nn.softplus(y) * args


def noise(y, t, args):
    return 0.2 * y


def ends(f, rate, key=KEY, **how):
    return sdeint_ito(f, noise, Y0, TS[::4], key, rate, dt=0.1, **how)


def adaptive(rate):
    how: dict[str, Any] = {"method": "heun", "adaptive": True, "rtol": 1e-2, "atol": 1e-2, "dt": 0.25, "max_steps": 24}
    return sdeint_strat(drift(1.0), noise, Y0, TS[::4], KEY, rate, check_finite=True, **how)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Scaled(CounterPath):
    def increment(self, k, t, h, like, space_time=False):  # type: ignore[override]
        dW = CounterPath(self.rng).increment(k, t, h, like).dW
        return Increment(tuple(self.cholesky * x for x in dW))


@pytest.mark.parametrize(
    "solve",
    [
        lambda rate: sdeint_ito_fixed_grid(drift(1.0), noise, Y0, TS, KEY, rate),
        # A sweep: the functions themselves have the number.
        lambda rate: sdeint_ito_fixed_grid(
            drift(rate), lambda y, t, args: jnp.where(y > rate, rate, y), Y0, TS, KEY, 1.0
        ),
        lambda rate: sdeint_ito_fixed_grid(
            drift(1.0), lambda y, t, args: rate * jax.lax.map(jnp.sin, y), Y0, TS, KEY, rate, "milstein"
        ),
        lambda rate: ends(drift(1.0), rate, save=lambda y: y[0], running=lambda y, t, h, dW, args: h * args),
        lambda rate: jax.value_and_grad(lambda rate: ends(drift(1.0), rate, adjoint="backprop").sum())(rate),
        lambda rate: jax.grad(lambda rate: ends(drift(rate), 1.0, adjoint="stochastic").sum())(rate),
        lambda rate: jax.grad(lambda rate: ends(drift(rate), 1.0, adjoint="checkpoint").sum())(rate),
        lambda rate: jax.vmap(lambda key: ends(drift(1.0), rate, key))(jax.random.split(KEY, 3)),
        lambda rate: sdeint_strat(ito_to_stratonovich(drift(1.0), noise), noise, Y0, TS, KEY, rate, dt=0.1),
        lambda rate: ends(drift(1.0), rate, brownian=Scaled(KEY, jnp.asarray(rate)), key=None),
        adaptive,
    ],
)
def test_new_functions_of_the_same_program_compile_once(solve):
    solve(0.5)
    solve(0.6)
    assert compilations(lambda: solve(0.7)) == 0
    for a, b in zip(jax.tree.leaves(solve(0.7)), jax.tree.leaves(jax.jit(solve)(0.7)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4)


class Model:
    rate = 1.0

    def drift(self, y, t, args):
        return -self.rate * y


def test_what_a_function_reads_may_change_between_calls(monkeypatch):
    model, array, settings = Model(), np.ones(2, np.float32), {"rate": 1.0}

    def reads_global(y, t, args):
        return -factor * y

    def reads_array(y, t, args):
        return -array * y

    def reads_dict(y, t, args):
        return -settings["rate"] * y

    def solve(f):
        return sdeint_ito_fixed_grid(f, None, Y0, TS, None)

    functions = [reads_global, reads_array, reads_dict, model.drift]
    before = [solve(f) for f in functions]
    monkeypatch.setitem(globals(), "factor", 2.0)
    array *= 2
    model.rate = settings["rate"] = 2.0
    for f, old in zip(functions, before, strict=True):
        np.testing.assert_allclose(old[-1], Y0 * 0.75**4, rtol=1e-6)
        np.testing.assert_allclose(solve(f)[-1], Y0 * 0.5**4, rtol=1e-6)
    assert compilations(lambda: solve(reads_array)) == 0


def test_rules_of_derivatives_of_one_name_are_told_apart():
    def clipped(limit):
        @jax.custom_vjp
        def identity(x):
            return x

        identity.defvjp(lambda x: (x, None), lambda _, a: (jnp.clip(a, -limit, limit),))
        return identity

    def gradient(limit):
        rule = clipped(limit)
        return jax.grad(lambda y0: sdeint_ito_fixed_grid(lambda y, t, _: rule(y), None, y0, TS[:2], None)[-1].sum())(Y0)

    np.testing.assert_allclose(gradient(1.0), 1.25, rtol=1e-6)
    np.testing.assert_allclose(gradient(0.1), 1.1, rtol=1e-6)
    np.testing.assert_allclose(gradient(1.0), 1.25, rtol=1e-6)


def test_arguments_may_be_read_while_tracing():
    def f(y, t, args):
        return -y * (2.0 if args["rate"] > 1 else 1.0) if args["name"] == "decay" else y

    for rate, factor in ((2.0, 0.5), (0.5, 0.75), (2.0, 0.5)):
        y = sdeint_ito_fixed_grid(f, None, Y0, TS, None, {"rate": rate, "name": "decay"})
        np.testing.assert_allclose(y[-1], Y0 * factor**4, rtol=1e-6)


def test_rules_of_derivatives_may_read_what_changes():
    factors = np.ones(2, np.float32)

    @jax.custom_vjp
    def identity(x):
        return x

    identity.defvjp(lambda x: (x, None), lambda _, a: (a * factors,))

    def gradient():
        f = lambda y, t, _: identity(y)  # noqa: E731
        return jax.grad(lambda y0: sdeint_ito_fixed_grid(f, None, y0, TS[:2], None)[-1].sum())(Y0)

    np.testing.assert_allclose(gradient(), 1.25, rtol=1e-6)
    factors *= 0
    np.testing.assert_allclose(gradient(), 1.0, rtol=1e-6)


def test_rules_beside_what_has_no_derivative():
    def called_back(y, t, args):
        return -jax.nn.relu(y) + 0 * jax.pure_callback(lambda x: np.asarray(x), jax.ShapeDtypeStruct((2,), y.dtype), y)

    def looped(y, t, args):
        @jax.custom_vjp
        def identity(x):
            return x

        identity.defvjp(lambda x: (x, None), lambda _, a: (2 * a,))
        return -identity(y) * jax.lax.while_loop(lambda n: n < 1.0, lambda n: n + 1.0, t)

    y = sdeint_ito_fixed_grid(called_back, None, Y0, TS[:2], None)
    np.testing.assert_allclose(y[-1], 0.75 * Y0, rtol=1e-6)
    gradient = jax.grad(lambda y0: sdeint_ito_fixed_grid(looped, None, y0, [0.0, 0.25], None)[-1].sum())(Y0)
    np.testing.assert_allclose(gradient, 1 - 2 * 0.25, rtol=1e-6)


def test_numbers_are_computed_with_in_double_precision():
    def of_dates(y, t, args):
        return -y * 60 / (args["end"] - args["start"])

    def correlated(y, t, args):
        return -y * jnp.sqrt(1 - args**2) / np.sqrt(2e-8)

    def compared(y, t, args):
        assert isinstance(args, float)
        return -y

    for f, args in ((of_dates, {"start": 1.7e9, "end": 1.7e9 + 60}), (correlated, 1 - 1e-8), (compared, 0.5)):
        y = sdeint_ito_fixed_grid(f, None, Y0, TS, None, args)
        np.testing.assert_allclose(y[-1], Y0 * 0.75**4, rtol=1e-6)


def test_functions_see_values_where_jit_is_disabled():
    seen = []

    def f(y, t, args):
        seen.append(y)
        return -y

    with jax.disable_jit():
        sdeint_ito_fixed_grid(f, None, Y0, TS[:2], None)
    np.testing.assert_array_equal(seen[-1], Y0)


def test_functions_are_not_kept():
    def solve(rate):
        f = drift(1.0)
        jax.grad(lambda rate: ends(f, rate).sum())(rate)
        adaptive(rate)
        return weakref.ref(f)

    solve(0.5)
    gc.collect()
    arrays = len(jax.live_arrays())
    found = [solve(0.1 * i) for i in range(5)]
    gc.collect()
    assert all(ref() is None for ref in found)
    assert len(jax.live_arrays()) == arrays


@pytest.fixture
def only_new_objects():
    """JAX looks for leaks among all objects there are, those of every import too, again and again."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize(
    ("g", "how"),
    [
        (noise, {}),
        (lambda y, t, args: 0.2 * jnp.ones_like(y), {"noise": "additive"}),
        (noise, {"noise": "scalar"}),
        (lambda y, t, args: jnp.outer(y, jnp.arange(3.0)), {"noise": "general"}),
        (lambda y, t, args: lambda v: y * v.sum(), {"noise": "general", "noise_shape": (3,)}),
    ],
)
def test_no_tracer_leaks(g, how, only_new_objects):
    def loss(rate, key):
        return sdeint_ito(drift(rate), g, Y0, TS, key, 1.0, dt=0.25, **how).sum()

    with jax.checking_leaks():
        over_keys = jax.vmap(jax.grad(loss), (None, 0))
        eager = over_keys(0.5, jax.random.split(KEY, 2))
        traced = jax.jit(over_keys)(0.5, jax.random.split(KEY, 2))
    np.testing.assert_allclose(eager, traced, rtol=1e-5)


def test_what_is_closed_over_is_not_what_is_given():
    """The two programs are alike but for that: c * y, and t * y of what is given."""
    c = jnp.float32(3.0)
    y, t = jnp.float32(2.0), jnp.float32(5.0)
    closed_over = jax.make_jaxpr(lambda y: c * y)(y)
    given = jax.make_jaxpr(lambda t, y: t * y)(t, y)
    for closed, inputs, expected in ((closed_over, (y,), 6.0), (given, (t, y), 10.0), (closed_over, (y,), 6.0)):
        run, arrays = recalled(closed)
        assert jax.tree.leaves(run(arrays, *inputs)) == [expected]
