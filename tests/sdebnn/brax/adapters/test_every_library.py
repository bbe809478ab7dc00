"""What holds for the modules of every library, each with two layers, a bias, an activation and depth."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from sdebnn.brax import SDEBNN, ODEBlock, WeightProcess, drift_network
from sdebnn.brax.adapters import from_equinox, from_linen, from_nnx
from sdebnn.brax.diffeq_layers import fan_in
from sdebnn.brax.learning.arrays import from_named_arrays, to_named_arrays

KEY = jax.random.key(0)
X = jnp.linspace(-1, 1, 6).reshape(2, 3)


class EquinoxNetwork(eqx.Module):
    first: eqx.nn.Linear
    last: eqx.nn.Linear

    def __init__(self, key):
        keys = jax.random.split(key)
        self.first, self.last = eqx.nn.Linear(3, 5, key=keys[0]), eqx.nn.Linear(5, 3, key=keys[1])

    def __call__(self, x, t):
        return self.last(jnp.tanh(self.first(x) + t))


class NnxNetwork(nnx.Module):
    def __init__(self, rngs):
        self.first, self.last = nnx.Linear(3, 5, rngs=rngs), nnx.Linear(5, 3, rngs=rngs)

    def __call__(self, x, t):
        return self.last(jnp.tanh(self.first(x) + t))


class LinenNetwork(linen.Module):
    @linen.compact
    def __call__(self, x, t):
        return linen.Dense(3)(jnp.tanh(linen.Dense(5)(x) + t))


def linen_pair():
    module = LinenNetwork()
    return from_linen(module), lambda x, t: module.apply(module.init(KEY, X, 0.0), x, t)


def nnx_pair():
    module = NnxNetwork(nnx.Rngs(0))
    return from_nnx(module), module


def equinox_pair():
    module = EquinoxNetwork(KEY)
    return from_equinox(module), lambda x, t: jax.vmap(module, in_axes=(0, None))(x, t)


PAIRS = pytest.mark.parametrize("pair", [equinox_pair, nnx_pair, linen_pair])


@PAIRS
def test_it_gives_what_the_module_gives(pair):
    layer, module = pair()
    shape, params = layer.init(KEY, (-1, 3))
    assert shape == (-1, 3)
    for t in (0.0, 0.7):
        np.testing.assert_allclose(layer.apply(params, X, t=t), module(X, t), rtol=1e-6)
    with pytest.raises(ValueError, match="takes the depth t and got none"):
        layer.apply(params, X)


@PAIRS
def test_weights_follow_the_sde(pair):
    layer, _ = pair()

    def block(sigma):
        return SDEBNN(layer, WeightProcess(drift_network((4,)), sigma=sigma), steps=3, kl_estimator="analytic")

    init, apply = block(0.2)
    _, params = init(KEY, (-1, 3))
    outputs, kl = apply(params, X, rng=KEY)
    assert kl == 0
    # Without noise the module moves the hidden state by Euler's method.
    x = X
    for t in (0.0, 1 / 3, 2 / 3):
        x = x + layer.apply(params["w0"], x, t=jnp.asarray(t)) / 3
    still = block(1e-7).apply(params, X, rng=KEY)[0]
    np.testing.assert_allclose(still, x, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ODEBlock(layer, steps=3).apply(params["w0"], X), x, rtol=1e-5, atol=1e-6)
    assert np.abs(outputs - x).max() > 1e-3


@PAIRS
def test_gradients_reach_every_weight_and_transformations_agree(pair):
    layer, _ = pair()
    block = SDEBNN(layer, WeightProcess(drift_network((4,))), steps=2)
    _, params = block.init(KEY, (-1, 3))
    loss = lambda params, key: jnp.sum(jnp.square(block.apply(params, X, rng=key)[0]))  # noqa: E731
    gradient = jax.jit(jax.grad(loss))(params, KEY)
    leaves = jax.tree.leaves(gradient["w0"])
    assert sorted(leaf.size for leaf in leaves) == [3, 5, 15, 15]
    assert all(np.abs(leaf).min() > 0 for leaf in leaves)
    keys = jax.random.split(KEY, 2)
    np.testing.assert_allclose(
        jax.jit(jax.vmap(loss, (None, 0)))(params, keys), [loss(params, key) for key in keys], rtol=1e-5
    )
    step = 1e-2
    up, down = (jax.tree.map(lambda p, g, s=s: p + s * g, params, gradient) for s in (step, -step))
    squared_norm = sum(float(jnp.sum(jnp.square(leaf))) for leaf in jax.tree.leaves(gradient))
    np.testing.assert_allclose((loss(up, KEY) - loss(down, KEY)) / (2 * step), squared_norm, rtol=2e-2)


@PAIRS
def test_fan_in_counts_the_inputs(pair):
    layer, _ = pair()
    _, params = layer.init(KEY, (-1, 3))
    by_size = [(leaf.size, n) for leaf, n in zip(jax.tree.leaves(params), jax.tree.leaves(fan_in(params)), strict=True)]
    assert sorted(by_size) == [(3, 5.0), (5, 3.0), (15, 3.0), (15, 5.0)]


@PAIRS
def test_params_survive_a_checkpoint(pair):
    layer, _ = pair()
    _, params = layer.init(KEY, (-1, 3))
    named = to_named_arrays(params)
    assert len(named) == 4
    back = from_named_arrays(named, like=jax.eval_shape(lambda key: layer.init(key, (-1, 3))[1], KEY))
    np.testing.assert_array_equal(layer.apply(back, X, t=0.5), layer.apply(params, X, t=0.5))


@pytest.mark.parametrize("key", [jax.random.key(3), jax.random.PRNGKey(3)], ids=["typed", "legacy"])
@pytest.mark.parametrize(
    "fresh", [lambda: from_equinox(EquinoxNetwork), lambda: from_nnx(NnxNetwork), lambda: from_linen(LinenNetwork())]
)
def test_a_function_that_makes_modules_draws_new_weights(fresh, key):
    init = fresh().init
    a, again, b = init(key, (-1, 3))[1], init(key, (-1, 3))[1], init(KEY, (-1, 3))[1]
    jax.tree.map(np.testing.assert_array_equal, a, again)
    assert not np.allclose(jax.tree.leaves(a)[-1], jax.tree.leaves(b)[-1])
