import numpy as np
import pytest

from sdebnn.data import Dataset, load, ood_images
from sdebnn.data.ood import shuffled_pixels, smooth_noise, smooth_textures
from sdebnn.errors import InputError


def images(dtype: type, shape: tuple[int, int, int] = (4, 6, 3)) -> Dataset:
    x = np.random.default_rng(0).integers(0, 2, (5, *shape)).astype(dtype)
    y = np.arange(5, dtype=np.int32)
    return Dataset("mine", "classification", x, y, x, y, 5)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_they_look_like_the_test_images_to_a_network(dtype: type) -> None:
    dataset = images(dtype)
    strange = ood_images(dataset)
    assert set(strange) == {"shuffled pixels", "smooth textures"}
    for x in strange.values():
        assert x.shape == dataset.x_test.shape
        assert x.dtype == dtype
    assert strange["smooth textures"].max() == (255 if dtype is np.uint8 else 1)
    np.testing.assert_array_equal(strange["smooth textures"], ood_images(dataset)["smooth textures"])
    assert not np.array_equal(strange["smooth textures"], ood_images(dataset, seed=1)["smooth textures"])


def test_shuffling_keeps_the_pixels_of_each_image_and_not_their_places() -> None:
    x = np.arange(2 * 30 * 3, dtype=np.float32).reshape(2, 5, 6, 3)
    shuffled = shuffled_pixels(x, 0)
    for before, after in zip(x.reshape(2, 30, 3), shuffled.reshape(2, 30, 3), strict=True):
        np.testing.assert_array_equal(after[np.argsort(after[:, 0])], before)
    orders = shuffled[..., 0].reshape(2, 30) - np.array([[0.0], [90.0]], np.float32)
    assert not np.array_equal(orders[0], orders[1])
    assert not np.array_equal(shuffled, x)


def test_textures_fill_the_unit_interval() -> None:
    x = smooth_textures(7, (8, 5, 2), 0)
    np.testing.assert_array_equal(x.min(axis=(1, 2, 3)), np.zeros(7))
    np.testing.assert_array_equal(x.max(axis=(1, 2, 3)), np.ones(7))


@pytest.mark.parametrize("axis", [1, 2])
def test_smooth_noise_has_the_correlation_that_it_promises(axis: int) -> None:
    noise = smooth_noise(4000, (16, 16, 1), 0)
    for distance in (1, 2, 4):
        near = np.exp(-((4 * distance / 16) ** 2))
        wrapped = np.exp(-((4 * (16 - distance) / 16) ** 2))
        correlation = np.mean(noise * np.roll(noise, distance, axis)) / np.mean(noise**2)
        assert correlation == pytest.approx(near + wrapped, abs=0.02)


def test_the_digits_have_such_images() -> None:
    assert ood_images(load("digits"))["smooth textures"].shape == (599, 8, 8, 1)


def test_tables_and_single_pixels_are_refused() -> None:
    for dataset in (load("cos"), images(np.float32, (1, 1, 3))):
        with pytest.raises(InputError, match="two pixels or more"):
            ood_images(dataset)
