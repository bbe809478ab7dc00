"""CIFAR-10 and CIFAR-100: 32x32 colour images of ten or a hundred classes, as the official binary files.

Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
"""

import io
import os
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int32, UInt8

from sdebnn.data.dataset import Dataset
from sdebnn.data.files import PublishedFile, download, read_if_there, write
from sdebnn.errors import InputError
from sdebnn.storage import read

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
ARCHIVE_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
FILES = tuple(
    PublishedFile(f"cifar-10-batches-bin/{name}.bin", md5, URL)
    for name, md5 in (
        ("data_batch_1", "5dd7e06a14cb22eb9f671a540d1b7c25"),
        ("data_batch_2", "5ea93a67294ea407fff1d09f752e9692"),
        ("data_batch_3", "942cd6a4bcdd0dd3c604fbe906cb4421"),
        ("data_batch_4", "ae636b3ba5c66a11e91e8cb52e771fcb"),
        ("data_batch_5", "53f37980c15c3d472c316c40844f3f0d"),
        ("test_batch", "803d5f7f4d78ea53de84dbe85f74fb6d"),
    )
)
PIXELS = 3 * 32 * 32  # the red, the green and the blue plane, after the labels
RECORD = 1 + PIXELS

URL_100 = "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"
ARCHIVE_MD5_100 = "03b5dce01913d631647c71ecec9e9cb8"
# In bytes: of these the publisher gives no md5.
FILES_100 = {"cifar-100-binary/train.bin": 50_000 * (1 + RECORD), "cifar-100-binary/test.bin": 10_000 * (1 + RECORD)}


def load_cifar10(home: Path) -> Dataset:
    """50,000 training and 10,000 test images (n, 32, 32, 3), uint8, from the folder of data sets `home`."""
    parts = [parse_cifar10(content, path) for path, content in _published(FILES, home)]
    x_train, y_train = (np.concatenate(arrays) for arrays in zip(*parts[:-1], strict=True))
    return Dataset("cifar10", "classification", x_train, y_train, *parts[-1], 10)


def load_cifar100(home: Path) -> Dataset:
    """50,000 training and 10,000 test images (n, 32, 32, 3), uint8, with their fine labels, from the folder of data
    sets `home`.
    """
    train, test = (parse_cifar100(_whole(path, home), path) for path in FILES_100)
    return Dataset("cifar100", "classification", *train, *test, 100)


def load_test_images(name: str, home: Path) -> UInt8[np.ndarray, "n 32 32 3"]:
    """Those of cifar10 or cifar100; the training images need not be there."""
    if name == "cifar100":
        path = list(FILES_100)[-1]
        return parse_cifar100(_whole(path, home), path)[0]
    ((path, content),) = _published(FILES[-1:], home)
    return parse_cifar10(content, path)[0]


def _published(files: Sequence[PublishedFile], home: Path) -> list[tuple[str, bytes]]:
    """The path and the content of files of CIFAR-10; those that are not in `home` come there from the archive."""
    contents = {file.path: read_if_there(file, home) for file in files}
    missing = [path for path, content in contents.items() if content is None]
    if missing:
        members = unpack(download(URL, ARCHIVE_MD5, home / missing[0]), missing, URL)
        for path in missing:
            write(home / path, members[path])
        contents |= members
    return [(path, content) for path, content in contents.items() if content is not None]


def _whole(path: str, home: Path) -> bytes:
    """The content of a file of CIFAR-100, of the length that it has; from the archive where it is not in `home`."""
    file, size = home / path, FILES_100[path]
    if not os.path.lexists(file):
        write(file, unpack(download(URL_100, ARCHIVE_MD5_100, file), [path], URL_100)[path])
    content = read(file, limit=size)
    if len(content) != size:
        raise InputError(
            f"{file} is truncated or altered: it has {len(content)} bytes, not {size}; delete it and get it again from "
            f"{URL_100}."
        )
    return content


def unpack(archive: bytes, paths: Sequence[str], url: str) -> dict[str, bytes]:
    """The files of these paths in the archive from `url`: nothing is extracted to a path that the archive names."""
    contents = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            for path in paths:
                member = tar.extractfile(path)
                if member is None:
                    raise tarfile.TarError(f"{path} is not a file")
                contents[path] = member.read()
    except (tarfile.TarError, KeyError, OSError, EOFError, zlib.error) as error:
        raise InputError(f"What {url} gave is not the archive of the set ({error}); get its .bin files.") from error
    return contents


def parse_cifar10(content: bytes, name: str) -> tuple[UInt8[np.ndarray, "n 32 32 3"], Int32[np.ndarray, " n"]]:
    """Images and labels in one binary file's content; `name` is for the error.

    **Raises:** `InputError` when it does not hold whole records, or has a label above 9.
    """
    return _parse(content, name, (10,))


def parse_cifar100(content: bytes, name: str) -> tuple[UInt8[np.ndarray, "n 32 32 3"], Int32[np.ndarray, " n"]]:
    """Images and their fine labels, as `parse_cifar10`; a record has one of 20 coarse labels before."""
    return _parse(content, name, (20, 100))


def _parse(
    content: bytes, name: str, classes: tuple[int, ...]
) -> tuple[UInt8[np.ndarray, "n 32 32 3"], Int32[np.ndarray, " n"]]:
    """Images and the last label of each record, which has one of so many `classes` each."""
    record = len(classes) + PIXELS
    if not content or len(content) % record:
        raise InputError(
            f"{name} is truncated or altered: it has {len(content)} bytes, not a number of records of {record}."
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, record)
    for labels, count in zip(records.T, classes, strict=False):
        if labels.max() >= count:
            raise InputError(f"{name} is altered: it has a label {labels.max()}, but labels are 0 to {count - 1}.")
    images = records[:, len(classes) :].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), records[:, len(classes) - 1].astype(np.int32)
