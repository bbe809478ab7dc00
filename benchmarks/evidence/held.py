"""One command at a time on the files of a table."""

import contextlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path

import filelock

from sdebnn.errors import InputError


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Keeps a file or a folder for this process, by a lock beside it that ends with the process, however it ends.

    **Raises:** `InputError` when another process holds it.
    """
    lock = path.with_name(f"{path.name}.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+") as file:
        if not filelock.lock_descriptor(file.fileno(), blocking=False):
            file.seek(0)
            raise InputError(
                f"{path} is in use by {file.read().strip() or 'another process'}; wait until that has ended, or end it."
            )
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}")
        file.flush()
        yield
