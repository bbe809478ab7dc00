"""Shifts of images: closed forms, laws of noise, and what they keep."""

from typing import Any

import numpy as np
import pytest
from matplotlib import colors

from sdebnn.data import CORRUPTIONS, SHIFTS, shifted
from sdebnn.data.shifts import shifts_of
from sdebnn.errors import InputError

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(0.1, 0.9, (6, 12, 12, 3)).astype(np.float32)
GREY = np.full((4, 64, 64, 1), 0.4, np.float32)


def apply(name, images, constant, seed=0):
    return SHIFTS[name].apply(images.astype(np.float64), constant, np.random.default_rng(seed))


@pytest.mark.parametrize("name", SHIFTS)
def test_a_shift_keeps_shape_and_dtype_and_is_the_same_again(name: str) -> None:
    for images in (IMAGES, np.rint(255 * IMAGES).astype(np.uint8), IMAGES[..., :1], IMAGES[:, :9]):
        found = shifted(images, name, 2)
        assert found.shape == images.shape
        assert found.dtype == images.dtype
        np.testing.assert_array_equal(shifted(images, name, 2), found)
    drawn = name not in ("gaussian_blur", "defocus_blur", "zoom_blur", "brightness", "contrast", "saturate", "pixelate")
    assert (shifted(IMAGES, name, 2, seed=1) != shifted(IMAGES, name, 2)).any() == drawn


# Elastic transforms become finer along their constants, and saturation goes down before it goes up.
@pytest.mark.parametrize("name", sorted(set(SHIFTS) - {"elastic", "saturate"}))
def test_a_higher_severity_is_farther_from_the_image(name: str) -> None:
    smooth = np.stack(np.meshgrid(*[np.linspace(0.2, 0.8, 24)] * 2), axis=-1)[None].repeat(8, axis=0).astype(np.float32)
    smooth = np.concatenate([smooth, smooth[..., ::-1, :1] ** 2], axis=-1)
    far = [np.abs(shifted(smooth, name, severity) - smooth).mean() for severity in (1, 3, 5)]
    assert far[0] < far[1] < far[2]


def test_noises_have_their_moments() -> None:
    size = GREY.size**0.5
    gaussian = apply("gaussian_noise", GREY, 0.1) - 0.4
    assert abs(gaussian.std() - 0.1) < 4 * 0.1 / size
    shot = apply("shot_noise", GREY, 100.0)
    assert abs(shot.mean() - 0.4) < 4 * 0.0633 / size
    assert abs(shot.var() - 0.004) < 4 * 0.004 * 2**0.5 / size
    np.testing.assert_allclose(shot * 100, np.rint(shot * 100), atol=1e-9)
    speckle = apply("speckle_noise", GREY, 0.2)
    assert abs(speckle.std() - 0.08) < 4 * 0.08 / size
    impulse = apply("impulse_noise", GREY, 0.2)
    for value, share in ((0.0, 0.1), (1.0, 0.1), (0.4, 0.8)):
        assert abs(np.isclose(impulse, value).mean() - share) < 4 * 0.4 / size


@pytest.mark.parametrize("name", ["gaussian_blur", "defocus_blur", "zoom_blur", "elastic", "pixelate", "contrast"])
def test_what_moves_or_averages_pixels_leaves_an_even_image(name: str) -> None:
    for severity in (1, 5):
        np.testing.assert_allclose(shifted(GREY, name, severity), GREY, atol=2e-6)


def test_colours_change_as_in_hsv() -> None:
    hue, saturation, value = np.moveaxis(colors.rgb_to_hsv(IMAGES), -1, 0)
    bright = colors.hsv_to_rgb(np.stack([hue, saturation, np.minimum(value + 0.2, 1)], axis=-1))
    np.testing.assert_allclose(apply("brightness", IMAGES, 0.2), bright, atol=1e-5)
    loud = colors.hsv_to_rgb(np.stack([hue, np.minimum(2 * saturation + 0.1, 1), value], axis=-1))
    np.testing.assert_allclose(apply("saturate", IMAGES, (2.0, 0.1)), loud, atol=1e-5)
    np.testing.assert_allclose(apply("saturate", GREY, (2.0, 0.1)), GREY, atol=1e-7)


def test_contrast_pixels_and_blur_are_their_formulas() -> None:
    mean = IMAGES.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(apply("contrast", IMAGES, 0.3), mean + 0.3 * (IMAGES - mean), atol=1e-6)
    boxes = IMAGES.reshape(6, 6, 2, 6, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(apply("pixelate", IMAGES, 0.5), boxes.repeat(2, 1).repeat(2, 2), atol=1e-6)
    point = np.zeros((1, 21, 21, 1))
    point[0, 10, 10, 0] = 1
    spread = apply("gaussian_blur", point, 1.0)[0, :, :, 0]
    place = np.arange(-10, 11)
    assert abs((spread * place**2).sum() - 1) < 1e-3
    disk = apply("defocus_blur", point, (2.0, 1e-6))[0, :, :, 0]
    np.testing.assert_allclose(disk, (place[:, None] ** 2 + place**2 <= 4) / 13, atol=1e-12)


def test_motions_move_what_is_in_the_middle() -> None:
    row = np.zeros((200, 21, 21, 1))
    row[:, 10, 4:17] = 1
    turned = apply("rotate", row, 90.0)
    np.testing.assert_allclose(turned[0, 4:17, 10, 0], 1, atol=1e-9)
    leant = apply("rotate", row, 30.0)
    assert 60 < (leant[:, 8, :10].sum(axis=(1, 2)) > leant[:, 8, 11:].sum(axis=(1, 2))).sum() < 140, "to either side"
    point = np.zeros((200, 21, 21, 1))
    point[:, 10, 10] = 1
    moved = apply("translate", point, 0.2)[..., 0]
    place = np.stack(np.meshgrid(np.arange(21), np.arange(21), indexing="ij")) - 10
    ways = np.einsum("nij,dij->nd", moved, place)
    np.testing.assert_allclose(np.hypot(*ways.T), 0.2 * 21, atol=1e-6)
    assert np.abs(ways.mean(axis=0)).max() < 4 * 4.2 / 400**0.5


def test_an_elastic_transform_without_its_parts_is_none_and_fog_keeps_the_brightest() -> None:
    np.testing.assert_allclose(apply("elastic", IMAGES, (0.0, 0.0, 0.0)), IMAGES, atol=1e-9)
    fogged = apply("fog", IMAGES, (1.0, 2.0))
    assert (fogged.max(axis=(1, 2, 3)) <= IMAGES.max(axis=(1, 2, 3)) + 1e-9).all()
    assert np.isfinite(shifted(GREY[:, :1, :1], "fog", 5)).all()
    assert (fogged.std(axis=(1, 2)) < 0.7 * IMAGES.std(axis=(1, 2))).any()


def test_what_cannot_be_shifted_is_refused(unchecked) -> None:
    assert len(CORRUPTIONS) == len(shifts_of("corruptions", 3)) == 13
    assert set(CORRUPTIONS) - set(shifts_of("corruptions", 1)) == {"saturate"}
    with pytest.raises(InputError, match="saturate changes colours, and these images are grey"):
        shifts_of("saturate", 1)
    with pytest.raises(InputError, match=r"'rotat' is not a shift of images.*did you mean 'rotate'"):
        shifted(IMAGES, "rotat", 1)
    with pytest.raises(InputError, match="severity=6 is not allowed: it takes a whole number from 1 to 5"):
        shifted(IMAGES, "rotate", 6)
    wrong: tuple[Any, ...] = True, 1.0
    for severity in wrong:
        with pytest.raises(InputError, match=f"severity={severity} is not allowed"):
            shifted(IMAGES, "rotate", severity)
    with pytest.raises(InputError, match=r"float32 of shape \(0, 12, 12, 3\); shifts are of images"):
        shifted(IMAGES[:0], "rotate", 1)
    with pytest.raises(InputError, match=r"float32 of shape \(6, 12\); shifts are of images"):
        shifted(IMAGES[:, :, 0, 0], "rotate", 1)
    with pytest.raises(InputError, match="shifts are of numbers from 0 to 1, or of pixels"):
        shifted(IMAGES - 1, "rotate", 1)
