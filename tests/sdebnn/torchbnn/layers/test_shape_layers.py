import jax
import numpy as np
import pytest
import torch

from sdebnn import brax
from sdebnn.errors import InputError
from sdebnn.torchbnn import Augment, Flatten, Squeeze

X = np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype(np.float32)
IMAGES = torch.from_numpy(np.moveaxis(X, -1, 1))


@pytest.mark.parametrize(
    ("module", "layer"), [(Augment(2), brax.Augment(2)), (Squeeze(), brax.Squeeze()), (Squeeze(1), brax.Squeeze(1))]
)
def test_images_have_the_channels_of_jax_in_their_order(module, layer) -> None:
    expected = np.asarray(layer.apply((), jax.numpy.asarray(X)))
    np.testing.assert_array_equal(np.moveaxis(module(IMAGES).numpy(), 1, -1), expected)


def test_images_are_flattened_as_those_of_jax() -> None:
    np.testing.assert_array_equal(Flatten()(IMAGES), X.reshape(2, -1))


def test_tables_get_columns_of_zeros() -> None:
    np.testing.assert_array_equal(Augment(2)(torch.ones(3, 1)), [[1, 0, 0]] * 3)


@pytest.mark.parametrize("shape", [(1, 1, 7, 8), (1, 1, 8, 7), (1, 8)])
def test_squeeze_refuses_sides_that_it_cannot_halve(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="divisible by 2"):
        Squeeze()(torch.ones(shape))


def test_augment_refuses_a_negative_number_of_channels() -> None:
    with pytest.raises(InputError, match="-1 channels"):
        Augment(-1)
