import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdebnn.brax.adapters import from_equinox
from sdebnn.brax.diffeq_layers import fan_in
from sdebnn.errors import InputError

KEY = jax.random.key(0)


def fans(module, shape, **choices):
    params = from_equinox(module, **choices).init(KEY, shape)[1]
    return {
        jax.tree_util.keystr(path, simple=True): (leaf.shape, n)
        for (path, leaf), n in zip(
            jax.tree_util.tree_leaves_with_path(params), jax.tree.leaves(fan_in(params)), strict=True
        )
    }


def test_weights_are_the_modules_own():
    module = eqx.nn.MLP(3, 3, 8, 2, activation=jax.nn.softplus, key=KEY)
    layer = from_equinox(module)
    a, b = layer.init(KEY, (-1, 3))[1], layer.init(jax.random.key(9), (-1, 3))[1]
    jax.tree.map(np.testing.assert_array_equal, a, b)
    np.testing.assert_array_equal(a.layers[0].weight, module.layers[0].weight.T)
    x = jnp.ones((4, 3))
    np.testing.assert_allclose(layer.apply(a, x, t=0.3), jax.vmap(module)(x), rtol=1e-6)


@pytest.mark.parametrize("dimensions", [1, 2])
def test_convolutions(dimensions):
    convolution = {1: eqx.nn.Conv1d, 2: eqx.nn.Conv2d}[dimensions]
    module = convolution(4, 4, 3, padding=1, groups=2, key=KEY)
    taps = (3,) * dimensions
    shape = (-1, *(5,) * dimensions, 4)
    assert fans(module, shape, channels_first=True) == {
        "weight": ((2, *taps, 4), 2.0 * 3**dimensions),
        "bias": ((4,), 2.0 * 3**dimensions),
    }
    layer = from_equinox(module, channels_first=True)
    _, params = layer.init(KEY, shape)
    x = jax.random.normal(KEY, (2, *shape[1:]))
    plain = jnp.moveaxis(jax.vmap(module)(jnp.moveaxis(x, -1, 1)), 1, -1)
    np.testing.assert_allclose(layer.apply(params, x), plain, rtol=1e-5, atol=1e-6)


def test_norms_have_no_inputs_to_count():
    module = eqx.nn.Sequential([eqx.nn.LayerNorm((2, 3)), eqx.nn.GroupNorm(1, 2)])
    assert [n for _, n in fans(module, (-1, 2, 3)).values()] == [1.0] * 4
    x = jax.random.normal(KEY, (4, 2, 3))
    layer = from_equinox(module)
    np.testing.assert_allclose(layer.apply(layer.init(KEY, (-1, 2, 3))[1], x), jax.vmap(module)(x), rtol=1e-5)


def test_attention():
    module = eqx.nn.MultiheadAttention(2, 4, key=KEY)

    class OverSelf(eqx.Module):
        attention: eqx.nn.MultiheadAttention

        def __call__(self, x):
            return self.attention(x, x, x)

    assert {n for _, n in fans(OverSelf(module), (-1, 3, 4)).values()} == {4.0}


def test_arrays_that_are_not_trained_stay():
    class Shifted(eqx.Module):
        weight: jax.Array
        order: jax.Array

        def __call__(self, t, x):
            return self.weight * x[self.order] + t

    module = Shifted(jnp.ones(2), jnp.asarray([1, 0]))
    layer = from_equinox(module)
    _, params = layer.init(KEY, (-1, 2))
    assert len(jax.tree.leaves(params)) == 1
    np.testing.assert_array_equal(layer.apply(params, jnp.asarray([[3.0, 4.0]]), t=2.0), [[6.0, 5.0]])


class Needy(eqx.Module):
    weight: jax.Array

    def __call__(self, x, memory):
        return x * memory


class Pairs(eqx.Module):
    weight: jax.Array

    def __call__(self, x):
        return x, self.weight


@pytest.mark.parametrize(
    ("module", "sentence"),
    [
        (eqx.nn.BatchNorm(3, "batch", mode="batch"), "has state.* eqx.nn.GroupNorm"),
        (eqx.nn.make_with_state(eqx.nn.BatchNorm)(3, "batch", mode="batch"), r"got a tuple; .*pair \(module, state\)"),
        (eqx.nn.Sequential([eqx.nn.Linear(3, 3, key=KEY), eqx.nn.Dropout(0.5)]), "Dropout.*inference_mode"),
        (lambda key: jnp.zeros(3), "got a function; it takes an eqx.Module"),
        (eqx.nn.Identity(), "no weights"),
        (Needy(jnp.ones(3)), r"\(x, memory\).*give memory a default"),
        (Pairs(jnp.ones(3, jnp.complex64)), "complex weights"),
    ],
)
def test_refusals(module, sentence):
    with pytest.raises(InputError, match=sentence):
        from_equinox(module)


def test_refuses_what_gives_no_array():
    with pytest.raises(InputError, match="must give one array"):
        from_equinox(Pairs(jnp.ones(3))).init(KEY, (-1, 3))


def test_dropout_that_is_switched_off():
    module = eqx.nn.inference_mode(eqx.nn.Sequential([eqx.nn.Linear(3, 3, key=KEY), eqx.nn.Dropout(0.5)]))
    layer = from_equinox(module)
    x = jnp.ones((2, 3))
    np.testing.assert_allclose(layer.apply(layer.init(KEY, (-1, 3))[1], x), jax.vmap(module)(x), rtol=1e-6)
