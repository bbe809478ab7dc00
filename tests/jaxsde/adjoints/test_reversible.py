"""The reversible gradient of every explicit method: that of backprop to rounding, in memory that no step adds to, and
of a solution that is the method's own within its error; or it is said that it is not.

On dy = (tanh(W y) - y) dt + g dW with five entries and a random W / sqrt(5).
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import METHODS, SDE, FixedSteps, Jumps, Langevin, ReplayedPath, Result, solve

EXPLICIT = [method for method in METHODS.values() if not method.implicit]
D = 5
W = np.random.default_rng(0).normal(size=(D, D)) / D**0.5
Y0 = np.linspace(-1.0, 1.0, D)
LIPSCHITZ = 1 + np.linalg.norm(W, 2)
NOISES = {
    "diagonal": lambda y, t, a: 0.3 * jnp.cos(y),
    "additive": lambda y, t, a: 0.3 * jnp.ones_like(y),
    "general": lambda y, t, a: 0.3 * jnp.stack([jnp.cos(y), a @ y], -1),
}


def equation(method):
    """Of noise for which the method is made, the first that it declares."""
    if method.langevin:
        return Langevin(lambda q, t, a: jnp.tanh(a @ q) - q, 0.8, 0.3), (jnp.asarray(Y0), jnp.asarray(Y0[::-1]))
    noise = next(iter(method.strong_order))
    return SDE(lambda y, t, a: jnp.tanh(a @ y) - y, NOISES[noise], method.sde_types[0], noise), jnp.asarray(Y0)


def increments(method, steps, span=1.0, seed=1):
    """With what areas the method asks for: given ones compile in a third of the time."""
    motions = 2 if "general" in method.strong_order and len(method.strong_order) == 1 else D
    draw = np.random.default_rng(seed).normal
    deviations = (span / steps) ** 0.5, (span / steps / 12) ** 0.5
    dW, H = (jnp.asarray(draw(size=(steps, motions)) * deviation) for deviation in deviations)
    A = jnp.asarray(draw(size=(steps, motions, motions)) * span / steps)
    given, areas = ((None, x) if method.langevin else x for x in (dW, H))
    return ReplayedPath(given, areas if method.space_time else None, A - A.swapaxes(1, 2) if method.area else None)


def flat(gradient):
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(gradient)])


def program(method, adjoint, steps):
    """Compiled, and as a function of the time that it takes and a seed: the gradient by y0 and args, the last state and
    the result. Backprop is that of the reversible form; without an adjoint it is the method's own solution alone.
    """
    sde, y0 = equation(method)
    name = f"coupled_{method.name}" if adjoint == "backprop" and method.inverse is None else method.name

    def loss(y0, a, path, span):
        choices = {"steps": FixedSteps(steps), "method": name, "adjoint": adjoint or "backprop", "brownian": path}
        found = solve(sde, y0, span * jnp.linspace(0.0, 1.0, 2), args=a, **choices)
        return sum(jnp.sum(jnp.sin(y)) for y in jax.tree.leaves(found.ys)), (found.end, jnp.asarray(found.result))

    function = jax.grad(loss, (0, 1), has_aux=True) if adjoint else lambda *at: loss(*at)[1]
    compiled = jax.jit(function).lower(y0, jnp.asarray(W), increments(method, steps), jnp.asarray(1.0)).compile()

    def found(span, seed):
        return compiled(y0, jnp.asarray(W), increments(method, steps, span, seed), jnp.asarray(span))

    return compiled, found


def distance(a, b):
    return np.linalg.norm(flat(a) - flat(b))


@pytest.mark.usefixtures("x64")
@pytest.mark.filterwarnings("ignore:The solution is NaN from some time", "ignore:adjoint='reversible' lost")
@pytest.mark.parametrize("method", EXPLICIT, ids=lambda method: method.name)
def test_it_is_that_of_backprop_in_constant_memory_or_it_is_said(method):
    """To 1e-10 of the whole gradient at 64 and at 1024 steps; memory at 4096 is that at 64.

    With steps of h for which h L, with L = 1 + |W| the Lipschitz constant of the drift, is from .05 to 1.5. What is not
    reported is right, and what is reported is NaN, with its gradient. Where steps are short enough nothing is reported.
    """
    memory = {}
    for steps in (64, 1024, 4096):
        compiled, reversible = program(method, "reversible", steps)
        memory[steps] = compiled.memory_analysis().temp_size_in_bytes
        if steps == 4096:
            continue
        backprop, own = (program(method, adjoint, steps)[1] for adjoint in ("backprop", None))
        for h_L in (LIPSCHITZ / steps, 0.05, 0.15, 0.25, 0.5, 1.0, 1.5):
            span = steps * h_L / LIPSCHITZ
            runs = [[f(span, seed) for f in (reversible, backprop, own)] for seed in range(1, 9)]
            jax.effects_barrier()
            if not max(np.linalg.norm(flat(plain)) for *_, (plain, _) in runs) < 1e3:
                # Reversible Heun blows up.
                break
            errors, sizes = [], []
            for (found, (end, result)), (exact, (same, reported)), (plain, _) in runs:
                assert result == reported
                errors.append(0.0)
                sizes.append(0.0)
                if result == Result.PARTED:
                    assert steps * h_L > (16 if steps == 64 else 200), h_L
                    assert np.isnan([*flat(end), *flat(found), *flat(exact)]).all()
                    continue
                assert result == Result.SUCCESSFUL
                np.testing.assert_allclose(flat(end), flat(same), rtol=1e-12, atol=1e-12 * max(abs(flat(same))))
                errors[-1], sizes[-1] = float(distance(end, plain)), float(np.linalg.norm(flat(plain)))
                # The walk back of a coupled form begins anew in each segment; in others rounding grows by e^(L T).
                allowed = 1e-10 if method.inverse is None else np.exp(np.clip(steps * h_L - 34, -23, -4))
                lost = np.isnan(flat(found)).all() and allowed > 1e-6
                assert lost or distance(found, exact) < allowed * np.linalg.norm(flat(exact)), (steps, h_L)
            # Euler's error in a step is (h L)^2 / 2, and it has decayed after 1 / (h L) steps or so. With longer steps
            # single paths of either solution are far from any; there the first of them is held, if it has not parted.
            held = slice(None) if h_L <= 0.5 else slice(1)
            assert np.linalg.norm(errors[held]) <= min(h_L, 0.5) * np.linalg.norm(sizes[held]), h_L
        if method.inverse is None and steps == 1024:
            assert result == Result.PARTED
    assert memory[4096] <= 1.01 * memory[64], memory


def decaying(rate, adjoint="reversible", steps=100, **options):
    """The last state and result of dy = -rate y dt + y / 5 dW over a time of 1, by Milstein's method."""
    sde, key = SDE(lambda y, t, rate: -rate * y, lambda y, t, rate: 0.2 * y), jax.random.key(0)
    choices = {"steps": FixedSteps(steps), "method": "milstein", "adjoint": adjoint} | options
    found = solve(sde, jnp.ones(4), np.array([0.0, 0.5, 1.0]), key, jnp.asarray(rate), **choices)
    return found.ys.sum(1), found.result


@pytest.mark.parametrize("rate", [5.0, 10.0, 20.0])
def test_what_decays_is_right_in_single_precision(rate):
    """To the error of either, of half of the rate by the step in the logarithm; without segments the sign was lost."""
    (found, result), (plain, _) = decaying(rate), decaying(rate, "stochastic")
    assert result == Result.SUCCESSFUL
    np.testing.assert_allclose(np.log(found), np.log(plain), atol=rate**2 / 100)
    of_log = jax.grad(lambda rate, adjoint: jnp.log(decaying(rate, adjoint)[0][-1]))
    np.testing.assert_allclose(of_log(rate, "reversible"), of_log(rate, "stochastic"), rtol=2 * rate / 100)


PARTS = "The solution is NaN from some time before t = 0.5.*coupled form of 'milstein'.*parted.*'stochastic'"


def test_what_parts_is_reported():
    with pytest.warns(RuntimeWarning, match=PARTS):
        ys, result = decaying(90.0)
    assert result == Result.PARTED
    assert np.isfinite(ys[0])
    assert np.isnan(ys[1:]).all()


@pytest.mark.parametrize("adjoint", ["backprop", "checkpoint", "reversible", "stochastic"])
def test_what_parts_has_no_gradient_and_is_reported_under_jit_and_vmap(adjoint):
    def value(rate):
        ys, result = decaying(rate, adjoint, method="coupled_milstein")
        return ys[-1], result

    compiled = jax.jit(jax.vmap(jax.grad(value, has_aux=True)))
    with pytest.warns(RuntimeWarning, match=r"\(the first of 2 solutions of 3 in a batch\).* the two solutions"):
        gradient, results = jax.block_until_ready(compiled(jnp.asarray([90.0, 1.0, 95.0])))
    np.testing.assert_array_equal(results, [Result.PARTED, Result.SUCCESSFUL, Result.PARTED])
    np.testing.assert_array_equal(np.isnan(gradient), [True, False, True])


def test_what_parted_does_not_jump_back():
    """A jump begins the coupling anew, from a state that is none."""
    with pytest.warns(RuntimeWarning, match=r"The solution is NaN from some time before t = 1.0.*parted"):
        _, result = decaying(
            90.0,
            "backprop",
            method="coupled_milstein",
            jumps=Jumps(lambda y, t, key, a: jnp.ones_like(y), 3.0, most=20),
        )
    assert result == Result.PARTED


def from_rest(y, t, args):
    return {"x": y["v"], "v": -y["x"] - y["v"], "w": -3 * y["w"], "cost": y["w"] ** 2}


def shaken(y, t, args):
    return {"x": jnp.zeros(()), "v": jnp.ones(()), "w": jnp.ones(()), "cost": jnp.zeros(())}


@pytest.mark.parametrize("method", ["euler_maruyama", "milstein", "sriw1", "dri1"])
@pytest.mark.parametrize("steps", [20, 64, 256])
def test_states_that_begin_at_zero_or_go_through_it_have_not_parted(method, steps):
    """An error of a step is large beside such a state, for a moment, in one of thousands of paths."""

    def end(key):
        zeros = jax.tree.map(jnp.zeros_like, shaken(None, None, None))
        choices = {"steps": FixedSteps(steps), "method": method, "adjoint": "reversible"}
        return solve(SDE(from_rest, shaken), zeros, [0.0, 1.0], key, **choices).result

    results = jax.jit(jax.vmap(end))(jax.random.split(jax.random.key(0), 2000))
    np.testing.assert_array_equal(results, Result.SUCCESSFUL)


@pytest.mark.parametrize("steps", [20, 64, 256, 1000])
@pytest.mark.filterwarnings("ignore:The solution is NaN from some time")
def test_a_decay_is_right_or_reported_at_every_rate(steps):
    """Right to two hundredths of what it began with, where it is not NaN."""

    def end(rate, adjoint):
        sde = SDE(lambda y, t, rate: -rate * y, lambda y, t, rate: 0.2 * y)
        choices = {"steps": FixedSteps(steps), "method": "milstein", "adjoint": adjoint}
        found = solve(sde, jnp.ones(()), [0.0, 1.0], jax.random.key(0), rate, **choices)
        return found.ys[-1], found.result

    rates = jnp.geomspace(1.0, 1.5 * steps, 40)
    (found, results), (plain, _) = (jax.vmap(lambda rate, a=a: end(rate, a))(rates) for a in ("reversible", "backprop"))
    jax.effects_barrier()
    right = np.isfinite(found)
    assert right[rates < 30 * min(1, steps / 64)].all()
    np.testing.assert_allclose(found[right], plain[right], atol=0.02)
    assert np.isnan(found[results == Result.PARTED]).all()
    assert (results == Result.PARTED).any()
