"""Random clouds, of which fog is made: what the diamond-square algorithm gives, wrapped at the edges."""

import numpy as np
from jaxtyping import Float


def clouds(n: int, size: int, decay: float, rng: np.random.Generator) -> Float[np.ndarray, "n s s"]:
    """Heights from 0 to 1: noise of every scale from the whole square to a pixel, each `decay` times the next finer."""
    from scipy import ndimage

    scales = int(np.ceil(np.log2(size)))
    heights = np.zeros((n, 2**scales, 2**scales))
    for scale in range(1, scales + 1):
        coarse = rng.uniform(-1, 1, (n, 2**scale, 2**scale))
        zoom = 2 ** (scales - scale)
        heights += decay**-scale * ndimage.zoom(coarse, (1, zoom, zoom), order=1, mode="grid-wrap", grid_mode=True)
    heights -= heights.min(axis=(1, 2), keepdims=True)
    highest = heights.max(axis=(1, 2), keepdims=True)
    return heights / np.where(highest > 0, highest, 1)
