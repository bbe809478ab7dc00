"""Shifts of images: closed forms, laws of noise, and what they keep."""

from typing import Any

import numpy as np
import pytest
from matplotlib import colors

from sdebnn.data import CORRUPTIONS, MNIST_C, MOTIONS, SHIFTS, mnist_c, shifted
from sdebnn.data.shifts import shifts_of
from sdebnn.errors import InputError

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(0.1, 0.9, (6, 12, 12, 3)).astype(np.float32)
GREY = np.full((4, 64, 64, 1), 0.4, np.float32)


def apply(name, images, constant, seed=0):
    return SHIFTS[name].apply(images.astype(np.float64), constant, np.random.default_rng(seed))


@pytest.mark.parametrize("name", MOTIONS | CORRUPTIONS)
def test_a_shift_keeps_shape_and_dtype_and_is_the_same_again(name: str) -> None:
    for images in (IMAGES, np.rint(255 * IMAGES).astype(np.uint8), IMAGES[..., :1], IMAGES[:, :9]):
        found = shifted(images, name, 2)
        assert found.shape == images.shape
        assert found.dtype == images.dtype
        np.testing.assert_array_equal(shifted(images, name, 2), found)
    drawn = name not in ("gaussian_blur", "defocus_blur", "zoom_blur", "brightness", "contrast", "saturate", "pixelate")
    assert (shifted(IMAGES, name, 2, seed=1) != shifted(IMAGES, name, 2)).any() == drawn


# Elastic transforms become finer along their constants, and saturation goes down before it goes up.
@pytest.mark.parametrize("name", sorted(set(MOTIONS | CORRUPTIONS) - {"elastic", "saturate"}))
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
    assert len(CORRUPTIONS) == len(shifts_of("corruptions", (32, 32, 3))) == 13
    assert set(CORRUPTIONS) - set(shifts_of("corruptions", (28, 28, 1))) == {"saturate"}
    with pytest.raises(InputError, match="saturate changes colours, and these images are grey"):
        shifts_of("saturate", (8, 8, 1))
    assert shifts_of("mnist_c", (28, 28, 1)) == [*MNIST_C]
    for name in ("mnist_c", "mnist_c/stripe"):
        with pytest.raises(InputError, match=rf"{name} is of images of \(28, 28, 1\), .* these are of \(32, 32, 3\)"):
            shifts_of(name, (32, 32, 3))
    with pytest.raises(InputError, match=r"mnist_c/stripe is of images of \(28, 28, 1\)"):
        shifted(IMAGES, "mnist_c/stripe", 1)
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


DIGITS = np.clip(RNG.normal(0.3, 0.4, (90, 28, 28, 1)), 0, 1).astype(np.float32)


@pytest.mark.parametrize("name", MNIST_C)
def test_a_corruption_of_mnist_c_keeps_shape_and_dtype_and_is_the_same_again(name: str) -> None:
    for images in (DIGITS, np.rint(255 * DIGITS).astype(np.uint8)):
        found = shifted(images, name, 2)
        assert (found.shape, found.dtype) == (images.shape, images.dtype)
        np.testing.assert_array_equal(shifted(images, name, 2), found)
        assert (found != images).mean() > 0.02
    drawn = name.removeprefix("mnist_c/") not in ("scale", "brightness", "stripe")
    assert (shifted(images, name, 2, seed=1) != found).any() == drawn


def test_corruptions_of_mnist_c_that_move_an_image() -> None:
    """Where a point and a cross about the middle go, by the maps of the published code."""
    point = np.zeros((40, 28, 28, 1))
    point[:, 10, 12] = 1
    moved = apply("mnist_c/translate", point, 3)[..., 0]
    assert {(int(r), int(c)) for _, r, c in np.argwhere(moved)} == {(7, 9), (7, 15), (13, 9), (13, 15)}
    np.testing.assert_array_equal(moved.sum(axis=(1, 2)), 1)
    row = np.zeros((40, 28, 28, 1))
    row[:, 13:15, 4:24] = 1
    np.testing.assert_allclose(apply("mnist_c/rotate", row, np.pi / 2), row.swapaxes(1, 2), atol=1e-9)
    small = apply("mnist_c/scale", row, 0.5)[0, ..., 0]
    assert small.sum() == pytest.approx(row[0].sum() / 4)
    assert small[:, :8].sum() == small[:, 20:].sum() == 0
    leant = apply("mnist_c/shear", row.swapaxes(1, 2), 0.5)[..., 0]
    place = np.arange(28) - 13.5
    middles = (leant * place).sum(axis=2) / np.maximum(leant.sum(axis=2), 1e-9)
    # A column of pixels leans by sin(0.5) a row, to either side.
    slopes = (middles[:, 18] - middles[:, 9]) / 9
    np.testing.assert_allclose(np.abs(slopes), np.sin(0.5), atol=0.02)
    assert 5 < (slopes > 0).sum() < 35


def test_corruptions_of_mnist_c_that_draw_on_an_image() -> None:
    striped = apply("mnist_c/stripe", DIGITS, None)
    np.testing.assert_allclose(striped[:, :, [0, 6, 21, 27]], 1 - DIGITS[:, :, [0, 6, 21, 27]], atol=1e-6)
    np.testing.assert_array_equal(striped[:, :, 7:21], DIGITS[:, :, 7:21])
    empty = np.zeros((60, 28, 28, 1))
    dotted = apply("mnist_c/dotted_line", empty, None)[..., 0]
    drawn = (dotted > 0).any(axis=1)
    np.testing.assert_array_equal(drawn[:, :27], np.broadcast_to(np.arange(27) % 4 >= 2, (60, 27)))
    level = mnist_c._zigzag(13.0, 0.0)
    # It begins in column 2, and turns two pixels above and below every fourth column, from column 4 on.
    for row, column in ((15, 4), (11, 8), (15, 12), (11, 16), (15, 20), (11, 24), (13, 2), (13, 6), (13, 22)):
        assert level[row, column] >= 1
    assert level[:, :2].max() == level[:, 25:].max() == level[:8].max() == level[19:].max() == 0
    drawn = apply("mnist_c/zigzag", empty, None)
    assert (drawn.max(axis=(1, 2, 3)) == 1).all()
    assert apply("mnist_c/spatter", np.ones((60, 28, 28, 1)), (0.65, 0.3, 1.0, 0.65, 1.5)).min() == pytest.approx(
        63 / 255, abs=0.2
    )


def test_glass_without_a_blur_changes_the_places_of_pixels_alone() -> None:
    glass = apply("mnist_c/glass_blur", np.rint(255 * DIGITS) / 255, (1e-6, 2, 1))
    assert (glass != DIGITS).mean() > 0.3
    before, after = (np.sort(np.rint(255 * images).reshape(90, -1)) for images in (DIGITS, glass))
    np.testing.assert_allclose(after, before, atol=1)
    np.testing.assert_allclose(glass[:, :1], DIGITS[:, :1], atol=1 / 128)


def test_places_of_one_sky_are_as_foggy_as_others() -> None:
    grey = np.full((90, 28, 28, 1), 0.5)
    fogged = apply("mnist_c/fog", grey, (2.0, 1.7))
    assert fogged.min() >= 0.5 * 0.5 / 2.5 - 1e-12
    assert fogged.max() <= 0.5 + 1e-12
    # More than 81 images need a second sky.
    assert len(np.unique(fogged.mean(axis=(1, 2, 3)))) == 90
