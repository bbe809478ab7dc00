"""A diffusion that is not of the noise type that it is declared to be is found before any integration."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import (
    METHODS,
    SDE,
    AdaptiveSteps,
    g_dg,
    ito_to_stratonovich,
    sdeint_ito,
    sdeint_ito_fixed_grid,
    sdeint_strat,
    solve,
    stratonovich_to_ito,
)
from jaxsde.noise_contract import depends_on_state, has_cross_terms
from jaxsde.problem import check_equation, check_noise

KEY = jax.random.key(0)
TS = np.linspace(0, 1, 3)
Y = jnp.asarray([1.0, 2.0, 3.0])
A = jnp.asarray(np.random.default_rng(0).normal(size=(3, 3)), jnp.float32)


@jax.custom_vjp
def without_forward_mode(y):
    return jnp.flip(y)


without_forward_mode.defvjp(lambda y: (jnp.flip(y), None), lambda _, a: (jnp.flip(a),))


def network_for_each_entry(y, t, args):
    """Its products are rounded as an accelerator's are, unless they are asked for in full precision."""

    def product(a, b):
        if jax.config.jax_default_matmul_precision != "highest":
            a, b = (jax.lax.reduce_precision(x, 8, 10) for x in (a, b))
        return a @ b

    return jax.vmap(lambda x: product(jnp.tanh(product(x[None], A[:1])), A[:, :1])[0])(y)


@pytest.mark.parametrize(
    ("g", "depends", "crosses"),
    [
        (lambda y, t, a: jnp.ones_like(y), False, False),
        (lambda y, t, a: 0 * y + a["s"], False, False),
        (lambda y, t, a: y - y + 0.5, False, False),
        (lambda y, t, a: jnp.ones(3) * jax.nn.softmax(y).sum(), False, False),
        (lambda y, t, a: jnp.where(a["i"] > 7, y, jnp.ones(3)), False, False),
        (lambda y, t, a: 0.8 * y, True, False),
        (lambda y, t, a: jnp.where(y > 0, jnp.sqrt(jnp.abs(y)), jax.nn.softplus(y)), True, False),
        (lambda y, t, a: jnp.sqrt(jnp.stack([y[0], y[1], y[2]])), True, False),
        (lambda y, t, a: jnp.diag(jnp.asarray([1.0, 2.0, 3.0])) @ y, True, False),
        (lambda y, t, a: jax.vmap(lambda x: x * t)(y), True, False),
        (network_for_each_entry, True, False),
        (lambda y, t, a: jax.lax.stop_gradient(y), True, False),
        (lambda y, t, a: y * jnp.asarray([1.0, 2.0])[a["i"]] + a["s"], True, False),
        (lambda y, t, a: jnp.stack([y[1], jnp.ones_like(y[1]), y[2]]), True, True),
        (lambda y, t, a: A @ y, True, True),
        (lambda y, t, a: a["s"] * (y - y.mean()), True, True),
        (lambda y, t, a: jnp.roll(y, 1), True, True),
    ],
)
def test_what_is_found_alone_and_under_transformations(g, depends, crosses):
    found = []

    def ask(y, t, args):
        found.append((depends_on_state(g, y, t, args), has_cross_terms(g, y, t, args)))
        return y.sum()

    args = {"i": jnp.asarray(1), "s": jnp.asarray(2.0)}
    ask(Y, jnp.asarray(0.0), args)
    jax.eval_shape(jax.vmap(jax.grad(ask), (0, None, None)), Y[None], jnp.asarray(0.0), args)
    jax.eval_shape(lambda y: ask(y, 0.0, {"i": 1, "s": 2.0}), Y)
    assert found == [(depends, crosses)] * 3


def test_cross_terms_with_parts_that_have_no_noise_are_none():
    # The noise of the momentum depends on the position, which has none.
    y = {"p": jnp.ones(2), "q": jnp.ones(2)}
    assert not has_cross_terms(lambda y, t, a: {"p": jnp.sin(y["q"]), "q": None}, y, 0.0, None)
    assert has_cross_terms(lambda y, t, a: {"p": jnp.sin(y["q"]), "q": y["q"]}, y, 0.0, None)
    assert depends_on_state(lambda y, t, a: {"p": jnp.sin(y["q"]), "q": None}, y, 0.0, None)


def test_what_has_no_derivative_in_forward_mode_is_let_pass():
    assert not has_cross_terms(lambda y, t, a: without_forward_mode(y), Y, 0.0, None)


def test_a_probe_outside_of_the_domain_is_no_error():
    with jax.debug_nans(True), jax.debug_infs(True):
        assert not has_cross_terms(lambda y, t, a: jnp.log(jnp.stack([y[0], y[1], y[2]])) / t, Y, 0.0, None)


TURNS = jnp.asarray(np.random.default_rng(1).normal(size=(2, 3, 3)), jnp.float32)


def heisenberg(y, t, args):
    """Of two motions and their area."""
    return jnp.asarray([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]).at[2, 1].set(y[0])


S = jnp.asarray([[1.0, 0.5], [-0.3, 2.0], [0.7, 0.0]])


@pytest.mark.parametrize(
    ("g", "shape", "crosses"),
    [
        (lambda y, t, a: S, None, False),
        (lambda y, t, a: 100 * y[:, None] * S, None, False),
        (lambda y, t, a: jnp.outer(jnp.roll(y, 1) * t, a["c"]), None, False),
        (lambda y, t, a: jnp.sin(A @ y)[:, None], None, False),
        (lambda y, t, a: jnp.stack([A @ y, A @ (A @ y) - 2 * y], -1), None, False),
        (lambda y, t, a: lambda v: y * (S @ v), (2,), False),
        (lambda y, t, a: without_forward_mode(y)[:, None] * S, None, False),
        (lambda y, t, a: jnp.log(y - 1)[:, None] * S / t, None, False),
        (lambda y, t, a: y[a["i"]][:, None] * S, None, False),
        (lambda y, t, a: jnp.where(a["m"], jnp.stack([TURNS[0] @ y, TURNS[1] @ y], -1), 0), None, True),
        (lambda y, t, a: jnp.asarray([1e3, 1e-3, 1])[:, None] * heisenberg(y / 1e3, t, a), None, True),
        (lambda y, t, a: jnp.stack([TURNS[0] @ y, TURNS[1] @ y], -1), None, True),
        (lambda y, t, a: a["s"] * jnp.sin(y[:, None] * S), None, True),
        (lambda y, t, a: lambda v: TURNS[0] @ y * v[0, 0] + TURNS[1] @ y * v[1, 1], (2, 2), True),
        (heisenberg, None, True),
    ],
)  # fmt: skip
def test_columns_that_do_not_commute_are_refused_as_commutative(g, shape, crosses):
    def ask(y, t, args):
        sde = check_equation(SDE(no_drift, g, noise="commutative", noise_shape=shape), y, jnp.zeros(1), args)
        check_noise(sde, METHODS["euler_maruyama"], (y,), t, args)
        return y.sum()

    args = {"c": jnp.asarray([1.0, 3.0]), "s": jnp.asarray(0.5), "i": jnp.arange(3), "m": jnp.asarray(True)}
    for call in (
        lambda: ask(Y, jnp.asarray(0.0), args),
        lambda: jax.eval_shape(jax.vmap(jax.grad(ask), (0, None, None)), Y[None], jnp.asarray(0.0), args),
        lambda: jax.eval_shape(ask, Y, jnp.asarray(0.0), args),
    ):
        says = pytest.raises(ValueError, match=r"columns of g.* do not commute: .* noise='general', .*'davie'")
        with says if crosses else contextlib.nullcontext():
            call()


def test_a_solve_looks_at_columns_whatever_the_method():
    sde = SDE(
        no_drift, lambda y, t, a: jnp.stack([TURNS[0] @ y, a * (TURNS[1] @ y)], -1), "stratonovich", "commutative"
    )
    for choices in ({"method": "heun"}, {"method": "davie"}, {"method": "heun", "steps": AdaptiveSteps()}):
        with pytest.raises(ValueError, match=r"columns of g.* do not commute"):
            solve(sde, Y, TS, KEY, 0.5, **choices)


def no_drift(y, t, args):
    return jnp.zeros_like(y)


@pytest.mark.parametrize(
    ("solve", "method", "adaptive"),
    [
        (sdeint_ito, "midpoint", False),
        (sdeint_ito, "euler_maruyama", True),
        (sdeint_strat, "sra1", False),
    ],
)
def test_additive_noise_that_depends_on_the_state_is_refused(solve, method, adaptive):
    def run(key):
        return solve(no_drift, lambda y, t, a: 0.8 * y, Y, TS, key, None, method, noise="additive", adaptive=adaptive)

    with pytest.raises(ValueError, match=r"'additive' and g\(y, t, args\) depends on y: .*pass noise='diagonal'"):
        jax.jit(jax.vmap(run))(KEY[None])


@pytest.mark.parametrize(
    ("solve", "choices", "who"),
    [
        (sdeint_ito_fixed_grid, {"method": "milstein"}, "method 'milstein'"),
        (sdeint_strat, {"method": "milstein"}, "method 'milstein'"),
        (sdeint_ito, {"method": "sriw1"}, "method 'sriw1'"),
        (sdeint_strat, {"method": "heun", "adaptive": True}, "adaptive=True"),
    ],
)
def test_cross_terms_are_refused_where_they_would_be_wrong(solve, choices, who):
    def run(key, scale):
        return solve(no_drift, lambda y, t, a: a * jnp.flip(y), Y, TS, key, scale, **choices)

    with pytest.raises(ValueError, match=f"'diagonal' and an entry of g.*{who} needs .* alone. Take"):
        jax.jit(run)(KEY, 0.5)


def test_traced_indices_are_no_cross_terms_by_themselves():
    """Their values are not known: they may be in order. Mixing that does not hang on them is found all the same."""

    def run(g, places):
        return sdeint_ito_fixed_grid(no_drift, lambda y, t, a: g(y)[a], Y, TS, KEY, places, method="milstein")

    places = jnp.arange(3)
    direct = sdeint_ito_fixed_grid(no_drift, lambda y, t, a: 0.5 * y, Y, TS, KEY, method="milstein")
    np.testing.assert_allclose(jax.jit(lambda a: run(lambda y: 0.5 * y, a))(places), direct, rtol=1e-6)
    with pytest.raises(ValueError, match="'diagonal' and an entry of g"):
        jax.jit(lambda a: run(lambda y: A @ y, a))(places)
    with pytest.raises(ValueError, match="'diagonal' and an entry of g"):
        run(lambda y: y, places[::-1])
    # A conversion of drifts is right for any values.
    product = jax.jit(lambda a: g_dg(lambda y, t, a: y[a])(Y, 0.0, a))
    np.testing.assert_allclose(product(places), Y)
    np.testing.assert_allclose(product(places[::-1]), [0.0, 2.0, 0.0])


def test_conversion_of_diagonal_noise_with_cross_terms():
    def g(y, t, args):
        x, v = y["pair"]
        return {"pair": jnp.stack([x * v, v]), "drive": y["pair"][0] * y["drive"], "still": None}

    y = {"pair": jnp.asarray([2.0, 3.0]), "drive": jnp.asarray([1.5]), "still": jnp.ones(2)}
    # g_i dg_i / dy_i: x v . v, v . 1, and x d . x. The derivatives by the other entries belong to other motions.
    expected = {"pair": [18.0, 3.0], "drive": [6.0], "still": [0.0, 0.0]}
    product = jax.jit(g_dg(g))(y, 0.0, None)
    jax.tree.map(
        np.testing.assert_allclose, product, jax.tree.map(np.asarray, expected, is_leaf=lambda x: type(x) is list)
    )


@pytest.mark.parametrize("convert", [ito_to_stratonovich, stratonovich_to_ito])
def test_conversion_of_additive_noise_that_depends_on_the_state_is_refused(convert):
    with pytest.raises(ValueError, match="depends on y"):
        convert(no_drift, lambda y, t, a: y, "additive")(Y, 0.0, None)
