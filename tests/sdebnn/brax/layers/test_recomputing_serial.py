"""Layers that compute their activations again for the gradient, against those that keep them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.example_libraries import stax

from sdebnn.brax import ODEBlock, diffeq_layers, recomputing_serial
from sdebnn.errors import InputError

KEY = jax.random.key(0)
X = jax.random.normal(KEY, (4, 8, 8, 3))


def layers(activation: str) -> list:
    conv, act = diffeq_layers.conv, diffeq_layers.Activation
    return [conv("concat", 16), act(activation), conv("gated", 16), act(activation), conv("ignore", 3)]


@pytest.mark.parametrize("activation", ["swish", "tanh"])
def test_outputs_params_and_gradients_are_those_of_stax(activation: str) -> None:
    kept, again = stax.serial(*layers(activation)), recomputing_serial(*layers(activation))
    shape, params = again.init(KEY, X.shape)
    assert tuple(shape) == X.shape
    assert jax.tree.all(jax.tree.map(np.array_equal, params, kept[0](KEY, X.shape)[1]))

    def loss(apply, params, x, t):
        return jnp.sum(jnp.sin(apply(params, x, t=t)))

    # Both by the operators they are made of: compiled, the two would round differently.
    found, expected = (
        jax.value_and_grad(loss, (1, 2, 3))(apply, params, X, jnp.float32(0.3)) for apply in (again.apply, kept[1])
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), found, expected)


def test_in_a_loop_a_fraction_of_the_memory_is_left() -> None:
    def memory(fx: Any) -> int:
        init, apply = fx
        params = init(KEY, X.shape)[1]

        def end(params: Any) -> Any:
            def step(x: Any, t: Any) -> Any:
                return x + 0.05 * apply(params, x, t=t), None

            return jnp.sum(jax.lax.scan(step, X, jnp.linspace(0.0, 1.0, 20))[0] ** 2)

        return jax.jit(jax.grad(end)).lower(params).compile().memory_analysis().temp_size_in_bytes

    assert memory(recomputing_serial(*layers("swish"))) < 0.6 * memory(stax.serial(*layers("swish")))


def test_in_a_block_any_layers_keep_about_as_little() -> None:
    def memory(fx: Any) -> int:
        block = ODEBlock(fx, steps=20)
        params = block.init(KEY, X.shape)[1]
        gradient = jax.jit(jax.grad(lambda params: jnp.sum(block.apply(params, X) ** 2)))
        return gradient.lower(params).compile().memory_analysis().temp_size_in_bytes

    assert memory(stax.serial(*layers("swish"))) < 1.5 * memory(recomputing_serial(*layers("swish")))


def test_an_even_number_of_layers_is_refused() -> None:
    with pytest.raises(InputError, match="got 2 layers; it takes an odd number"):
        recomputing_serial(diffeq_layers.dense("ignore", 3), diffeq_layers.Activation("tanh"))
