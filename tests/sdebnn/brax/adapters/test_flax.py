import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from sdebnn.brax.adapters import from_linen, from_nnx
from sdebnn.brax.diffeq_layers import fan_in
from sdebnn.errors import InputError

KEY = jax.random.key(0)


def nnx_of(*layers):
    return nnx.Sequential(*layers)


def test_attention_has_the_fan_in_of_its_inputs():
    """Its kernels have several axes of inputs or of outputs, and one axis of biases is not enough for its heads."""
    x = jax.random.normal(KEY, (2, 3, 4))
    module = nnx.MultiHeadAttention(num_heads=2, in_features=4, qkv_features=6, decode=False, rngs=nnx.Rngs(0))
    layer = from_nnx(module)
    shape, params = layer.init(KEY, (-1, 3, 4))
    assert shape == (-1, 3, 4)
    inputs = {name: 6.0 if name == "out" else 4.0 for name in ("key", "out", "query", "value")}
    assert fan_in(params) == {name: {"bias": n, "kernel": n} for name, n in inputs.items()}
    np.testing.assert_allclose(layer.apply(params, x), module(x), rtol=1e-5)

    heads = linen.MultiHeadDotProductAttention(num_heads=2, qkv_features=6)
    layer = from_linen(heads)
    _, params = layer.init(KEY, (-1, 3, 4))
    assert fan_in(params) == {name: {"bias": n, "kernel": n} for name, n in inputs.items()}
    np.testing.assert_allclose(layer.apply(params, x), np.asarray(heads.apply(heads.init(KEY, x), x)), rtol=1e-5)


def test_convolutions_and_norms():
    shape, x = (-1, 4, 4, 2), jax.random.normal(KEY, (3, 4, 4, 2))
    rngs = nnx.Rngs(0)
    module = nnx_of(nnx.Conv(2, 2, (3, 3), rngs=rngs), nnx.GroupNorm(2, num_groups=1, rngs=rngs))
    layer = from_nnx(module)
    _, params = layer.init(KEY, shape)
    expected = [{"bias": 18.0, "kernel": 18.0}, {"bias": 1.0, "scale": 1.0}]
    assert list(fan_in(params)["layers"].values()) == expected
    np.testing.assert_allclose(layer.apply(params, x), module(x), rtol=1e-5)
    layer = from_linen(linen.Sequential([linen.Conv(2, (3, 3)), linen.LayerNorm()]))
    assert list(fan_in(layer.init(KEY, shape)[1]).values()) == expected


def test_more_than_ten_layers_keep_their_order():
    rngs = nnx.Rngs(0)
    module = nnx_of(*[nnx.Linear(2, 2, rngs=rngs) for _ in range(12)])
    layer = from_nnx(module)
    x = jnp.eye(2)
    np.testing.assert_allclose(layer.apply(layer.init(KEY, (-1, 2))[1], x), module(x), rtol=1e-6)


def test_the_module_is_left_as_it_was():
    module = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    layer = from_nnx(module)
    before = np.asarray(module.kernel[...])
    _, params = layer.init(KEY, (-1, 2))
    layer.apply(jax.tree.map(jnp.zeros_like, params), jnp.eye(2))
    np.testing.assert_array_equal(module.kernel[...], before)


def test_arrays_that_are_no_variables_stay():
    class Scaled(nnx.Module):
        def __init__(self):
            self.weight, self.factor = nnx.Param(jnp.ones(2)), jnp.asarray(3.0)

        def __call__(self, x):
            return self.factor * self.weight[None] * x

    layer = from_nnx(Scaled())
    _, params = layer.init(KEY, (-1, 2))
    assert len(jax.tree.leaves(params)) == 1
    np.testing.assert_array_equal(layer.apply(params, jnp.ones((1, 2))), [[3.0, 3.0]])


def test_dropout():
    rngs = nnx.Rngs(0)
    module = nnx_of(nnx.Linear(2, 2, rngs=rngs), nnx.Dropout(0.5, rngs=rngs))
    with pytest.raises(InputError, match=r"Dropout.*module.eval\(\)"):
        from_nnx(module).init(KEY, (-1, 2))
    module.eval()
    layer = from_nnx(module)
    np.testing.assert_allclose(layer.apply(layer.init(KEY, (-1, 2))[1], jnp.eye(2)), module(jnp.eye(2)), rtol=1e-6)

    with pytest.raises(InputError, match=r"Dropout.*deterministic=True"):
        from_linen(linen.Sequential([linen.Dense(2), linen.Dropout(0.5, deterministic=False)])).init(KEY, (-1, 2))
    layer = from_linen(linen.Sequential([linen.Dense(2), linen.Dropout(0.5, deterministic=True)]))
    assert layer.init(KEY, (-1, 2))[0] == (-1, 2)


def test_refusals():
    rngs = nnx.Rngs(0)
    with pytest.raises(InputError, match=r"has state \(BatchStat\).*nnx.GroupNorm"):
        from_nnx(nnx_of(nnx.Linear(2, 2, rngs=rngs), nnx.BatchNorm(2, rngs=rngs)))
    with pytest.raises(InputError, match="no weights"):
        from_nnx(nnx_of())
    with pytest.raises(InputError, match=r"got a Dense.*from_linen"):
        from_nnx(linen.Dense(2))
    with pytest.raises(InputError, match=r"has state \(batch_stats\).*GroupNorm"):
        from_linen(linen.BatchNorm(use_running_average=True)).init(KEY, (-1, 2))
    with pytest.raises(InputError, match="no weights"):
        from_linen(linen.Dropout(0.5, deterministic=True)).init(KEY, (-1, 2))
    with pytest.raises(InputError, match=r"got a Linear.*from_nnx"):
        from_linen(nnx.Linear(2, 2, rngs=rngs))

    class Trained(linen.Module):
        @linen.compact
        def __call__(self, x, train):
            return linen.Dense(2)(x)

    with pytest.raises(InputError, match=r"\(x, train\).*give train a default"):
        from_linen(Trained())
