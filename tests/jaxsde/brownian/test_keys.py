"""That a path is a function of its key alone, whatever generator the key is of and whatever else is drawn from it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import (
    CounterPath,
    ReplayedPath,
    VirtualTree,
    brownian_increments,
    sdeint_ito,
    sdeint_ito_fixed_grid,
)

SIZE = 64
ONE = jax.ShapeDtypeStruct((SIZE,), jnp.float32)
TS = np.linspace(0, 1, 4)


def typed(impl):
    return jax.random.split(jax.random.key(3, impl=impl), 3)


def raw(impl):
    return jax.random.key_data(typed(impl))


def drift(y, t, args):
    return -y


def diffusion(y, t, args):
    return 0.5 * jnp.ones_like(y)


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg", "unsafe_rbg"])
@pytest.mark.parametrize("make_keys", [typed, raw])
def test_a_path_of_a_batch_is_the_path_alone(impl, make_keys):
    keys = make_keys(impl)

    def draws(key, t):
        fixed = CounterPath(key).increment(2, 0.0, jnp.asarray(0.5), (ONE, ONE), space_time=True)
        tree = VirtualTree(key, 0.0, 1.0, 2.0**-4).value(t, (ONE,))
        return fixed, tree, brownian_increments(key, TS, {"w": ONE, "none": None})

    times = jnp.asarray([0.1, 0.5, 0.7])
    together, other = (jax.vmap(draws)(keys, t) for t in (times, times.at[0].set(0.9)))
    for lane in (1, 2):
        alone = draws(keys[lane], times[lane])
        for batch in (together, other):
            jax.tree.map(lambda a, b, lane=lane: np.testing.assert_array_equal(a, b[lane]), alone, batch)


@pytest.mark.parametrize("impl", ["rbg", "unsafe_rbg"])
def test_increments_are_those_of_the_solve_and_a_raw_key_is_the_typed_one(impl):
    for key, same in zip(typed(impl), raw(impl), strict=True):
        solved = sdeint_ito_fixed_grid(drift, diffusion, jnp.ones(3), TS, key)
        path = ReplayedPath(brownian_increments(same, TS, jnp.ones(3)))
        again = sdeint_ito_fixed_grid(drift, diffusion, jnp.ones(3), TS, None, brownian=path)
        np.testing.assert_allclose(solved, again, rtol=1e-6)
    with jax.default_prng_impl(impl):
        key = jax.random.PRNGKey(0)
        same = jax.random.key(0)
        np.testing.assert_array_equal(brownian_increments(key, TS, ONE), brownian_increments(same, TS, ONE))
        # Nor does a raw key of threefry change with the default.
        found = brownian_increments(np.asarray([0, 7], np.uint32), TS, ONE)  # type: ignore[arg-type]
    np.testing.assert_array_equal(found, brownian_increments(jax.random.key(7), TS, ONE))


def test_adaptive_steps_of_a_path_do_not_depend_on_the_rest_of_the_batch():
    def end(key, rate):
        return sdeint_ito(
            lambda y, t, rate: -rate * y, diffusion, jnp.zeros(2), np.array([0.0, 1.0]), key, rate, noise="additive",
            adaptive=True, rtol=0.0, atol=0.05, max_steps=200, adjoint="backprop",
        )[-1]  # fmt: skip

    ends = jax.jit(jax.vmap(end))
    calm, stiff = (ends(typed("rbg")[:2], jnp.asarray([1.0, rate])) for rate in (1.0, 20.0))
    np.testing.assert_array_equal(calm[0], stiff[0])
    assert not np.allclose(calm[1], stiff[1])


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_no_draw_is_one_that_a_user_makes_from_the_same_key(impl):
    key = jax.random.key(5, impl=impl)
    ours: list[Any] = []
    h = jnp.asarray(1.0)
    for k in range(4):
        increment = CounterPath(key).increment(k, 0.0, h, (ONE,), space_time=True)
        pair = CounterPath(key).increment(k, 0.0, h, (ONE, ONE), space_time=True)
        ours += [increment.dW[0], increment.H[0], pair.dW[1], pair.H[1]]
    tree = VirtualTree(key, 0.0, 1.0, 2.0**-2)
    ours += [tree.value(jnp.asarray(t), (ONE,))[0] for t in (0.25, 0.5, 1.0)]
    theirs = [
        key,
        *(jax.random.fold_in(key, k) for k in range(5)),
        *jax.random.split(key, 2),
        *jax.random.split(key, 7),
    ]
    theirs += [a for b in jax.random.split(key, 3) for a in jax.random.split(b)]
    theirs += [jax.random.fold_in(jax.random.fold_in(key, 0), k) for k in range(3)]
    drawn = np.stack([jax.random.normal(k, (SIZE,)) for k in theirs])
    both = np.corrcoef(np.concatenate([np.stack(ours), drawn]))
    # Six standard errors of a correlation of 64 pairs.
    assert np.abs(both[: len(ours), len(ours) :]).max() < 6 / SIZE**0.5
    among_paths = both[: len(ours) - 3, : len(ours) - 3] - np.eye(len(ours) - 3)
    assert np.abs(among_paths).max() < 6 / SIZE**0.5


@pytest.mark.parametrize("rng", [np.zeros(3, np.uint32), np.zeros(0, np.uint32), np.zeros(2, np.int32), 0, None])
def test_what_is_not_one_key_is_refused(rng):
    with pytest.raises(TypeError, match=r"needs one JAX key, such as .* 2 \(threefry\) or 4 \(rbg\)"):
        brownian_increments(rng, TS, ONE)
    with pytest.raises(TypeError, match="needs one JAX key"):
        sdeint_ito_fixed_grid(drift, diffusion, jnp.ones(3), TS, rng)
