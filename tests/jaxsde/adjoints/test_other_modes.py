"""Which derivatives an adjoint has beside a gradient, and that the others are refused in a sentence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import SDE, FixedSteps, sdeint_ito, solve

Y0 = jnp.array([0.5, 1.0])
ITO = SDE(lambda y, t, args: -args * jnp.sin(y), lambda y, t, args: 0.3 * jnp.cos(y))
STRATONOVICH = SDE(ITO.drift, ITO.diffusion, "stratonovich")
STEPS = 16
# Of each the sentence that refuses a gradient of a gradient, if one does.
CASES = {
    "backprop": (ITO, "euler", "backprop", None),
    "checkpoint": (ITO, "euler", "checkpoint", None),
    "reversible": (STRATONOVICH, "reversible_heun", "reversible", None),
    "ees25": (STRATONOVICH, "ees25", "reversible", "undoes steps of 'ees25'.*'backprop' or 'checkpoint'"),
    "stochastic": (ITO, "euler", "stochastic", "'stochastic', the default .* Pass adjoint='checkpoint'.*jax.hessian"),
    "implicit": (ITO, "implicit_euler", "backprop", "Newton's loop .*jax.hessian"),
}


def energy(case):
    sde, method, adjoint, _ = CASES[case]

    def of(y):
        ys = solve(
            sde, y, np.array([0.0, 1.0]), jax.random.key(0), jnp.asarray(0.7, y.dtype), steps=FixedSteps(STEPS),
            method=method, adjoint=adjoint,
        ).ys  # fmt: skip
        return (ys[-1] ** 2).sum()

    return of


@pytest.mark.parametrize("case", CASES)
def test_second_derivatives(x64, case):
    of, refused = energy(case), CASES[case][-1]
    y0 = jnp.asarray(Y0, jnp.float64)
    curvature = jax.hessian(of)(y0)
    slope, step = jax.grad(of), 1e-5
    for i, unit in enumerate(np.eye(2)):
        change = (slope(y0 + step * unit) - slope(y0 - step * unit)) / (2 * step)
        np.testing.assert_allclose(curvature[i], change, atol=1e-6)
    twice = jax.grad(lambda y: slope(y).sum())
    if refused is None:
        np.testing.assert_allclose(twice(y0), curvature.sum(0), rtol=1e-8)
        return
    for function in (twice, jax.jit(twice)):
        with pytest.raises(TypeError, match=refused):
            function(y0)


@pytest.mark.parametrize("case", ["stochastic", "reversible"])
def test_forward_mode_through_a_walk_back_is_refused(case):
    of, says = energy(case), r"Forward mode.* jax\.jvp .*'backprop' and 'checkpoint'.*Pass adjoint='checkpoint'"
    calls = (
        lambda: jax.jvp(of, (Y0,), (Y0,)),
        lambda: jax.jit(jax.jacfwd(of))(Y0),
        lambda: jax.vmap(jax.jacfwd(of))(jnp.stack([Y0, Y0])),
    )
    for call in calls:
        with pytest.raises(TypeError, match=says):
            call()


def test_forward_mode_of_what_the_solve_does_not_depend_on_is_nothing():
    def both(y, other):
        return sdeint_ito(ITO.drift, ITO.diffusion, y, np.array([0.0, 1.0]), jax.random.key(0), 0.7)[-1] + other

    primal, tangent = jax.jvp(lambda other: both(Y0, other), (Y0,), (Y0,))
    np.testing.assert_array_equal(tangent, Y0)
    assert np.isfinite(primal).all()


@pytest.mark.parametrize("case", ["stochastic", "reversible"])
def test_gradients_through_loops_and_recomputation_are_not_refused(case):
    """Where JAX computes tangents that are zero beside those that are not, and derivatives again."""
    of = energy(case)

    def repeated(w):
        def body(carry, _):
            total, y = carry
            return (total + of(w * y) + of(y), y), None

        return jax.lax.scan(jax.checkpoint(body), (jnp.zeros(()), Y0), None, length=2)[0][0]

    once = jax.grad(lambda w: of(w * Y0))(1.0)
    np.testing.assert_allclose(jax.grad(repeated)(1.0), 2 * once, rtol=1e-5)
    np.testing.assert_allclose(jax.jit(jax.vmap(jax.grad(repeated)))(jnp.ones(2)), 2 * once, rtol=1e-5)
