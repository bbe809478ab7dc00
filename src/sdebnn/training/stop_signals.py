"""SIGTERM and Ctrl-C, which end a run after the gradient step that it is in."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType

from sdebnn.errors import Stopped


class StopSignals:
    """While it is entered, SIGTERM and SIGINT are only noted, in `received`: 0, or the signal's number. A second Ctrl-C
    acts as it did before, so that a person can still end a program that hangs; SIGTERM may come more than once from
    schedulers that signal every process. In a thread, where Python takes no signals, it does nothing.

    **Arguments:**

    - `stopped`: what a signal of this number ends the run with.
    """

    def __init__(self, stopped: Callable[[int], Stopped]) -> None:
        self.received = 0
        self._stopped = stopped
        self._at_once = False
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

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Within it nothing is lost by ending: a signal does not wait, nor one that was noted before.

        **Raises:** what `stopped` makes.
        """
        self._at_once = True
        try:
            if self.received:
                raise self._stopped(self.received)
            yield
        finally:
            self._at_once = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        repeated, self.received = self.received != 0, number
        if number == signal.SIGINT:
            self._restore(number)
        if self._at_once and not repeated:
            raise self._stopped(number)

    def _restore(self, number: int) -> None:
        signal.signal(number, self._before[number])  # type: ignore[arg-type]
