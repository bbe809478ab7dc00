"""Files: read with a sentence for every failure, and whole or not there at all when they are written."""

import contextlib
import os
import stat
from collections.abc import Iterator
from io import BufferedReader, FileIO
from pathlib import Path

from sdebnn.errors import InputError, StorageError


@contextlib.contextmanager
def reading(path: Path) -> Iterator[BufferedReader]:
    """A file, open to be read. Only regular files are opened: a pipe or a device could give bytes without end, or none
    for ever.

    **Raises:** `InputError`, naming the file, when it is missing, is none, or cannot be read.
    """
    try:
        file = path.open("rb") if stat.S_ISREG(path.stat().st_mode) else None
    except OSError as error:
        raise InputError(f"{path} can't be read ({error.strerror}).") from None
    except ValueError:  # a null character, or half a surrogate pair
        raise InputError(f"{path} can't be read (no file can have that name).") from None
    if file is None:
        raise InputError(f"{path} can't be read (it is not a file).")
    with file:
        try:
            yield file
        except OSError as error:
            raise InputError(f"{path} can't be read ({error.strerror or error}).") from None


def read(path: Path, *, limit: int) -> bytes:
    """The content of a file. **Raises:** `InputError` as `reading`, and when it has more than `limit` bytes."""
    with reading(path) as file:
        if (size := os.fstat(file.fileno()).st_size) > limit:
            raise InputError(f"{path} can't be read: it has {size} bytes, but no such file has more than {limit}.")
        return file.read(size)


def write(path: Path, content: bytes) -> None:
    """Writes a file so that a reader, or a crash at any moment, finds the old content or the new one, never a part.

    **Arguments:**

    - `path`: of the file; its folder is made if missing. A file `path` + `.partial` is there meanwhile.

    **Raises:** `StorageError`; what was there before is kept.
    """
    partial = path.with_name(path.name + ".partial")
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


def append(file: FileIO, content: bytes) -> None:
    """Adds to the end of a file that was opened without a buffer, at once. **Raises:** `StorageError`."""
    with naming(Path(str(file.name))):
        written = file.write(content)
        # The last bytes that find room are taken without an error; the next ones would not be.
        while written < len(content):
            written += file.write(content[written:])


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Makes an `OSError` of its block a `StorageError` that names the file."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{path} can't be written ({error.strerror or error}): make room on its disk, or see that you may write "
            "there."
        ) from None


def _sync_folder(folder: Path) -> None:
    # The new name itself reaches the disk only with the folder's own fsync; Windows has no such call.
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
