"""Files: read with a sentence for every failure, and whole or not there at all when they are written.

Whoever may write into a folder can put a symbolic link where a file or a subfolder is expected, and a program that
followed it would write, with the rights of its user, wherever the link points. So nothing is written through a link.
The folder is opened without following one, and files are opened and renamed relative to the open folder, which stays
what it is whatever becomes of its name meanwhile. A caller whose folder may well be a link, because a person named it,
resolves it first.
"""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from io import BufferedReader, BufferedWriter, FileIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

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


@contextlib.contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """A file, open to be written, so that a reader, or a crash at any moment, finds the old content or the new one,
    never a part. Of several that write it at once, the last has it whole.

    **Arguments:**

    - `path`: of the file; its folder is made if missing. A file that ends in `.partial` is beside it meanwhile.

    **Raises:** `StorageError`; what was there before is kept, as it is when the block raises.
    """
    # A name of its own: two writers that shared one would take each other's file away.
    partial = f"{path.name[:40]}.{secrets.token_hex(4)}.partial"
    with naming(path), _folder_of(path) as folder:
        try:
            with BufferedWriter(_open(folder, partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL)) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            old, new = (folder.member(name) for name in (partial, path.name))
            os.replace(old, new, src_dir_fd=folder.descriptor, dst_dir_fd=folder.descriptor)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(folder.member(partial), dir_fd=folder.descriptor)
            raise
        folder.sync()


def write(path: Path, content: bytes) -> None:
    """Writes a file, whole or not at all; see `writing`. **Raises:** `StorageError`."""
    with writing(path) as file:
        file.write(content)


def open_to_append(path: Path, *, new: bool = False) -> FileIO:
    """A file that lies in its folder and nowhere else, open without a buffer for `append`.

    **Arguments:**

    - `path`: of the file; it and its folder are made if missing.
    - `new`: whether a file that is there already is refused.

    **Raises:** `StorageError` when it cannot be written, or is a link, a pipe or a device.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | (os.O_EXCL if new else 0)
    with naming(path), _folder_of(path) as folder:
        file = _open(folder, path.name, flags)
        about = os.fstat(file.fileno())
        # A second name of a file is as good a way out of the folder as a symbolic link.
        if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1:
            file.close()
            raise OSError(errno.ELOOP, "")
        return file


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
    except StorageError:
        raise
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise StorageError(
                f"{path} can't be written: it or its folder is a link, a pipe or a device, or has a second name, and "
                "nothing is written through those; put a file or folder of its own there, or remove it."
            ) from None
        raise StorageError(
            f"{path} can't be written ({error.strerror or error}): make room on its disk, or see that you may write "
            "there."
        ) from None


class _Folder(NamedTuple):
    """A folder held open; `descriptor` is `None` where the system cannot open folders."""

    path: Path
    descriptor: int | None

    def member(self, name: str) -> str | Path:
        """What stands for a file of the folder in a call with `dir_fd`."""
        return self.path / name if self.descriptor is None else name

    def sync(self) -> None:
        """Brings new names to the disk."""
        if self.descriptor is not None:
            os.fsync(self.descriptor)


@contextlib.contextmanager
def _folder_of(path: Path) -> Iterator[_Folder]:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.parent.is_symlink():
        raise OSError(errno.ELOOP, "")
    if os.open not in os.supports_dir_fd:
        yield _Folder(path.parent, None)
        return
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield _Folder(path.parent, descriptor)
    finally:
        os.close(descriptor)


def _open(folder: _Folder, name: str, flags: int) -> FileIO:
    # A pipe that nobody reads is refused at once instead of waited for.
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    return FileIO(
        folder.path / name,
        "ab" if flags & os.O_APPEND else "wb",
        opener=lambda *_: os.open(folder.member(name), flags, 0o666, dir_fd=folder.descriptor),
    )
