import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdebnn.brax import BayesianLayer, Categorical, build_learner
from sdebnn.brax.learning import model as model_module
from sdebnn.brax.learning.devices import make_mesh
from sdebnn.brax.learning.learner import JaxLearner
from sdebnn.brax.learning.model import Model, build_model
from sdebnn.brax.learning.objective import objective
from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.runs import TrainConfig
from sdebnn.training.predictions import class_weights

KEY = jax.random.key(0)
QUICK = TrainConfig(
    epochs=2, batch_size=8, width=4, steps=2, augment=1, drift_widths=(2,), test_samples=3, evaluate_every=1
)


def table(n: int = 30) -> Dataset:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 2)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int32)
    return Dataset("table", "classification", x, y, x[:10], y[:10], 2)


def noisy_bias(kl: float) -> BayesianLayer:
    """Adds one standard normal number to the logit of the first class; its KL is given."""

    def apply(params, x, rng, **kwargs):
        return x + jnp.asarray([[1.0, 0.0]]) * jax.random.normal(rng), jnp.asarray(kl)

    return BayesianLayer(lambda rng, shape: (shape, ()), apply)


def test_the_loss_is_the_mean_nll_and_the_kl_paid_once_for_the_whole_training_set() -> None:
    model = Model(noisy_bias(kl=50.0), noisy_bias(kl=50.0), Categorical(2), (2,))
    params = model.init(KEY)
    x, y = jnp.asarray([[2.0, 0.0], [0.0, 1.0]]), jnp.asarray([0, 0])
    loss, parts = objective(model, kl_coef=0.1, train_size=1000)(params, x, y, jax.random.split(KEY, 1))
    bias = float(jax.random.normal(jax.random.split(KEY, 1)[0]))
    nll = np.mean([math.log1p(math.exp(-(2 + bias))), math.log1p(math.exp(1 - bias))])
    assert parts["nll"] == pytest.approx(nll, rel=1e-5)
    assert parts["kl"] == 50
    assert loss == pytest.approx(nll + 0.1 / 1000 * 50, rel=1e-5)


def test_several_samples_give_the_mean_of_their_losses() -> None:
    model = Model(noisy_bias(kl=1.0), noisy_bias(kl=1.0), Categorical(2), (2,))
    params, x, y = model.init(KEY), jnp.zeros((2, 2)), jnp.asarray([0, 1])
    loss, _ = objective(model, kl_coef=1.0, train_size=10)(params, x, y, jax.random.split(KEY, 4))
    biases = np.asarray([jax.random.normal(key) for key in jax.random.split(KEY, 4)])
    nll = np.mean([np.log1p(np.exp(-biases)), np.log1p(np.exp(biases))])
    assert loss == pytest.approx(nll + 0.1, rel=1e-5)


def test_a_share_of_the_kl_is_a_smaller_coefficient() -> None:
    model = Model(noisy_bias(kl=50.0), noisy_bias(kl=50.0), Categorical(2), (2,))
    params, x, y = model.init(KEY), jnp.zeros((2, 2)), jnp.asarray([0, 1])
    loss = objective(model, kl_coef=1.0, train_size=10)
    keys = jax.random.split(KEY, 1)
    assert float(loss(params, x, y, keys)[0] - loss(params, x, y, keys, 0.25)[0]) == pytest.approx(0.75 * 5, rel=1e-5)


def test_a_posterior_sample_is_one_function_of_its_input(monkeypatch) -> None:
    model, dataset = build_model(QUICK, table()), table()
    params = model.init(KEY)
    at_once = model.sampler(3)(params, dataset.x_test, KEY)
    monkeypatch.setattr(model_module, "BATCH", 4)
    in_parts = model.sampler(3)(params, dataset.x_test, KEY)
    assert at_once.shape == (3, 10, 2)
    np.testing.assert_allclose(at_once, in_parts, rtol=1e-5, atol=1e-6)
    assert not np.allclose(at_once[0], at_once[1])


def test_images_that_cannot_be_halved_and_networks_that_cannot_be_built_are_refused() -> None:
    x = np.zeros((6, 7, 7, 1), np.float32)
    images = Dataset(
        "odd", "classification", x, np.arange(6, dtype=np.int32) % 2, x, np.arange(6, dtype=np.int32) % 2, 2
    )
    with pytest.raises(InputError, match="divisible by 2"):
        build_model(dataclasses.replace(QUICK, squeeze=1), images)
    with pytest.raises(InputError, match="euler_maruyama"):
        build_model(dataclasses.replace(QUICK, method="eulre"), table())
    with pytest.raises(InputError, match="concat"):
        build_model(dataclasses.replace(QUICK, layer="conct"), table())  # type: ignore[arg-type]


def test_class_weights_multiply_the_log_likelihoods_of_their_labels() -> None:
    model = Model(noisy_bias(kl=1.0), noisy_bias(kl=1.0), Categorical(2), (2,))
    params, x, y = model.init(KEY), jnp.asarray([[2.0, 0.0], [0.0, 1.0]]), jnp.asarray([0, 1])
    loss = objective(model, kl_coef=0.0, train_size=10, class_weights=(0.5, 3.0))
    bias = float(jax.random.normal(jax.random.split(KEY, 1)[0]))
    expected = (0.5 * math.log1p(math.exp(-(2 + bias))) + 3 * math.log1p(math.exp(bias - 1))) / 2
    assert loss(params, x, y, jax.random.split(KEY, 1))[0] == pytest.approx(expected, rel=1e-5)


def test_balanced_weights_reach_the_loss_of_a_learner() -> None:
    """Three in four of class 0: the first loss is the plain one of a batch with as much of each class."""
    x = np.zeros((8, 2), np.float32)
    y = np.array([0, 0, 0, 1] * 2, np.int32)
    dataset = Dataset("table", "classification", x, y, x, y, 2)
    balanced = build_learner(dataclasses.replace(QUICK, class_weight="balanced"), dataset)
    plain = build_learner(QUICK, dataset)
    even = np.array([0, 1] * 4, np.int32)
    # Adam of optax raises floats to whole numbers.
    with jax.numpy_dtype_promotion("standard"):
        found = balanced.gradient_step(x[None], y[None], 0), plain.gradient_step(x[None], even[None], 0)
    assert float(found[0]["nll"]) == pytest.approx(float(found[1]["nll"]), rel=1e-5)
    assert class_weights(balanced.config, dataset) == pytest.approx((2 / 3, 2.0))


def test_class_weights_of_targets_or_beside_the_choice_are_refused() -> None:
    x = np.zeros((4, 2), np.float32)
    config = dataclasses.replace(QUICK, class_weight="balanced")
    with pytest.raises(InputError, match="class_weight='balanced' does not fit table"):
        build_learner(config, Dataset("table", "regression", x, x, x, x, None))
    with pytest.raises(InputError, match="goes with class_weights"):
        JaxLearner(config, build_model(config, table()), 30, make_mesh())
