"""Images of no class, to see whether a network knows that it does not know them. Nothing is downloaded."""

import numpy as np
from jaxtyping import Float, Float32, Shaped

from sdebnn.data.dataset import Dataset
from sdebnn.errors import InputError


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
