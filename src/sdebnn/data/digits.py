"""Handwritten digits that come with scikit-learn: 1,797 images of 8x8, ten classes. Nothing is downloaded."""

import numpy as np

from sdebnn.data.dataset import Dataset
from sdebnn.data.held_out import hold_out


def load_digits() -> Dataset:
    """1,198 training and 599 test images (n, 8, 8, 1), float32 in [0, 1]; the held-out third is always the same."""
    from sklearn.datasets import load_digits as sklearn_digits

    bunch = sklearn_digits()
    x = (bunch.images / 16).astype(np.float32)[..., None]
    y = bunch.target.astype(np.int32)
    train, test = hold_out(len(x), 1 / 3, 0, y)
    return Dataset("digits", "classification", x[train], y[train], x[test], y[test], 10)
