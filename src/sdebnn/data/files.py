"""Published files in the folder of data sets: found or downloaded, and checked by md5 before they are read."""

import hashlib
import io
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sdebnn import storage
from sdebnn.errors import InputError, StorageError
from sdebnn.storage import reading

TIMEOUT = 10.0  # seconds without an answer after which a download is given up


@dataclass(frozen=True)
class PublishedFile:
    """`path` inside the folder of data sets, the `md5` of the published content, and the `url` to get it from."""

    path: str
    md5: str
    url: str


def data_home(data_dir: str | Path | None = None) -> Path:
    """The folder of data sets: `data_dir`, else the environment variable SDEBNN_DATA, else the user's cache folder."""
    chosen = data_dir or os.environ.get("SDEBNN_DATA")
    if chosen:
        return expand_user(Path(chosen))
    import pooch

    return Path(pooch.os_cache("sdebnn"))


def expand_user(path: Path) -> Path:
    """The path with `~` in its place. **Raises:** `InputError` when there is no such user."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise InputError(
            f"{path} names the home folder of a user who is not there; write the path without ~."
        ) from None


def read_published(file: PublishedFile, home: Path) -> bytes:
    """The content of a published file; one that is not in `home` is downloaded into it first.

    **Raises:** `InputError` when the file is not the published one, or is missing and cannot be downloaded.
    """
    content = read_if_there(file, home)
    if content is None:
        content = download(file.url, file.md5, home / file.path)
        write(home / file.path, content)
    return content


def read_if_there(file: PublishedFile, home: Path) -> bytes | None:
    """The content of a published file, or `None` where it is not in `home`.

    **Raises:** `InputError` when there is a file that cannot be read, or is not the published one.
    """
    path = home / file.path
    if not os.path.lexists(path):
        return None
    with reading(path) as opened:
        # What is not the published file never comes to lie in memory, however long it is.
        got, size = hashlib.file_digest(opened, _md5).hexdigest(), opened.tell()
        if got != file.md5:
            raise InputError(
                f"{path} is truncated or altered: its {size} bytes have md5 {got}, but the published file has "
                f"{file.md5}; delete it and get it again from {file.url}."
            )
        opened.seek(0)
        return opened.read()


def download(url: str, expected_md5: str, missing: Path) -> bytes:
    """The content at `url`; `missing` is the file that it is needed for, for the error.

    **Raises:** `InputError` saying what is missing, where it was looked for and how to get it.
    """
    try:
        content = fetch(url)
    except Exception as error:  # the network fails in more ways than requests and urllib3 name between them
        raise InputError(
            f"{missing} is missing and could not be downloaded ({type(error).__name__}): get it from {url}, "
            "or name the folder that holds it with --data-dir or the environment variable SDEBNN_DATA."
        ) from error
    if (got := md5(content)) != expected_md5:
        raise InputError(
            f"{missing} is missing, and what {url} gave is not the published file: its {len(content)} bytes have md5 "
            f"{got}, not {expected_md5}; name the folder that holds the file with --data-dir or SDEBNN_DATA."
        )
    return content


def fetch(url: str) -> bytes:
    """Downloads what is at `url`. Nothing else in this package touches the network."""
    import pooch

    content = io.BytesIO()
    pooch.HTTPDownloader(progressbar=True, timeout=TIMEOUT)(url, content, None)
    return content.getvalue()


def md5(content: bytes) -> str:
    """The md5 in hexadecimal: it tells a damaged file, and is what the publishers of these sets give."""
    return _md5(content).hexdigest()


def write(path: Path, content: bytes) -> None:
    """Writes a downloaded file, whole or not at all. **Raises:** `InputError` when the folder cannot be written."""
    try:
        # A folder of data may well be a link to a larger disk.
        storage.write(path.parent.resolve() / path.name, content)
    except StorageError as error:
        raise InputError(f"{error} Or name another folder with --data-dir or SDEBNN_DATA.") from error


_md5 = partial(hashlib.md5, usedforsecurity=False)
