"""What MNIST-C does to images of 28 x 28 grey pixels, beside what it has in common with CIFAR-10-C.

Mu and Gilmer, MNIST-C: a robustness benchmark for computer vision, 2019. Each function takes images (n, 28, 28, 1) of
numbers from 0 to 1, a constant, and a generator.
"""

from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float64

from sdebnn.data.clouds import clouds

SIDE = 28
Images = Float64[np.ndarray, "n 28 28 1"]
Grey = Float64[np.ndarray, "n 28 28"]
SKY = 256
# Lines end at this distance, in pixels.
FAR = 2.3


def glass_blur(x: Images, glass: tuple[float, int, int], rng: np.random.Generator) -> Images:
    """Blurred, every second pixel changed for one at most so far away, so many times, and blurred again."""
    deviation, far, times = glass
    found, images = np.floor(255 * _blurred(x[..., 0], deviation)) / 255, np.arange(len(x))
    for _ in range(times):
        for row in range(SIDE - far, far, -1):
            for column in range(SIDE - far, far, -1):
                swapped = rng.random(len(x)) < 0.5
                rows, columns = (np.where(swapped, rng.integers(-far, far, len(x)), 0) + at for at in (row, column))
                here = found[:, row, column].copy()
                found[:, row, column] = found[images, rows, columns]
                found[images, rows, columns] = here
    return _blurred(found, deviation)[..., None]


def spatter(x: Images, drops: tuple[float, float, float, float, float], rng: np.random.Generator) -> Images:
    """Drops of dark grey where blurred noise of a mean and a deviation is above a height."""
    mean, deviation, smooth, height, edge = drops
    liquid = _blurred(rng.normal(mean, deviation, x.shape[:3]), smooth)
    mud = _blurred((liquid > height).astype(np.float64), edge)
    mud = np.where(mud < 0.8, 0, mud)[..., None]
    return x * (1 - mud) + 63 / 255 * mud


def fog(x: Images, fog: tuple[float, float], rng: np.random.Generator) -> Images:
    """Clouds of a strength and a decay; a place of each image alone in a sky of 256 x 256."""
    strength, decay = fog
    along = SKY // SIDE
    skies = clouds(-(-len(x) // along**2), SKY, decay, rng)[:, : along * SIDE, : along * SIDE]
    places = skies.reshape(-1, along, SIDE, along, SIDE).transpose(0, 1, 3, 2, 4).reshape(-1, SIDE, SIDE, 1)
    brightest = x.max(axis=(1, 2, 3), keepdims=True)
    return (x + strength * places[: len(x)]) * brightest / (brightest + strength)


def shear(x: Images, amount: float, rng: np.random.Generator) -> Images:
    """To either side."""
    ways = amount * rng.choice([-1, 1], len(x))
    still = np.zeros(len(x))
    return _affine(x, np.array([[np.cos(ways), still], [-np.sin(ways), still + 1]]))


def rotate(x: Images, radians: float, rng: np.random.Generator) -> Images:
    """To either side."""
    ways = radians * rng.choice([-1, 1], len(x))
    return _affine(x, np.array([[np.cos(ways), np.sin(ways)], [-np.sin(ways), np.cos(ways)]]))


def scale(x: Images, share: float, rng: np.random.Generator) -> Images:
    """To that share of the size."""
    return _affine(x, np.tile(np.eye(2)[..., None] / share, len(x)))


def translate(x: Images, pixels: int, rng: np.random.Generator) -> Images:
    """By so many pixels along either axis, each to one of its sides."""
    moved = np.zeros_like(x)
    for number, (down, right) in enumerate(pixels * rng.choice([-1, 1], (len(x), 2))):
        rows, columns = (slice(max(way, 0), SIDE + min(way, 0)) for way in (down, right))
        from_rows, from_columns = (slice(max(-way, 0), SIDE + min(-way, 0)) for way in (down, right))
        moved[number, rows, columns] = x[number, from_rows, from_columns]
    return moved


def stripe(x: Images, constant: Any, rng: np.random.Generator) -> Images:
    """A quarter at the left and one at the right, turned over."""
    found = x.copy()
    found[:, :, :7] = 1 - found[:, :, :7]
    found[:, :, 21:] = 1 - found[:, :, 21:]
    return found


def dotted_line(x: Images, constant: Any, rng: np.random.Generator) -> Images:
    """A line from the left to the right, of which two columns in four are left out."""
    ends = rng.integers(0, 27, (len(x), 2)).astype(np.float64)
    lines = np.stack([_line(0.0, first, 27.0, last) for first, last in ends])
    kept = np.arange(SIDE) % 4 >= 2
    return x + (lines * kept)[..., None]


def zigzag(x: Images, constant: Any, rng: np.random.Generator) -> Images:
    """A zigzag of two pixels about a line from the left to the right."""
    firsts = rng.integers(0, 27, len(x))
    rises = rng.integers(-5, 5, len(x))
    drawn = [_zigzag(float(first), float(rise)) for first, rise in zip(firsts, rises, strict=True)]
    return np.minimum(x + np.stack(drawn)[..., None], 1)


def _zigzag(first: float, rise: float) -> Float64[np.ndarray, "28 28"]:
    left, right, length, width = 2.0, 25.0, 2.0, 2.0
    angle = np.arctan(rise / (right - left))
    whole = (right - left) / np.cos(angle)
    turns = int((whole - length) // (2 * length)) + 1
    ends = [(0.0, 0.0)] + [((2 * turn + 1) * length, (-1) ** turn * width) for turn in range(turns)]
    rest = whole - 2 * length * (whole // (2 * length))
    if rest:
        ends.append((whole, ends[-1][1] / (2 * rest)))
    turned = np.array(ends) @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    places = turned + np.array([left, first])
    return sum((_line(*start, *end) for start, end in pairwise(places)), np.zeros((SIDE, SIDE)))


def _line(left: float, first: float, right: float, last: float) -> Float64[np.ndarray, "28 28"]:
    """From a column and a row to others, 1 on the line and falling to 0 beside it."""
    if left == right:
        return np.zeros((SIDE, SIDE))
    rows, columns = np.mgrid[:SIDE, :SIDE]
    slope = (last - first) / (right - left)
    far = np.minimum(np.abs(rows - (slope * (columns - left) + first)), FAR - 1e-10)
    within = (columns >= np.floor(left)) & (columns < np.ceil(right))
    return np.clip(np.log(1 - far / FAR) + 1, 0, 1) * within


def _blurred(x: Grey, deviation: float) -> Grey:
    from scipy import ndimage

    return ndimage.gaussian_filter(x, (0, deviation, deviation), mode="nearest")


def _affine(x: Images, matrices: Float64[np.ndarray, "2 2 n"]) -> Images:
    """Of each pixel, by row and column from the middle, where it comes from; zeros from outside."""
    from scipy import ndimage

    middle = np.full(2, (SIDE - 1) / 2)
    turned = [
        ndimage.affine_transform(image[..., 0], matrix, middle - matrix @ middle, order=1)
        for image, matrix in zip(x, np.moveaxis(matrices, -1, 0), strict=True)
    ]
    return np.stack(turned)[..., None]
