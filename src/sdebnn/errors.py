"""The errors that a person can do something about: what was given cannot be used; what was made cannot be
written; others that take part have ended; and the signal that ends a run.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path


class InputError(ValueError):
    """What the user gave (a value, a file, a folder) cannot be used.

    Its text is one sentence that says what was got, what is allowed and what to do. The command line prints it on one
    line and exits with code 2; a library user catches it as a `ValueError`.
    """


class StorageError(OSError):
    """A file cannot be written: the disk is full, or the right to write is missing.

    Its text names the file and says what to do. What was there before is whole. The command line prints it on one line
    and exits with code 1; a library user catches it as an `OSError`.
    """


class PeerError(RuntimeError):
    """Another of the processes that train together has ended, so this one cannot go on. The command line exits with
    code 1.
    """

    def __init__(self) -> None:
        super().__init__(
            "Another process of this run has ended, and what it printed says why; start them all again, with --resume "
            "(in Python: resume_run) where there is a checkpoint."
        )


class Stopped(Exception):
    """A run that a signal ended, after it was saved. `exit_code` is 128 plus the signal's number, as shells have it."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + number


@contextlib.contextmanager
def naming_file(path: Path) -> Iterator[None]:
    """Says of which file an `InputError` of its block is."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path} cannot be used: {error}") from None
