"""SVHN, street view house numbers: 32x32 colour images of ten digits, as the official files of MATLAB.

Netzer et al., "Reading digits in natural images with unsupervised feature learning", 2011.
"""

import io
from pathlib import Path

import numpy as np
from jaxtyping import Int32, UInt8

from sdebnn.data.dataset import Dataset
from sdebnn.data.files import PublishedFile, read_published
from sdebnn.errors import InputError

URL = "http://ufldl.stanford.edu/housenumbers/"
FILES = {
    part: PublishedFile(f"svhn/{part}_32x32.mat", md5, f"{URL}{part}_32x32.mat")
    for part, md5 in (
        ("train", "e26dedcc434d2e4c54c9b2d4a06d8373"),
        ("test", "eb5a983be6a315427106f1b164d9cef3"),
    )
}


def load_svhn(home: Path) -> Dataset:
    """73,257 training and 26,032 test images (n, 32, 32, 3), uint8, from the folder of data sets `home`; the label of a
    digit is the digit.
    """
    return Dataset("svhn", "classification", *load_part("train", home), *load_part("test", home), 10)


def load_part(part: str, home: Path) -> tuple[UInt8[np.ndarray, "n 32 32 3"], Int32[np.ndarray, " n"]]:
    """Images and labels of one part, `"train"` or `"test"`."""
    return parse_mat(read_published(FILES[part], home), FILES[part].path)


def parse_mat(content: bytes, name: str) -> tuple[UInt8[np.ndarray, "n 32 32 3"], Int32[np.ndarray, " n"]]:
    """Images and labels in one file's content, which counts the digit 0 as 10; `name` is for the error.

    **Raises:** `InputError` when it is no file of MATLAB with such images X and labels y.
    """
    # Imported here: it takes as long as all else that is read of data.
    from scipy.io import loadmat

    try:
        arrays = loadmat(io.BytesIO(content), variable_names=["X", "y"])
        images, labels = np.asarray(arrays["X"]), np.asarray(arrays["y"])
    except Exception as error:  # a damaged file fails in more ways than scipy names
        raise InputError(f"{name} is not a file of MATLAB with arrays X and y ({type(error).__name__}).") from error
    if images.dtype != np.uint8 or images.shape[:3] != (32, 32, 3) or labels.shape != (images.shape[-1], 1):
        raise InputError(
            f"{name} has X of {images.dtype}, {images.shape}, and y of {labels.shape}, but they are uint8, (32, 32, 3, "
            "n), and (n, 1)."
        )
    if labels.min() < 1 or labels.max() > 10:
        raise InputError(f"{name} has labels from {labels.min()} to {labels.max()}, but they are 1 to 10.")
    return np.ascontiguousarray(images.transpose(3, 0, 1, 2)), (labels[:, 0] % 10).astype(np.int32)
