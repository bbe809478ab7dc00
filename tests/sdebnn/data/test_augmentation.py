import numpy as np
import pytest

from sdebnn.data import augment
from sdebnn.errors import InputError

IMAGES = np.random.default_rng(0).integers(1, 256, size=(200, 10, 8, 3), dtype=np.uint8)


def test_none_changes_nothing() -> None:
    assert augment(IMAGES, "none", seed=0, step=0) is IMAGES


def test_a_crop_is_the_image_moved_with_zeros_at_the_border_and_all_moves_come_up() -> None:
    moved = augment(IMAGES, "crop", seed=0, step=3)
    assert (moved.shape, moved.dtype) == (IMAGES.shape, IMAGES.dtype)
    seen = set()
    for image, new in zip(IMAGES, moved, strict=True):
        rows, columns = (new.any(axis=(1, 2)), new.any(axis=(0, 2)))
        down = int(np.argmax(rows)) or -int(np.argmax(rows[::-1]))
        right = int(np.argmax(columns)) or -int(np.argmax(columns[::-1]))
        expected = np.zeros_like(image)
        height, width = image.shape[:2]
        expected[max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)] = image[
            max(-down, 0) : height + min(-down, 0), max(-right, 0) : width + min(-right, 0)
        ]
        np.testing.assert_array_equal(new, expected)
        seen.add((down, right))
    assert seen == {(down, right) for down in range(-2, 3) for right in range(-2, 3)}


def test_large_images_move_by_up_to_four_pixels() -> None:
    image = np.ones((300, 32, 32, 1), np.float32)
    moved = augment(image, "crop", seed=0, step=0)
    assert moved.sum(axis=(1, 2, 3)).min() == 28 * 28


def test_half_of_the_images_are_mirrored() -> None:
    moved, plain = (augment(IMAGES, kind, seed=1, step=5) for kind in ("crop_flip", "crop"))
    same = (moved == plain).all(axis=(1, 2, 3))
    np.testing.assert_array_equal(moved[~same], plain[~same][:, :, ::-1])
    # Four standard deviations of a fair coin.
    assert abs(same.sum() - 100) <= 4 * np.sqrt(50)


def test_changes_depend_on_seed_and_step_alone() -> None:
    first = augment(IMAGES, "crop_flip", seed=2, step=7)
    np.testing.assert_array_equal(first, augment(IMAGES, "crop_flip", seed=2, step=7))
    for other in ({"seed": 3, "step": 7}, {"seed": 2, "step": 8}):
        assert (first != augment(IMAGES, "crop_flip", **other)).any()


def test_tables_and_unknown_kinds_are_refused() -> None:
    with pytest.raises(InputError, match=r"'shift' is not allowed: it takes none, crop, crop_flip"):
        augment(IMAGES, "shift", seed=0, step=0)
    with pytest.raises(InputError, match=r"shape \(3,\); it takes images"):
        augment(np.zeros((5, 3), np.float32), "crop", seed=0, step=0)
