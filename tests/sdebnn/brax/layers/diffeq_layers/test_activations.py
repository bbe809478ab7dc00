import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.example_libraries import stax

from sdebnn.brax.diffeq_layers import Activation
from sdebnn.errors import InputError

X = np.linspace(-3, 3, 13)
FORMULAS = {
    "elu": np.where(X > 0, X, np.expm1(X)),
    "gaussian": np.exp(-(X**2) / 2),
    "relu": np.maximum(X, 0),
    "sigmoid": 1 / (1 + np.exp(-X)),
    "softplus": np.log1p(np.exp(X)),
    "swish": X / (1 + np.exp(-X)),
    "tanh": np.tanh(X),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_values(x64, name):
    init, apply = stax.serial(Activation(name))
    shape, params = init(jax.random.key(0), (13,))
    assert shape == (13,)
    np.testing.assert_allclose(apply(params, jnp.asarray(X), t=0.5), FORMULAS[name], atol=1e-12)


def test_swish_trains_its_slope(x64):
    init, apply = Activation("swish")
    x = jnp.asarray(X)
    _, params = init(jax.random.key(0), (13,))

    def loss(beta):
        return jnp.sum(apply({"beta": beta}, x) ** 2)

    beta = params["beta"]
    differences = (loss(beta + 1e-6) - loss(beta - 1e-6)) / 2e-6
    np.testing.assert_allclose(jax.grad(loss)(beta), differences, rtol=1e-7)
    # However far beta goes, the slope stays positive: large inputs pass.
    assert apply({"beta": jnp.asarray(-5.0)}, jnp.asarray(1e4)) > 9e3


def test_an_unknown_activation_is_refused_with_the_ones_there_are():
    with pytest.raises(InputError, match=r"'swich' is not an activation.*relu.*swish"):
        Activation("swich")
