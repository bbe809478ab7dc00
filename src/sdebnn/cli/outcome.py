"""How a program ends: its exit code, and one line on standard error where something is wrong.

What a program says is never a reason for it to stop. Standard error may be closed, its reader may be gone, its disk may
be full: the work goes on in silence. Where nobody reads standard output any more, it ends quietly. Text that the
encoding of a stream does not have, such as the name of a folder, is written with escapes.
"""

import contextlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from sdebnn.errors import InputError, PeerError, Stopped, StorageError

LONGEST = 4000
"""Characters of what is said of an error."""


def outcome(program: str, action: Callable[[], None]) -> int:
    """Runs `action`. Returns the exit code: 0, 2 for input that cannot be used, 1 for training that broke down,
    for files that cannot be written and where another process ended, 130 after Ctrl-C, 143 after SIGTERM.
    """
    _open_standard_streams()
    output = _Output(sys.stdout)
    with contextlib.redirect_stdout(output), _terminated(), _plain_warnings(program):
        code = _run(program, action)
        try:
            output.flush()
        except StorageError as error:
            _complain(f"{program}: error: {error}")
            return code or 1
    return code


@contextlib.contextmanager
def _plain_warnings(program: str) -> Iterator[None]:
    """What a warning says is for the user; where the code has it is not."""
    before = warnings.formatwarning
    warnings.formatwarning = lambda message, *_, **__: _plain(f"{program}: warning: {message}") + "\n"
    try:
        yield
    finally:
        warnings.formatwarning = before


def _run(program: str, action: Callable[[], None]) -> int:
    try:
        action()
    except (InputError, PeerError, StorageError, FloatingPointError) as error:
        _complain(f"{program}: error: {error}")
        return 2 if isinstance(error, InputError) else 1
    except Stopped as stop:
        _complain(f"{program}: {stop}")
        return stop.exit_code
    except KeyboardInterrupt:
        _complain(f"{program}: stopped.")
        return 130
    return 0


class _Output:
    """Standard output, to which nothing is written once its reader is gone."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """**Raises:** `StorageError` when what was written has found no room."""
        self._try(self._stream.flush)

    def _try(self, act: Callable[[], Any]) -> None:
        try:
            act()
        except OSError as error:
            # What the stream still holds would be an error again when Python ends.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            if not isinstance(error, BrokenPipeError):
                raise StorageError(
                    f"Standard output can't be written ({error.strerror or error}): make room on its disk, or send it "
                    "elsewhere."
                ) from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _open_standard_streams() -> None:
    """Gives streams that were closed somewhere to go. Otherwise the next file that is opened would take the number of
    standard error, and what libraries say there would be written into it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free, which is this one.
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115


def _complain(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(_plain(text), file=sys.stderr, flush=True)


def _plain(text: str) -> str:
    """One line, not too long. The names of files, and what is in them, may have lines of their own, or steer the
    terminal.
    """
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(text.splitlines()))
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} [...] {text[-LONGEST // 2 :]}"


@contextlib.contextmanager
def _terminated() -> Iterator[None]:
    """Lets SIGTERM end the program as Ctrl-C does, outside of training too, which has handlers of its own."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(number, "stopped.")

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
