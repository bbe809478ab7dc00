"""MNIST and the sets in its format: 28x28 grey images of ten classes, as idx files.

LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998; Xiao, Rasul and
Vollgraf, "Fashion-MNIST", 2017; Clanuwat et al., "Deep learning for classical Japanese literature" (KMNIST), 2018;
Bulatov, "notMNIST", 2011.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Int32, UInt8

from sdebnn.data.dataset import Dataset
from sdebnn.data.files import PublishedFile, read_published
from sdebnn.data.idx import gunzip, parse_idx
from sdebnn.errors import InputError

# A set's folder, its address, and the md5 of each part's images and labels.
SETS = {
    "mnist": (
        "mnist",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            "train": ("f68b3c2dcbeaaa9fbdd348bbdeb94873", "d53e105ee54ea40749a09fcbcd1e9432"),
            "t10k": ("9fb629c4189551a2d022fa330f9573f3", "ec29112dd5afa0611ce80d1b7f02629c"),
        },
    ),
    "fashion_mnist": (
        "fashion-mnist",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {
            "train": ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe"),
            "t10k": ("bef4ecab320f06d8554ea6380940ec79", "bb300cfdad3c16e7a12a480ee83cd310"),
        },
    ),
    "kmnist": (
        "kmnist-test",
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        {"t10k": ("5c965bf0a639b31b8f53240b1b52f4d7", "7320c461ea6c1c855c0b718fb2a4b134")},
    ),
    "notmnist": (
        "notmnist-test",
        "https://raw.githubusercontent.com/davidflanagan/notMNIST-to-MNIST/master/",
        {"t10k": ("2c87c839a4ef9b238846600eec8c35b7", "7ea9118cbafd0f6e3ee2ad771d782a01")},
    ),
}


def load_mnist(name: str, home: Path) -> Dataset:
    """`"mnist"` or `"fashion_mnist"`: 60,000 training and 10,000 test images (n, 28, 28, 1), uint8."""
    return Dataset(name, "classification", *load_part(name, "train", home), *load_part(name, "t10k", home), 10)


def load_part(name: str, part: str, home: Path) -> tuple[UInt8[np.ndarray, "n 28 28 1"], Int32[np.ndarray, " n"]]:
    """Images and labels of one part, `"train"` or `"t10k"`, of one of `SETS`, from the folder of data sets `home`."""
    folder, url, md5s = SETS[name]
    arrays = []
    for kind, md5 in zip(("images-idx3", "labels-idx1"), md5s[part], strict=True):
        file = f"{part}-{kind}-ubyte.gz"
        published = PublishedFile(f"{folder}/{file}", md5, url + file)
        arrays.append(parse_idx(gunzip(read_published(published, home), file), file))
    images, labels = arrays
    if images.shape[1:] != (28, 28) or labels.ndim != 1:
        raise InputError(f"{name} has images of shape {images.shape[1:]}, but they are 28x28 with one label each.")
    return images[..., None], labels.astype(np.int32)
