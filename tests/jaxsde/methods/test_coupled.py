"""The reversible form of a method: what its orders and gradients do not show."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import METHODS, SDE, AdaptiveSteps, FixedSteps, sdeint_ito, sdeint_strat, solve
from jaxsde.brownian import Increment
from jaxsde.flat_sde import FlatSDE
from jaxsde.methods.coupled import coupled

KEY = jax.random.key(0)
Y0 = jnp.asarray([0.5, -1.0])
ENDS = np.asarray([0.0, 1.0])


def f(y, t, args):
    return jnp.sin(y) * args


def g(y, t, args):
    return 0.5 * y * args


def gradient(method, adjoint, steps, g=g):
    def loss(y0, args):
        choices = {"steps": steps, "method": method, "adjoint": adjoint}
        return jnp.sum(jnp.cos(solve(SDE(f, g, "stratonovich"), y0, ENDS[::-1], KEY, args, **choices).ys[-1]))

    return jnp.append(*jax.jit(jax.grad(loss, (0, 1)))(jnp.asarray(Y0, float), jnp.asarray(1.0)))


def test_rounding_does_not_grow_with_the_number_of_steps(x64):
    """By a quarter of the digits in all: a coupling of 0.999 in each of these would make it 5e8."""
    exact = gradient("coupled_midpoint", "backprop", FixedSteps(20_000))
    np.testing.assert_allclose(gradient("midpoint", "reversible", FixedSteps(20_000)), exact, rtol=1e-10)


def test_adaptive_steps_have_the_same_gradient(x64):
    steps = AdaptiveSteps(rtol=1e-3, atol=1e-3, max_steps=50)
    exact = gradient("coupled_heun", "backprop", steps, None)
    np.testing.assert_allclose(gradient("heun", "reversible", steps, None), exact, rtol=1e-10)


def test_the_error_of_a_coupled_step_is_that_of_the_step_it_is_made_of(x64):
    method, y = METHODS["sriw1"], (jnp.asarray(Y0, float),)
    sde = FlatSDE(f, g, "ito", "diagonal", y[0], y)
    where = jnp.asarray(0.3), jnp.asarray(0.1), Increment((jnp.asarray([0.2, -0.3]),), (jnp.asarray([0.1, 0.05]),)), 1.0
    form = coupled(method, 64, False, 1e-16)
    carry = form.step(sde, form.init(sde, y, where[0], 1.0), *where)
    assert form.embedded is not None
    assert method.embedded is not None
    end, error = form.embedded(sde, carry, *where)
    for found, exact in ((end, form.step(sde, carry, *where)), (error, method.embedded(sde, carry.z, *where)[1])):
        jax.tree.map(np.testing.assert_array_equal, found, exact)


@pytest.mark.parametrize("method", ["euler_maruyama", "milstein", "sriw1"])
@pytest.mark.parametrize("ts", [ENDS, ENDS[::-1]])
def test_it_is_a_solution_of_ito_in_either_direction(x64, method, ts):
    """The correction of Ito's calculus moves these by 0.1; what is right for Stratonovich's would move them by 0.2."""
    plain, coupled = (
        sdeint_ito(f, g, jnp.asarray(Y0, float), ts, KEY, 1.0, which, steps=2000)[-1]
        for which in (method, f"coupled_{method}")
    )
    np.testing.assert_allclose(coupled, plain, rtol=2e-2 if method == "euler_maruyama" else 5e-3)


def test_what_it_costs():
    for sde, method, each in (
        (SDE(f, g, "stratonovich"), "midpoint", 4),
        (SDE(f, g), "milstein", 2),
        (SDE(f, g), "sriw1", 4),
        (SDE(f, lambda y, t, a: 0.5 * jnp.ones_like(y), noise="additive"), "sra1", 4),
    ):
        solution = solve(sde, Y0, ENDS, KEY, 1.0, steps=FixedSteps(8), method=method, adjoint="reversible")
        assert solution.stats.evaluations == 8 * each


def test_a_gradient_computes_each_half_once_on_its_way_back():
    """The drift of Milstein's form twice a step forth, and twice back: for the step undone and its derivative alike."""

    def end(args):
        return jnp.sum(solve(SDE(f, g), Y0, ENDS, KEY, args, method="milstein", adjoint="reversible").end)

    assert str(jax.make_jaxpr(jax.grad(end))(jnp.asarray(1.0))).count(" sin ") == 4


def test_what_cannot_be_coupled_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="'reversible_heun' carries more than the state"):
        sdeint_strat(f, g, Y0, ENDS, KEY, 1.0, "coupled_reversible_heun")
    without = dataclasses.replace(METHODS["reversible_heun"], name="of_today", inverse=None)
    monkeypatch.setitem(METHODS, "of_today", without)
    with pytest.raises(ValueError, match=r"'of_today' carries more than .* with adjoint='reversible' 'heun'"):
        sdeint_strat(f, g, Y0, ENDS, KEY, 1.0, "of_today", adjoint="reversible")
    with pytest.raises(ValueError, match="Did you mean 'midpoint'"):
        sdeint_strat(f, g, Y0, ENDS, KEY, 1.0, "coupled_midpont")
