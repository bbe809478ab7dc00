"""The test images of published sets, for instance those that a network was not trained on."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from sdebnn.data import cifar, mnist, svhn
from sdebnn.data.files import data_home
from sdebnn.spelling import refuse_unknown

IMAGE_SETS = (*mnist.SETS, "cifar10", "cifar100", "svhn")


def load_images(name: str, data_dir: str | Path | None = None) -> UInt8[np.ndarray, "n h w c"]:
    """The test images of a published set, without their labels: 10,000, of svhn 26,032.

    **Arguments:**

    - `name`: one of `IMAGE_SETS`; those of CIFAR and svhn are of 32x32x3, the others of 28x28x1, so each is out of
      distribution for the others of its shape.
    - `data_dir`: the folder of data sets; see `data_home`.

    **Raises:** `InputError` for an unknown name, and for files that are missing, truncated or altered.
    """
    # As version 0.1 called those of which there are no others.
    name = name.removesuffix("_test")
    refuse_unknown(name, IMAGE_SETS, "a set of images")
    home = data_home(data_dir)
    if name in mnist.SETS:
        return mnist.load_part(name, "t10k", home)[0]
    return svhn.load_part("test", home)[0] if name == "svhn" else cifar.load_test_images(name, home)
