"""Networks built from a configuration: every model of the table, for images and for rows of a table."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdebnn.brax import ResNet32
from sdebnn.brax.learning.model import build_model
from sdebnn.brax.learning.networks import build_network
from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.runs import TrainConfig

KEY = jax.random.key(0)
SMALL = TrainConfig(width=4, augment=1, steps=2, drift_widths=(2,), layer="concat")
MODELS = [
    *("sdebnn", "odenet", "hyperodenet", "resnet32"),
    *("meanfield_sdebnn", "meanfield_odenet", "meanfield_hyperodenet", "meanfield_resnet32"),
    *("ivon_odenet", "ivon_hyperodenet", "ivon_resnet32"),
    *("dropout_odenet", "dropout_hyperodenet", "dropout_resnet32"),
]  # fmt: skip


@pytest.mark.parametrize("model", MODELS)
def test_every_model_maps_images_to_outputs_with_a_gradient(model: Any) -> None:
    network = build_network(dataclasses.replace(SMALL, model=model), (8, 8, 3), 5)
    shape, params = network.init(KEY, (-1, 8, 8, 3))
    assert tuple(shape) == (-1, 5)
    x = jax.random.normal(KEY, (2, 8, 8, 3))

    def loss(params):
        outputs, kl = network.apply(params, x, rng=KEY)
        return jnp.sum(outputs**2), (outputs, kl)

    gradient, (outputs, kl) = jax.jit(jax.grad(loss, has_aux=True))(params)
    assert outputs.shape == (2, 5)
    assert np.isfinite(outputs).all()
    assert (kl > 0) == model.startswith(("meanfield", "ivon", "dropout"))
    assert jax.tree.all(jax.tree.map(lambda leaf: np.isfinite(leaf).all(), gradient))
    assert any(np.any(leaf != 0) for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize("model", ["sdebnn", "meanfield_hyperodenet"])
def test_rows_of_a_table_go_through_dense_layers(model: Any) -> None:
    network = build_network(dataclasses.replace(SMALL, model=model), (3,), 2)
    _, params = network.init(KEY, (-1, 3))
    assert network.apply(params, jnp.ones((4, 3)), rng=KEY)[0].shape == (4, 2)


def test_a_strided_f_x_computes_at_half_the_resolution_and_keeps_the_shape() -> None:
    network = build_network(dataclasses.replace(SMALL, fx="strided"), (8, 8, 3), 5)
    _, params = network.init(KEY, (-1, 8, 8, 3))
    assert network.apply(params, jnp.ones((2, 8, 8, 3)), rng=KEY)[0].shape == (2, 5)
    with pytest.raises(InputError, match="keep its shape"):
        build_network(dataclasses.replace(SMALL, fx="strided"), (7, 7, 3), 5).init(KEY, (-1, 7, 7, 3))


def test_the_residual_network_has_32_layers_and_starts_shallow() -> None:
    network = ResNet32(10)
    shape, params = network.init(KEY, (-1, 32, 32, 3))
    assert tuple(shape) == (-1, 10)
    # 31 convolutions of 3 x 3 and one dense layer; two shortcuts change the shape.
    weights = [leaf for leaf in jax.tree.leaves(params) if leaf.ndim > 1]
    assert sum(leaf.shape[:2] == (3, 3) for leaf in weights if leaf.ndim == 4) == 31
    assert sum(leaf.shape[:2] == (1, 1) for leaf in weights if leaf.ndim == 4) == 2
    assert sum(leaf.ndim == 2 for leaf in weights) == 1
    assert 450_000 < sum(leaf.size for leaf in jax.tree.leaves(params)) < 480_000
    spread = network.apply(params, jax.random.normal(KEY, (4, 32, 32, 3))).std()
    assert 0.01 < spread < 10


def test_a_residual_network_of_rows_is_refused() -> None:
    with pytest.raises(InputError, match="takes images"):
        build_network(dataclasses.replace(SMALL, model="resnet32"), (3,), 2)


def table(n: int = 6) -> Dataset:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n, 3)).astype(np.float32), rng.normal(size=(n, 1)).astype(np.float32)
    return Dataset("table", "regression", x, y, x, y, None)


def test_predictions_may_take_another_number_of_steps_and_another_method() -> None:
    model = build_model(dataclasses.replace(SMALL, test_steps=8, test_method="midpoint"), table())
    expected = build_model(dataclasses.replace(SMALL, steps=8, method="midpoint"), table())
    params = model.init(KEY)
    x = table().x_test
    np.testing.assert_array_equal(model.sampler(2)(params, x, KEY), expected.sampler(2)(params, x, KEY))
    array = jnp.asarray(x)
    trained_with = model.network.apply(params["network"], array, rng=KEY)[0]
    assert not np.allclose(trained_with, model.predictor.apply(params["network"], array, rng=KEY)[0], atol=1e-4)


def test_what_does_not_fit_is_refused_before_training() -> None:
    with pytest.raises(InputError, match="6 examples cannot be divided into 4"):
        build_model(dataclasses.replace(SMALL, batch_paths=4), table())
    with pytest.raises(InputError, match="reversible"):
        build_model(dataclasses.replace(SMALL, adjoint="reversible"), table())
    with pytest.raises(InputError, match="in PyTorch only"):
        build_model(dataclasses.replace(SMALL, rtol=1e-3), table())
    with pytest.raises(InputError, match="euler_mayurama"):
        build_model(dataclasses.replace(SMALL, test_method="euler_mayurama"), table())
