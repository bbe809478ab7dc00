"""SIGTERM and Ctrl-C, which end a run after the gradient step that it is in."""

import signal
import threading
from types import FrameType, TracebackType


class Stopped(Exception):
    """A run that a signal ended, after it was saved. `exit_code` is 128 plus the signal's number, as shells have it."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + number


class StopSignals:
    """While it is entered, SIGTERM and SIGINT are only noted, in `received`: 0, or the signal's number. A second Ctrl-C
    acts as it did before, so that a person can still end a program that hangs; SIGTERM may come more than once from
    schedulers that signal every process. In a thread, where Python takes no signals, it does nothing.
    """

    def __init__(self) -> None:
        self.received = 0
        self._before: dict[int, object] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in self._before:
            self._restore(number)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        if number == signal.SIGINT:
            self._restore(number)

    def _restore(self, number: int) -> None:
        signal.signal(number, self._before[number])  # type: ignore[arg-type]
