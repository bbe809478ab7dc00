from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.example_libraries import stax

from sdebnn.brax import (
    SDEBNN,
    BayesianLayer,
    MeanField,
    WeightProcess,
    bnn_serial,
    drift_network,
    independent_paths,
)
from sdebnn.brax.diffeq_layers import dense
from sdebnn.errors import InputError


def constant_kl(value: float) -> BayesianLayer:
    return BayesianLayer(lambda rng, shape: (shape, ()), lambda params, x, rng, **kwargs: (x, jnp.asarray(value)))


def test_bnn_serial_is_stax_serial_where_no_layer_is_bayesian() -> None:
    layers = [dense("ignore", 5), stax.Tanh, dense("ignore", 2)]
    init, apply = bnn_serial(*layers)
    key, x = jax.random.key(0), jnp.linspace(-1, 1, 6).reshape(2, 3)
    output_shape, params = init(key, (-1, 3))
    outputs, kl = apply(params, x, rng=key)
    assert output_shape == (-1, 2)
    np.testing.assert_allclose(outputs, stax.serial(*layers)[1](params, x), rtol=1e-6)
    assert kl == 0


def test_bnn_serial_adds_up_the_kl_of_bayesian_layers_and_nests() -> None:
    init, apply = bnn_serial(constant_kl(1.0), stax.Relu, bnn_serial(constant_kl(2.0), constant_kl(4.0)))
    key = jax.random.key(0)
    _, params = init(key, (-1, 3))
    assert apply(params, jnp.ones((2, 3)), rng=key)[1] == 7


def test_layers_of_stax_compose_with_ours() -> None:
    # stax adds biases of lower rank, which the strict lane of these tests refuses.
    with jax.numpy_rank_promotion("allow"):
        init, apply = bnn_serial(
            stax.Dense(4), dense("concat", 3), stax.serial(stax.Relu, dense("gated", 2)), MeanField(stax.Dense(2))
        )
        key = jax.random.key(0)
        output_shape, params = init(key, (-1, 3))
        outputs, kl = apply(params, jnp.ones((5, 3)), rng=key, t=0.5)
    assert output_shape == (-1, 2)
    assert outputs.shape == (5, 2)
    assert kl > 0


def test_bayesian_layers_in_a_chain_draw_independent_weights() -> None:
    noise = MeanField((lambda rng, shape: (shape, jnp.zeros(())), lambda w, x, **kwargs: x + w), initial_std=1.0)
    init, apply = bnn_serial(noise, noise)
    _, params = init(jax.random.key(0), (-1,))
    draws = jax.vmap(lambda key: apply(params, jnp.zeros(()), rng=key)[0])(jax.random.split(jax.random.key(1), 20_000))
    assert np.var(draws) == pytest.approx(2.0, rel=0.05)


def test_mean_field_kl_is_that_between_gaussians() -> None:
    init, apply = MeanField(dense("ignore", 2), prior_std=0.7, initial_std=0.3)
    key = jax.random.key(0)
    _, params = init(key, (-1, 3))
    _, kl = apply(params, jnp.ones((4, 3)), rng=key)
    mean = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(params["mean"])])
    expected = np.sum(np.log(0.7 / 0.3) + (0.3**2 + mean**2) / (2 * 0.7**2) - 0.5)
    assert kl == pytest.approx(expected, rel=1e-5)


def test_mean_field_weights_follow_their_gaussian() -> None:
    init, apply = MeanField(dense("ignore", 1), initial_std=0.5)
    _, params = init(jax.random.key(0), (-1, 1))
    outputs = jax.vmap(lambda key: apply(params, jnp.zeros((1, 1)), rng=key)[0])(
        jax.random.split(jax.random.key(1), 20_000)
    )
    assert np.mean(outputs) == pytest.approx(0.0, abs=0.02)
    assert np.std(outputs) == pytest.approx(0.5, rel=0.02)


def test_disabled_mean_field_is_the_deterministic_layer() -> None:
    init, apply = MeanField(dense("ignore", 2), disable=True)
    key, x = jax.random.key(0), jnp.ones((4, 3))
    _, params = init(key, (-1, 3))
    outputs, kl = apply(params, x, rng=key)
    np.testing.assert_array_equal(outputs, dense("ignore", 2).apply(params["mean"], x))
    assert kl == 0


@pytest.mark.parametrize("name", ["prior_std", "initial_std"])
def test_mean_field_refuses_a_standard_deviation_that_is_not_positive(name: str) -> None:
    choice: dict[str, Any] = {name: 0.0}
    with pytest.raises(InputError, match=f"{name}=0.*positive"):
        MeanField(dense("ignore", 2), **choice)


def random_layers() -> dict[str, BayesianLayer]:
    """One of each kind, of 40 channels, whose outputs for the unit vectors are its weights, or move along them."""
    process = WeightProcess(drift_network((2,)), sigma=1.0, start="gaussian")
    mean_field = MeanField(dense("ignore", 40), initial_std=1.0)
    return {
        "MeanField": mean_field,
        "bnn_serial": bnn_serial(mean_field),
        "independent_paths": independent_paths(mean_field),
        "SDEBNN": SDEBNN(dense("ignore", 40), process, steps=1),
    }


@pytest.mark.parametrize("name", ["MeanField", "bnn_serial", "independent_paths", "SDEBNN"])
def test_draws_are_neither_those_of_init_nor_those_that_a_user_makes_from_the_same_key(name) -> None:
    layer, key = random_layers()[name], jax.random.key(0)
    _, params = layer.init(key, (-1, 40))
    start = np.ravel(next(x for x in jax.tree.leaves(params) if x.shape == (40, 40) and np.std(x) > 0))
    # The difference of two draws is free of their means.
    outputs = [layer.apply(params, jnp.eye(40), rng=k)[0] for k in (key, jax.random.key(1))]
    drawn = np.ravel(outputs[0] - outputs[1])
    theirs = [key, *(jax.random.fold_in(key, k) for k in range(4)), *jax.random.split(key, 3)]
    theirs += [a for b in jax.random.split(key) for a in jax.random.split(b)]
    users = [np.ravel(jax.random.normal(k, (1600,))) for k in theirs]
    six_standard_errors = 6 / 1600**0.5
    for other in (start, *users):
        assert abs(np.corrcoef(drawn, other)[0, 1]) < six_standard_errors
    for other in users:
        assert abs(np.corrcoef(start, other)[0, 1]) < six_standard_errors


@pytest.mark.parametrize(
    ("name", "impl"),
    [("MeanField", "rbg"), ("bnn_serial", "unsafe_rbg"), ("independent_paths", "unsafe_rbg"), ("SDEBNN", "rbg")],
)
def test_a_draw_of_a_batch_is_the_draw_alone_with_keys_of_any_generator(name, impl) -> None:
    layer, keys = random_layers()[name], jax.random.split(jax.random.key(0, impl=impl), 3)
    _, params = layer.init(keys[0], (-1, 40))
    together = jax.vmap(lambda key: layer.apply(params, jnp.eye(40)[:1], rng=key)[0])(keys)
    for key, of_batch in zip(keys, together, strict=True):
        raw = jax.random.key_data(key)
        np.testing.assert_allclose(layer.apply(params, jnp.eye(40)[:1], rng=raw)[0], of_batch, rtol=1e-5, atol=1e-6)
