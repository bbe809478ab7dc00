from pathlib import Path

import numpy as np
import pytest

from sdebnn.data import OOD_SETS, Dataset, load, load_images, load_ood, ood_images
from sdebnn.data.ood import shuffled_pixels, smooth_noise, smooth_textures
from sdebnn.errors import InputError


def images(dtype: type[np.generic], shape: tuple[int, int, int] = (4, 6, 3)) -> Dataset:
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


def pixels(n: int, shape: tuple[int, int, int]) -> Dataset:
    x, y = np.zeros((n, *shape), np.uint8), np.zeros(n, np.int32)
    return Dataset("mine", "classification", x, y, x, y, 2)


def test_another_set_comes_in_the_number_shape_and_dtype_of_the_test_images(data_dir: Path) -> None:
    every = load_images("kmnist", data_dir)
    np.testing.assert_array_equal(load_ood("kmnist", pixels(20_000, (28, 28, 1)), data_dir), every)
    some = load_ood("kmnist", pixels(50, (28, 28, 1)), data_dir)
    assert (some[:, None] == every[None, :200]).all(axis=(2, 3, 4)).sum() < 10
    assert all((image == every).all(axis=(1, 2, 3)).any() for image in some[:3])
    floats = images(np.float32, (28, 28, 1))
    assert floats.x_test.max() == 1
    found = load_ood("notmnist", floats, data_dir)
    assert (found.dtype, found.shape, found.max()) == (np.float32, (5, 28, 28, 1), 1.0)
    np.testing.assert_array_equal(load_ood("smooth_textures", floats), ood_images(floats)["smooth textures"])


def test_images_are_resized_where_it_is_asked_for(data_dir: Path) -> None:
    small = pixels(40, (14, 14, 1))
    with pytest.raises(InputError, match="kmnist has images of 28 x 28 x 1, and mine of 14 x 14 x 1; ask for them to"):
        load_ood("kmnist", small, data_dir)
    found = load_ood("kmnist", small, data_dir, resize=True)
    # Half of the sides: linear interpolation in the middle of two pixels is their mean.
    large = load_ood("kmnist", pixels(40, (28, 28, 1)), data_dir)
    means = large.astype(float).reshape(40, 14, 2, 14, 2).mean(axis=(2, 4))
    assert np.abs(found[..., 0] - means).max() <= 0.5 + 1e-4
    in_colour = load_ood("kmnist", pixels(40, (14, 14, 3)), data_dir, resize=True)
    np.testing.assert_array_equal(in_colour, np.repeat(found, 3, axis=3))


def test_what_is_not_strange_to_a_network_is_refused(data_dir: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'kmnist'") as refusal:
        load_ood("kmnists", pixels(3, (28, 28, 1)))
    assert all(name in str(refusal.value) for name in OOD_SETS)
    wide = images(np.float32, (28, 28, 1))
    wide.x_test[0, 0, 0, 0] = 3.5
    with pytest.raises(InputError, match=r"go from 0 to 3.5: the network would tell them by their scale alone"):
        load_ood("kmnist", wide, data_dir)
    row = np.zeros((3, 2), np.float32)
    rows = Dataset("rows", "regression", row, row, row, row, None)
    with pytest.raises(InputError, match=r"kmnist has images, but the inputs of rows have shape \(3, 2\)"):
        load_ood("kmnist", rows, data_dir)
