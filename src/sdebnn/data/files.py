"""Published files in the folder of data sets: found or downloaded, and checked by md5 before they are read."""

import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path

from sdebnn.errors import InputError

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
        return Path(chosen).expanduser()
    import pooch

    return Path(pooch.os_cache("sdebnn"))


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
    try:
        content = path.read_bytes() if path.exists() else None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); make it a file that can.") from error
    if content is not None and (got := md5(content)) != file.md5:
        raise InputError(
            f"{path} is truncated or altered: its {len(content)} bytes have md5 {got}, but the published file has "
            f"{file.md5}; delete it and get it again from {file.url}."
        )
    return content


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
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def write(path: Path, content: bytes) -> None:
    """Writes a downloaded file, whole or not at all. **Raises:** `InputError` when the folder cannot be written."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(content)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({error.strerror}); name a folder that can with --data-dir or SDEBNN_DATA."
        ) from error
