"""CIFAR-10: 32x32 colour images of ten classes, as the six official binary files.

Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
"""

import io
import tarfile
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Int32, UInt8

from sdebnn.data.dataset import Dataset
from sdebnn.data.files import PublishedFile, download, read_if_there, write
from sdebnn.errors import InputError

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
RECORD = 1 + 3 * 32 * 32  # a label, then the red, the green and the blue plane


def load_cifar10(home: Path) -> Dataset:
    """50,000 training and 10,000 test images (n, 32, 32, 3), uint8, from the folder of data sets `home`."""
    contents = {file.path: read_if_there(file, home) for file in FILES}
    missing = [path for path, content in contents.items() if content is None]
    if missing:
        members = unpack(download(URL, ARCHIVE_MD5, home / missing[0]))
        for path in missing:
            write(home / path, members[path])
            contents[path] = members[path]
    parts = [parse_cifar10(content, path) for path, content in contents.items() if content is not None]
    x_train, y_train = (np.concatenate(arrays) for arrays in zip(*parts[:-1], strict=True))
    return Dataset("cifar10", "classification", x_train, y_train, *parts[-1], 10)


def unpack(archive: bytes) -> dict[str, bytes]:
    """The six files in the archive, by name: nothing is extracted to a path that the archive names."""
    contents = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            for file in FILES:
                member = tar.extractfile(file.path)
                if member is None:
                    raise tarfile.TarError(f"{file.path} is not a file")
                contents[file.path] = member.read()
    except (tarfile.TarError, KeyError, OSError, EOFError, zlib.error) as error:
        raise InputError(f"What {URL} gave is not the CIFAR-10 archive ({error}); get the six .bin files.") from error
    return contents


def parse_cifar10(content: bytes, name: str) -> tuple[UInt8[np.ndarray, "n 32 32 3"], Int32[np.ndarray, " n"]]:
    """Images and labels in one binary file's content; `name` is for the error.

    **Raises:** `InputError` when it does not hold whole records, or has a label above 9.
    """
    if not content or len(content) % RECORD:
        raise InputError(
            f"{name} is truncated or altered: it has {len(content)} bytes, not a number of records of {RECORD}."
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    if records[:, 0].max() > 9:
        raise InputError(f"{name} is altered: it has a label {records[:, 0].max()}, but labels are 0 to 9.")
    images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), records[:, 0].astype(np.int32)
