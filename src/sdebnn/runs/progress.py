"""What a person sees of a run while it trains: how far it is, how well it does, how long it will take."""

import contextlib
import shutil
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, SupportsFloat, TextIO

from tqdm.auto import tqdm

SHOWN = ("loss", "accuracy", "rmse")


def say(line: str) -> None:
    """Writes a line to standard error, where there may be nobody to read it."""
    stream: TextIO | None = sys.stderr
    if stream is not None:
        with contextlib.suppress(OSError, ValueError):
            stream.write(line + "\n")
            stream.flush()


class Progress:
    """A bar with loss, accuracy and time left on a terminal, and in a notebook that has widgets; elsewhere a line now
    and then, so that logs stay readable.

    Bars of a terminal and lines go to standard error. Where that takes nothing, because it is closed, its reader is
    gone or its disk is full, the run goes on without them.

    **Arguments:**

    - `total_steps`: gradient steps of the whole run.
    - `every`: seconds between two lines where standard error is no terminal.
    """

    def __init__(self, total_steps: int, *, every: float = 30.0) -> None:
        self._stream: TextIO | None = sys.stderr
        self._total = total_steps
        self._started = time.monotonic()
        self._first: tuple[int, float] | None = None
        self._bar: tqdm | None = None
        self._interval = every
        self._shown_at = self._started
        size: dict[str, Any] | None = {} if _is_widget() else None
        if size is None and self._stream is not None and not self._stream.closed and self._stream.isatty():
            # A terminal that does not tell its size would leave tqdm no room at all.
            columns, rows = shutil.get_terminal_size()
            size = {"ncols": columns, "nrows": rows}
        if size is not None:
            self._bar = tqdm(total=total_steps, file=self._stream, unit="step", mininterval=0, **size)
            self._interval = 0.2

    def update(self, step: int, values: Mapping[str, SupportsFloat]) -> None:
        """Shows the step if it is time to. `values` are read only then: reading one waits for the device.

        **Arguments:**

        - `step`: gradient steps taken so far.
        - `values`: by name; `loss`, `accuracy` and `rmse` are shown where given.
        """
        now = time.monotonic()
        # The first step compiles, so the pace is taken from its end on.
        if self._first is None:
            self._first = (step, now)
        if now - self._shown_at < self._interval and step < self._total:
            return
        self._shown_at = now
        if self._stream is None:
            return
        scores = ", ".join(f"{name} {float(values[name]):.4g}" for name in SHOWN if name in values)
        try:
            if self._bar is not None:
                self._bar.set_postfix_str(scores, refresh=False)
                self._bar.update(step - self._bar.n)
            else:
                self._stream.write(f"step {step}/{self._total}, {scores}, {self._time_left(step, now)}\n")
                self._stream.flush()
        except (OSError, ValueError):
            self._stream = None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            with contextlib.suppress(OSError, ValueError):
                self._bar.close()

    def _time_left(self, step: int, now: float) -> str:
        if step >= self._total:
            return f"done in {tqdm.format_interval(now - self._started)}"
        first_step, first_time = self._first or (step, now)
        if step == first_step:
            return "time left unknown"
        return f"{tqdm.format_interval((now - first_time) / (step - first_step) * (self._total - step))} left"


def _is_widget() -> bool:
    """Whether tqdm has found itself in a notebook, whose standard error is no terminal."""
    notebook = sys.modules.get("tqdm.notebook")
    return notebook is not None and issubclass(tqdm, notebook.tqdm_notebook)
