import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdebnn.brax import Augment, Squeeze
from sdebnn.errors import InputError

KEY = jax.random.key(0)


def test_augment_appends_zeros() -> None:
    init, apply = Augment(2)
    assert init(KEY, (-1, 4, 4, 1))[0] == (-1, 4, 4, 3)
    x = jnp.ones((5, 4, 4, 1))
    np.testing.assert_array_equal(
        apply((), x), np.concatenate([np.ones((5, 4, 4, 1)), np.zeros((5, 4, 4, 2))], axis=-1)
    )


def test_squeeze_puts_each_patch_into_the_channels_of_one_pixel() -> None:
    init, apply = Squeeze()
    assert init(KEY, (-1, 4, 6, 3))[0] == (-1, 2, 3, 12)
    x = np.arange(1 * 4 * 6 * 3, dtype=np.float32).reshape(1, 4, 6, 3)
    y = np.asarray(apply((), jnp.asarray(x)))
    assert y.shape == (1, 2, 3, 12)
    np.testing.assert_array_equal(y[0, 1, 2], x[0, 2:4, 4:6].ravel())


@pytest.mark.parametrize("shape", [(-1, 7, 8, 1), (-1, 8, 7, 1), (-1, 8)])
def test_squeeze_refuses_sides_that_it_cannot_halve(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="divisible by 2"):
        Squeeze()[0](KEY, shape)


def test_augment_refuses_a_negative_number_of_channels() -> None:
    with pytest.raises(InputError, match="-1 channels"):
        Augment(-1)
