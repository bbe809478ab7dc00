import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.example_libraries import stax

from sdebnn.brax import MeanField, MonteCarloDropout, ODEBlock
from sdebnn.brax.diffeq_layers import conv, dense
from sdebnn.errors import InputError

KEY = jax.random.key(0)
RATE = 0.3


def test_draws_have_the_mean_of_the_layer_and_the_variance_of_bernoulli_s_law() -> None:
    """Of outputs sum_i w_i x_i: sum_i (w_i x_i)^2 rate / (1 - rate). Over 20,000 draws, five standard errors."""
    init, apply = MonteCarloDropout(dense("ignore", 3), rate=RATE)
    _, params = init(KEY, (-1, 4))
    x = jnp.asarray([[1.0, -2.0, 0.5, 3.0]])
    draws = jax.jit(jax.vmap(lambda key: apply(params, x, rng=key)[0]))(jax.random.split(KEY, 20_000))[:, 0]
    variance = ((params["weight"] * x.T) ** 2).sum(axis=0) * RATE / (1 - RATE)
    np.testing.assert_allclose(
        draws.mean(axis=0), x[0] @ params["weight"], atol=float(5 * (variance.max() / 20_000) ** 0.5)
    )
    np.testing.assert_allclose(draws.var(axis=0), variance, rtol=0.06)


def test_a_draw_leaves_the_same_inputs_out_for_all_examples() -> None:
    init, apply = MonteCarloDropout(conv("ignore", 2), rate=0.5)
    _, params = init(KEY, (-1, 3, 3, 8))
    x = jnp.asarray(np.eye(8)[:, None, None, :] * np.ones((1, 3, 3, 1)), jnp.float32)
    kept = apply(params, x, rng=KEY)[0] != 0
    of_channel = kept.any(axis=(1, 2, 3))
    assert 0 < of_channel.sum() < 8
    # Also where the example is another one of its batch, or alone.
    np.testing.assert_array_equal(apply(params, x[::-1], rng=KEY)[0][::-1], apply(params, x, rng=KEY)[0])
    whole = MonteCarloDropout(conv("ignore", 2), rate=0.0).apply(params, x, rng=KEY)[0]
    np.testing.assert_allclose(
        apply(params, x, rng=KEY)[0], jnp.where(of_channel[:, None, None, None], 2 * whole, 0), rtol=1e-5
    )


def test_without_dropout_it_is_the_layer() -> None:
    network = stax.serial(dense("ignore", 4), stax.Tanh, dense("ignore", 2))
    init, apply = MonteCarloDropout(network, rate=0.0, prior_std=2.0)
    _, params = init(KEY, (-1, 3))
    x = jax.random.normal(KEY, (5, 3))
    outputs, kl = apply(params, x, rng=KEY)
    np.testing.assert_allclose(outputs, network[1](params, x), rtol=1e-6)
    squares = sum(float(jnp.square(leaf).sum()) for leaf in jax.tree.leaves(params))
    assert kl == pytest.approx(squares / (2 * 2.0**2), rel=1e-6)


def test_the_kl_is_the_mean_of_the_squares_of_what_is_drawn() -> None:
    init, apply = MonteCarloDropout(dense("ignore", 3), rate=RATE, prior_std=0.5)
    _, params = init(KEY, (-1, 4))
    params = {**params, "bias": jnp.asarray([0.1, 0.2, 0.3])}
    # The unit vectors show the weights of a draw.
    draws = jax.jit(jax.vmap(lambda key: apply(params, jnp.eye(4), rng=key)[0]))(jax.random.split(KEY, 20_000))
    squares = ((draws - params["bias"][None, None]) ** 2).sum(axis=(1, 2)).mean() + (params["bias"] ** 2).sum()
    kl = apply(params, jnp.ones((1, 4)), rng=KEY)[1]
    assert kl == pytest.approx(float(squares) / (2 * 0.5**2), rel=0.03)


def test_in_an_ode_block_a_draw_is_one_network_at_every_depth() -> None:
    fx = dense("ignore", 4)
    block = ODEBlock(fx, steps=5)
    init, apply = MonteCarloDropout(block, rate=0.5)
    _, params = init(KEY, (-1, 4))
    x = jax.random.normal(jax.random.key(1), (3, 4))
    masks = np.asarray([[number >> k & 1 for k in range(4)] for number in range(16)], np.float32)
    weights = 2.0 * params["weight"][None] * masks[:, :, None]
    of_masks = jax.vmap(lambda w: block.apply({**params, "weight": w}, x))(weights)
    distances = jnp.abs(of_masks - apply(params, x, rng=KEY)[0][None]).max(axis=(1, 2))
    assert distances.min() < 1e-5 < jnp.sort(distances)[1]


def test_draws_of_the_prior_have_its_standard_deviation() -> None:
    init, apply = MonteCarloDropout(dense("ignore", 1), prior_std=0.5)
    _, params = init(KEY, (-1, 1))
    draws = jax.vmap(lambda key: apply(params, jnp.zeros((1, 1)), rng=key, prior=True))(jax.random.split(KEY, 20_000))
    assert np.std(draws[0]) == pytest.approx(0.5, rel=0.03)
    assert not draws[1].any()


def test_what_cannot_be_dropped_is_refused() -> None:
    for rate in (-0.1, 1.0, float("nan")):
        with pytest.raises(InputError, match=r"MonteCarloDropout got rate=.* lies from 0 to below 1"):
            MonteCarloDropout(dense("ignore", 2), rate=rate)
    with pytest.raises(InputError, match=r"prior_std=0.0; a standard deviation must be positive"):
        MonteCarloDropout(dense("ignore", 2), prior_std=0.0)
    with pytest.raises(InputError, match="Bayesian layer, whose KL would be lost"):
        MonteCarloDropout(MeanField(dense("ignore", 2)))
