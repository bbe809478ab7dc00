"""The test images of published sets, for instance those that a network was not trained on."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from sdebnn.data.cifar import load_cifar10
from sdebnn.data.files import data_home
from sdebnn.data.mnist import SETS, load_part
from sdebnn.spelling import refuse_unknown

IMAGE_SETS = (*SETS, "cifar10")


def load_images(name: str, data_dir: str | Path | None = None) -> UInt8[np.ndarray, "n h w c"]:
    """The 10,000 test images of a published set, without their labels.

    **Arguments:**

    - `name`: one of `IMAGE_SETS`; all but cifar10 are of 28x28x1, so each is out of distribution for the others.
    - `data_dir`: the folder of data sets; see `data_home`.

    **Raises:** `InputError` for an unknown name, and for files that are missing, truncated or altered.
    """
    # As version 0.1 called those of which there are no others.
    name = name.removesuffix("_test")
    refuse_unknown(name, IMAGE_SETS, "a set of images")
    home = data_home(data_dir)
    return load_cifar10(home).x_test if name == "cifar10" else load_part(name, "t10k", home)[0]
