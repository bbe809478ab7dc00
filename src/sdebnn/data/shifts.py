"""Images that are moved, or spoilt, step by step: does a network become less sure as it becomes less right?

Corruptions follow Hendrycks and Dietterich, Benchmarking neural network robustness to common corruptions and
perturbations, 2019, with the constants that they published for CIFAR-10-C; what they draw is drawn anew here. Of their
nineteen those are left out that need a library for images or photographs of frost. For images of 28 x 28 grey pixels
there are those of MNIST-C too, as `mnist_c/...`: of its fifteen all but motion blur and Canny's edges.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Shaped

from sdebnn.data import mnist_c
from sdebnn.data.clouds import clouds
from sdebnn.data.dataset import to_float
from sdebnn.errors import InputError
from sdebnn.spelling import refuse_unknown

Images = Float64[np.ndarray, "n h w c"]
SEVERITIES = (1, 2, 3, 4, 5)
# All that are corruptions, and all of MNIST-C.
ALL, ALL_MNIST_C = "corruptions", "mnist_c"


class Shift(NamedTuple):
    """What is done to images of numbers from 0 to 1, `apply(images, constant, rng)`, and its constant at each of the
    five severities.
    """

    apply: Callable[[Images, Any, np.random.Generator], Images]
    constants: tuple[Any, ...]


def shifted(
    images: Shaped[np.ndarray, "n h w c"], shift: str, severity: int, seed: int = 0
) -> Shaped[np.ndarray, "n h w c"]:
    """Images after a shift, of their shape and dtype.

    **Arguments:**

    - `images`: uint8 pixels, or float32 from 0 to 1.
    - `shift`: a name in `SHIFTS`: of `MOTIONS`, of `CORRUPTIONS`, or of `MNIST_C`.
    - `severity`: from 1 to 5.
    - `seed`: the same one gives the same images.

    **Raises:** `InputError` for an unknown name, another severity, and what are no such images.
    """
    refuse_unknown(shift, SHIFTS, "a shift of images")
    if isinstance(severity, bool) or not isinstance(severity, int | np.integer) or severity not in SEVERITIES:
        raise InputError(f"severity={severity!r} is not allowed: it takes a whole number from 1 to 5.")
    refuse_no_images(images)
    x = to_float(images).astype(np.float64)
    _refuse_no_mnist(shift, images.shape[1:])
    apply, constants = SHIFTS[shift]
    rng = np.random.default_rng([seed, list(SHIFTS).index(shift), severity])
    found = np.clip(apply(x, constants[severity - 1], rng), 0, 1)
    return np.rint(255 * found).astype(np.uint8) if images.dtype == np.uint8 else found.astype(np.float32)


def _rotate(x: Images, degrees: float, rng: np.random.Generator) -> Images:
    from scipy import ndimage

    # To either side: a network may know one of them.
    sides = np.where(rng.random(len(x)) < 0.5, -degrees, degrees)
    turned = [ndimage.rotate(image, side, reshape=False, order=1) for image, side in zip(x, sides, strict=True)]
    return np.stack(turned)


def _translate(x: Images, share: float, rng: np.random.Generator) -> Images:
    from scipy import ndimage

    angles = rng.uniform(0, 2 * np.pi, len(x))
    ways = share * np.stack([x.shape[1] * np.sin(angles), x.shape[2] * np.cos(angles)], axis=1)
    return np.stack([ndimage.shift(image, (*way, 0), order=1) for image, way in zip(x, ways, strict=True)])


def _gaussian_noise(x: Images, deviation: float, rng: np.random.Generator) -> Images:
    return x + deviation * rng.standard_normal(x.shape)


def _shot_noise(x: Images, photons: float, rng: np.random.Generator) -> Images:
    return rng.poisson(x * photons) / photons


def _impulse_noise(x: Images, share: float, rng: np.random.Generator) -> Images:
    struck, white = rng.random(x.shape) < share, rng.random(x.shape) < 0.5
    return np.where(struck, white.astype(np.float64), x)


def _speckle_noise(x: Images, deviation: float, rng: np.random.Generator) -> Images:
    return x + x * deviation * rng.standard_normal(x.shape)


def _gaussian_blur(x: Images, deviation: float, rng: np.random.Generator) -> Images:
    from scipy import ndimage

    return ndimage.gaussian_filter(x, (0, deviation, deviation, 0), mode="nearest")


def _defocus_blur(x: Images, disk: tuple[float, float], rng: np.random.Generator) -> Images:
    """A disk of so many pixels, whose edge is blurred over three."""
    from scipy import ndimage

    radius, edge = disk
    place = np.arange(-8, 9)
    kernel = (place[:, None] ** 2 + place**2 <= radius**2).astype(np.float64)
    near = np.exp(-0.5 * (np.arange(-1, 2) / edge) ** 2)
    kernel = ndimage.convolve(kernel / kernel.sum(), np.outer(near, near) / near.sum() ** 2, mode="constant")
    return ndimage.correlate(x, kernel[None, :, :, None], mode="mirror")


def _zoom_blur(x: Images, most: float, rng: np.random.Generator) -> Images:
    from scipy import ndimage

    def zoomed(factor: float) -> Images:
        middle = (np.array(x.shape[1:3]) - 1) / 2
        scale = (1, 1 / factor, 1 / factor, 1)
        offset = (0, *(middle * (1 - 1 / factor)), 0)
        return ndimage.affine_transform(x, scale, offset, order=1, mode="nearest")

    factors = np.arange(1, most, 0.01)
    return (x + sum(zoomed(factor) for factor in factors)) / (len(factors) + 1)


def _fog(x: Images, fog: tuple[float, float], rng: np.random.Generator) -> Images:
    strength, decay = fog
    brightest = x.max(axis=(1, 2, 3), keepdims=True)
    found = strength * clouds(x.shape[0], max(x.shape[1:3]), decay, rng)[:, : x.shape[1], : x.shape[2], None]
    return (x + found) * brightest / (brightest + strength)


def _brightness(x: Images, added: float, rng: np.random.Generator) -> Images:
    """Added to the value of HSV, the largest of the colours; hue and saturation stay."""
    value = x.max(axis=3, keepdims=True)
    raised = np.minimum(value + added, 1)
    return np.where(value > 0, x * raised / np.where(value > 0, value, 1), raised)


def _saturate(x: Images, saturation: tuple[float, float], rng: np.random.Generator) -> Images:
    """The saturation of HSV, (largest - smallest) / largest, times the first and plus the second number."""
    factor, added = saturation
    value = x.max(axis=3, keepdims=True)
    old = np.where(value > 0, 1 - x.min(axis=3, keepdims=True) / np.where(value > 0, value, 1), 0)
    new = np.clip(factor * old + added, 0, 1)
    # Grey has no hue: none is invented.
    return np.where(old > 0, value - (value - x) * new / np.where(old > 0, old, 1), x)


def _contrast(x: Images, factor: float, rng: np.random.Generator) -> Images:
    mean = x.mean(axis=(1, 2), keepdims=True)
    return mean + factor * (x - mean)


def _pixelate(x: Images, share: float, rng: np.random.Generator) -> Images:
    """Means over so many boxes a side, of that share of the pixels, and back."""

    def boxes(old: int, new: int) -> Float[np.ndarray, "new old"]:
        ends = np.arange(new + 1) * old / new
        pixels = np.arange(old)
        covered = np.minimum(ends[1:, None], pixels + 1) - np.maximum(ends[:-1, None], pixels)
        return np.maximum(covered, 0) * new / old

    def both(old: int) -> Float[np.ndarray, "old old"]:
        new = max(1, int(old * share))
        return boxes(new, old) @ boxes(old, new)

    return np.einsum("ij,njkc,lk->nilc", both(x.shape[1]), x, both(x.shape[2]), optimize=True)


def _elastic(x: Images, elastic: tuple[float, float, float], rng: np.random.Generator) -> Images:
    """An affine map that moves three points by a share of the side, and after it a smooth random field of so many
    sides, over so many sides.
    """
    from scipy import ndimage

    size = min(x.shape[1:3])
    height, smooth, affine = (size * share for share in elastic)
    middle, reach = np.array(x.shape[1:3]) // 2, size // 3
    grid = np.stack(np.meshgrid(np.arange(x.shape[1]), np.arange(x.shape[2]), indexing="ij"))
    points = middle + reach * np.array([[1, 1], [1, -1], [-1, -1]])
    moved = np.empty_like(x)
    for number, image in enumerate(x):
        ends = points + rng.uniform(-affine, affine, points.shape)
        # Of the pixels after it, where each comes from.
        back = np.linalg.solve(np.c_[ends, np.ones(3)], points)
        places = np.einsum("dij,de->eij", grid, back[:2]) + back[2][:, None, None]
        if height:
            field = ndimage.gaussian_filter(rng.uniform(-1, 1, grid.shape), (0, smooth, smooth), truncate=3)
            places = places + height * field
        for channel in range(x.shape[3]):
            moved[number, ..., channel] = ndimage.map_coordinates(image[..., channel], places, order=1, mode="mirror")
    return moved


def refuse_no_images(images: Shaped[np.ndarray, "n ..."]) -> None:
    """**Raises:** `InputError` for what are no images of pixels or of numbers from 0 to 1."""
    if images.ndim != 4 or images.size == 0 or images.dtype not in (np.uint8, np.float32):
        raise InputError(
            f"The inputs are {images.dtype} of shape {images.shape}; shifts are of images (n, height, width, "
            "channels), one at least, uint8 or float32."
        )
    low, high = to_float(images).min(), to_float(images).max()
    if not (low >= 0 and high <= 1):
        raise InputError(
            f"The images go from {low:.4g} to {high:.4g}; shifts are of numbers from 0 to 1, or of pixels."
        )


def refuse_unknown_shifts(names: Sequence[str]) -> None:
    """**Raises:** `InputError` for names that are neither of `SHIFTS` nor `"corruptions"` nor `"mnist_c"`."""
    for name in names:
        refuse_unknown(name, (*SHIFTS, ALL, ALL_MNIST_C), "a shift of images")


def shifts_of(name: str, shape: tuple[int, ...]) -> list[str]:
    """The shifts that a name stands for: itself, all of `MNIST_C`, or with `"corruptions"` all that change images of
    such a shape: grey has no saturation.

    **Raises:** `InputError` for one that changes none of them, and for one of `MNIST_C` and images of another shape.
    """
    _refuse_no_mnist(name, shape)
    if name == ALL_MNIST_C:
        return list(MNIST_C)
    channels = shape[-1]
    if name == "saturate" and channels == 1:
        raise InputError(
            "saturate changes colours, and these images are grey: they would stay as they are; leave it out."
        )
    if name != ALL:
        return [name]
    return [corruption for corruption in CORRUPTIONS if channels > 1 or corruption != "saturate"]


def _refuse_no_mnist(shift: str, shape: tuple[int, ...]) -> None:
    own = (mnist_c.SIDE, mnist_c.SIDE, 1)
    if shift.partition("/")[0] == ALL_MNIST_C and shape != own:
        raise InputError(
            f"{shift} is of images of {own}, as those of MNIST, and these are of {shape}; take corruptions, whose "
            "constants are those of CIFAR-10-C."
        )


MOTIONS: dict[str, Shift] = {
    "rotate": Shift(_rotate, (15.0, 30.0, 45.0, 60.0, 75.0)),
    "translate": Shift(_translate, (0.05, 0.1, 0.15, 0.2, 0.25)),
}
"""By degrees to either side, and by a share of the size in any direction."""

CORRUPTIONS: dict[str, Shift] = {
    "gaussian_noise": Shift(_gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10)),
    "shot_noise": Shift(_shot_noise, (500.0, 250.0, 100.0, 75.0, 50.0)),
    "impulse_noise": Shift(_impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.07)),
    "speckle_noise": Shift(_speckle_noise, (0.06, 0.1, 0.12, 0.16, 0.2)),
    "gaussian_blur": Shift(_gaussian_blur, (0.4, 0.6, 0.7, 0.8, 1.0)),
    "defocus_blur": Shift(_defocus_blur, ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1))),
    "zoom_blur": Shift(_zoom_blur, (1.06, 1.11, 1.16, 1.21, 1.26)),
    "fog": Shift(_fog, ((0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75))),
    "brightness": Shift(_brightness, (0.05, 0.1, 0.15, 0.2, 0.3)),
    "contrast": Shift(_contrast, (0.75, 0.5, 0.4, 0.3, 0.15)),
    "saturate": Shift(_saturate, ((0.3, 0.0), (0.1, 0.0), (1.5, 0.0), (2.0, 0.1), (2.5, 0.2))),
    "elastic": Shift(
        _elastic, ((0.0, 0.0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03))
    ),
    "pixelate": Shift(_pixelate, (0.95, 0.9, 0.85, 0.75, 0.65)),
}
"""Of Hendrycks and Dietterich (2019)."""

_ONE_FORM = (None,) * len(SEVERITIES)
MNIST_C: dict[str, Shift] = {
    f"{ALL_MNIST_C}/{name}": shift
    for name, shift in {
        "shot_noise": Shift(_shot_noise, (60.0, 25.0, 12.0, 5.0, 3.0)),
        "impulse_noise": Shift(_impulse_noise, (0.03, 0.06, 0.09, 0.17, 0.27)),
        "glass_blur": Shift(mnist_c.glass_blur, ((0.7, 1, 2), (0.9, 2, 1), (1.0, 2, 3), (1.1, 3, 2), (1.5, 4, 2))),
        "shear": Shift(mnist_c.shear, (0.2, 0.4, 0.6, 0.8, 1.0)),
        "scale": Shift(mnist_c.scale, (0.9, 0.8, 0.7, 0.6, 0.5)),
        "rotate": Shift(mnist_c.rotate, (0.2, 0.4, 0.6, 0.8, 1.0)),
        "brightness": Shift(_brightness, (0.1, 0.2, 0.3, 0.4, 0.5)),
        "translate": Shift(mnist_c.translate, (1, 2, 3, 4, 5)),
        "stripe": Shift(mnist_c.stripe, _ONE_FORM),
        "fog": Shift(mnist_c.fog, ((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4))),
        "spatter": Shift(
            mnist_c.spatter,
            (
                (0.65, 0.3, 4.0, 0.69, 0.6),
                (0.65, 0.3, 3.0, 0.68, 0.6),
                (0.65, 0.3, 2.0, 0.68, 0.5),
                (0.65, 0.3, 1.0, 0.65, 1.5),
                (0.67, 0.4, 1.0, 0.65, 1.5),
            ),
        ),
        "dotted_line": Shift(mnist_c.dotted_line, _ONE_FORM),
        "zigzag": Shift(mnist_c.zigzag, _ONE_FORM),
    }.items()
}
"""Of Mu and Gilmer (2019), with the constants of their code; the last two and stripe have one form alone."""

# What is drawn depends on a shift's place among them.
SHIFTS: dict[str, Shift] = MOTIONS | CORRUPTIONS | MNIST_C
"""What `shifted` does, by name."""
