"""Random changes to training images that leave their labels as they are."""

import numpy as np
from jaxtyping import Shaped

from sdebnn.errors import InputError

KINDS = ("none", "crop", "crop_flip")


def augment(x: Shaped[np.ndarray, "n ..."], kind: str, *, seed: int, step: int) -> Shaped[np.ndarray, "n ..."]:
    """Moves images by a few pixels, and mirrors some.

    **Arguments:**

    - `x`: images (n, height, width, channels).
    - `kind`: `"none"`; `"crop"`: each image is moved by up to 4 pixels, 2 where a side is below 32, and what comes in
      at the border is zero (He et al., 2015, section 4.2); `"crop_flip"`: half of them are also mirrored left to right.
    - `seed`, `step`: the changes depend on these two alone.

    **Returns:** images of the same shape and dtype; `x` itself for `"none"`.

    **Raises:** `InputError` for another kind, and for what are no images.
    """
    if kind not in KINDS:
        raise InputError(f"The augmentation {kind!r} is not allowed: it takes {', '.join(KINDS)}.")
    if kind == "none":
        return x
    check_images(x.shape[1:], kind)
    count, height, width = x.shape[:3]
    rng = np.random.default_rng([seed, step, 1])
    pad = 4 if min(height, width) >= 32 else 2
    rows, columns = rng.integers(0, 2 * pad + 1, size=(2, count))
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    moved = padded[
        np.arange(count)[:, None, None],
        (rows[:, None] + np.arange(height))[:, :, None],
        (columns[:, None] + np.arange(width))[:, None, :],
    ]
    if kind == "crop_flip":
        mirrored = rng.random(count) < 0.5
        moved[mirrored] = moved[mirrored, :, ::-1]
    return moved


def check_images(shape: tuple[int, ...], kind: str) -> None:
    """**Raises:** `InputError` when examples of this shape cannot be changed as `kind` says."""
    if kind != "none" and len(shape) != 3:
        raise InputError(
            f"augmentation={kind!r} got examples of shape {shape}; it takes images, (height, width, channels). "
            "Choose augmentation='none'."
        )
