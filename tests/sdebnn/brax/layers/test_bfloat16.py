"""Rounding of f_x in bfloat16."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdebnn.brax import SDEBNN, Bfloat16, WeightProcess, diffeq_layers, drift_network
from sdebnn.brax.learning.networks import build_network
from sdebnn.runs import TrainConfig


@pytest.mark.parametrize("family", ["ignore", "concat_squash"])
def test_outputs_and_gradients_are_those_of_float32_to_bfloat16_rounding(family: str) -> None:
    fx = jax.example_libraries.stax.serial(
        diffeq_layers.conv(family, 8), diffeq_layers.Activation("swish"), diffeq_layers.conv(family, 3)
    )
    process = WeightProcess(drift_network((2,)))
    x = jax.random.normal(jax.random.key(1), (2, 6, 6, 3))
    _, params = SDEBNN(fx, process, steps=4).init(jax.random.key(0), x.shape)

    def loss(params, fx):
        outputs, kl = SDEBNN(fx, process, steps=4).apply(params, x, rng=jax.random.key(2))
        return jnp.square(outputs).sum() + kl, (outputs, kl)

    derived = jax.jit(jax.value_and_grad(loss, has_aux=True), static_argnums=1)
    (_, (exact, kl)), gradient = derived(params, fx)
    (_, (rounded, rounded_kl)), rounded_gradient = derived(params, Bfloat16(fx))
    assert rounded.dtype == jnp.float32
    # An evaluation of f_x is rounded by 2^-9, and a solution moves by as much as its inputs.
    assert 0 < jnp.linalg.norm(rounded - exact) < 0.01 * jnp.linalg.norm(exact - x)
    assert rounded_kl == kl
    flat, rounded_flat = (np.asarray(jax.flatten_util.ravel_pytree(g)[0]) for g in (gradient, rounded_gradient))
    assert rounded_flat.dtype == np.float32
    assert 0 < np.linalg.norm(rounded_flat - flat) < 0.05 * np.linalg.norm(flat)


def test_the_precision_of_a_configuration_is_that_of_its_blocks() -> None:
    results = []
    for precision in ("float32", "bfloat16"):
        config = TrainConfig(steps=2, width=4, drift_widths=(2,), precision=precision)
        network = build_network(config, (5,), 3)
        _, params = network.init(jax.random.key(0), (-1, 5))
        results.append(network.apply(params, jnp.ones((2, 5)), rng=jax.random.key(1)))
    (exact, kl), (rounded, rounded_kl) = results
    assert 0 < jnp.abs(rounded - exact).max() < 0.02 * jnp.abs(exact).max()
    assert kl == rounded_kl
