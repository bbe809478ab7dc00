"""Images of no class, to see whether a network knows that it does not know them: made here, or of another set."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Shaped

from sdebnn.data.dataset import Dataset, to_float
from sdebnn.data.images import IMAGE_SETS, load_images
from sdebnn.errors import InputError
from sdebnn.spelling import refuse_unknown

MADE = ("shuffled_pixels", "smooth_textures")
OOD_SETS = (*IMAGE_SETS, *MADE)
"""Names of sets of images that `load_ood` gives."""


def load_ood(
    name: str, dataset: Dataset, data_dir: str | Path | None = None, *, resize: bool = False
) -> Shaped[np.ndarray, "n h w c"]:
    """Out-of-distribution images for a network that was trained on a data set: as many as it has test images, at most,
    of their shape and dtype.

    **Arguments:**

    - `name`: one of `OOD_SETS`: the test images of another published set, or made of those of `dataset`.
    - `dataset`: of images.
    - `data_dir`: the folder of data sets; see `data_home`.
    - `resize`: whether images of another shape are brought to that of `dataset`: sides by linear interpolation, colours
      to grey by their mean, grey to colours by repetition. What is found may then be the resizing.

    **Raises:** `InputError` for an unknown name, a data set of no images or of numbers beyond 0 and 1, images of
    another shape unless they may be resized, and files that are missing.
    """
    refuse_unknown(name, OOD_SETS, "a set of images out of distribution")
    if name in MADE:
        return ood_images(dataset)[name.replace("_", " ")]
    if dataset.x_test.ndim != 4:
        raise InputError(f"{name} has images, but the inputs of {dataset.name} have shape {dataset.x_test.shape}.")
    x = dataset.x_test
    if x.dtype != np.uint8 and not (x.min() >= 0 and x.max() <= 1):
        raise InputError(
            f"{name} has pixels, which become numbers from 0 to 1, and the images of {dataset.name} go from "
            f"{x.min():.4g} to {x.max():.4g}: the network would tell them by their scale alone; train it on pixels, or "
            "on numbers from 0 to 1."
        )
    images, shape, n = load_images(name, data_dir), x.shape[1:], len(x)
    if n < len(images):
        # Files are often sorted by class.
        images = images[np.sort(np.random.default_rng(0).choice(len(images), n, replace=False))]
    if images.shape[1:] != shape:
        if not resize:
            raise InputError(
                f"{name} has images of {_by(images.shape[1:])}, and {dataset.name} of {_by(shape)}; ask for them to be "
                "resized (--resize 1), or take another set."
            )
        images = _resized(images, shape)
    return images if images.dtype == dataset.x_test.dtype else to_float(images)


def ood_images(dataset: Dataset, seed: int = 0) -> dict[str, Shaped[np.ndarray, "n h w c"]]:
    """Out-of-distribution images of the shape, dtype and number of a data set's test images.

    `"shuffled pixels"` are the test images without their structure; `"smooth textures"` have structure, but no object.

    **Arguments:**

    - `dataset`: of images.
    - `seed`: the same seed gives the same images.

    **Raises:** `InputError` when the data set has no images of two pixels or more.
    """
    x = dataset.x_test
    if x.ndim != 4 or x.shape[1] * x.shape[2] < 2:
        raise InputError(
            f"Images of two pixels or more are needed, but the inputs of {dataset.name} have shape {x.shape}."
        )
    n, height, width, channels = x.shape
    textures = smooth_textures(n, (height, width, channels), seed)
    if x.dtype == np.uint8:
        textures = np.rint(255 * textures).astype(np.uint8)
    return {"shuffled pixels": shuffled_pixels(x, seed), "smooth textures": textures}


def shuffled_pixels(x: Shaped[np.ndarray, "n h w c"], seed: int) -> Shaped[np.ndarray, "n h w c"]:
    """The same images with the pixels of each in an order of its own: only the histogram of its values is left.

    The channels of a pixel stay together.
    """
    n, height, width, channels = x.shape
    pixels = x.reshape(n, height * width, channels)
    order = np.random.default_rng(seed).permuted(np.tile(np.arange(height * width), (n, 1)), axis=1)
    return np.take_along_axis(pixels, order[..., None], axis=1).reshape(x.shape)


def smooth_textures(n: int, shape: tuple[int, int, int], seed: int) -> Float32[np.ndarray, "n h w c"]:
    """Random cloudy images (n, height, width, channels): neighbouring pixels are alike, but there is no object.

    `smooth_noise`, each image stretched to [0, 1].
    """
    noise = smooth_noise(n, shape, seed)
    noise -= noise.min(axis=(1, 2, 3), keepdims=True)
    return (noise / noise.max(axis=(1, 2, 3), keepdims=True)).astype(np.float32)


def smooth_noise(n: int, shape: tuple[int, int, int], seed: int) -> Float[np.ndarray, "n h w c"]:
    """Gaussian noise whose pixels at a distance of d image sides have a correlation of exp(-(4 d)^2), edges wrapped."""
    height, width, _ = shape
    noise = np.random.default_rng(seed).standard_normal((n, *shape))
    # The correlation is the Fourier transform of the squared filter: exp(-(pi s f)^2), f in cycles an image side,
    # becomes exp(-(d / s)^2).
    rows, columns = (np.fft.fftfreq(size, 1 / size) for size in (height, width))
    damping = np.exp(-((np.pi / 4) ** 2) * (rows[:, None] ** 2 + columns[None, :] ** 2) / 2)
    return np.fft.ifft2(np.fft.fft2(noise, axes=(1, 2)) * damping[..., None], axes=(1, 2)).real


def _resized(images: Shaped[np.ndarray, "n a b d"], shape: tuple[int, ...]) -> Shaped[np.ndarray, "n h w c"]:
    # Imported here: it takes as long as all else that is read of data.
    from scipy.ndimage import zoom

    found, (height, width, channels) = to_float(images), shape
    if channels != found.shape[3]:
        found = np.repeat(found.mean(axis=3, keepdims=True), channels, axis=3)
    factors = (1, height / found.shape[1], width / found.shape[2], 1)
    found = zoom(found, factors, order=1, grid_mode=True, mode="nearest")
    return np.rint(255 * found).astype(np.uint8) if images.dtype == np.uint8 else found


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
