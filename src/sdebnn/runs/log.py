"""The log of a run: numbers by step, as JSON lines that a person can read, and in TensorBoard."""

import importlib.util
import json
import os
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, SupportsFloat

from sdebnn.errors import InputError
from sdebnn.runs import atomic
from sdebnn.runs.folder import RunFolder


class MetricsLog:
    """Appends to a run's `metrics.jsonl`, and to TensorBoard where it is installed. A context manager.

    A line is `{"step", "time", "split", name: value, ...}`: gradient steps taken, seconds since 1970, and `train`,
    `test` or another part of the data. NaN and infinity are written as text, because JSON has neither; `read` gives
    them back as numbers. TensorBoard comes with `pip install 'sdebnn[tensorboard]'`.

    **Arguments:**

    - `run`: the folder.
    - `resume`: `(step, size)` to take a log up again as it was after `step` gradient steps, when `size` was its length:
      later lines are cut off, and TensorBoard hides what it has of later steps.
    """

    def __init__(self, run: RunFolder, *, resume: tuple[int, int] | None = None) -> None:
        self._path = run.metrics_file
        self._board: Any = None
        purge = None
        if resume is not None:
            step, size = resume
            purge = step + 1
            self._path.touch()
            os.truncate(self._path, min(size, self.size()))
        self._file = self._path.open("a", encoding="utf-8")
        if importlib.util.find_spec("tensorboardX") is not None:
            from tensorboardX import SummaryWriter

            self._board = SummaryWriter(str(run.tensorboard), purge_step=purge)

    def size(self) -> int:
        """Length of `metrics.jsonl` so far, in bytes."""
        return self._path.stat().st_size

    def write(self, step: int, values: Mapping[str, SupportsFloat], *, split: str) -> None:
        """Writes one line, at once: a run that dies keeps every line.

        **Arguments:**

        - `step`: gradient steps taken so far.
        - `values`: by name. TensorBoard shows each as `split/name`.
        - `split`: the part of the data that the values are of: `train`, `test`.
        """
        numbers = {name: float(value) for name, value in values.items()}
        line = atomic.json_text({"step": step, "time": round(time.time(), 3), "split": split, **numbers})
        self._file.write(line + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in numbers.items():
                self._board.add_scalar(f"{split}/{name}", value, step)

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()

    @staticmethod
    def read(run: RunFolder) -> list[dict[str, Any]]:
        """Every line of the log, oldest first. A last line that a crash cut short is left out.

        **Raises:** `InputError`, naming the line, for any other line that is not a record.
        """
        if not run.metrics_file.exists():
            return []
        # What follows the last line's end is nothing, or a line that was cut short.
        lines = run.metrics_file.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
        records = []
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line)
                records.append({name: value if name == "split" else _number(value) for name, value in record.items()})
            except (ValueError, TypeError, AttributeError, RecursionError):
                raise InputError(
                    f"Line {number} of {run.metrics_file} is not a record of a log: it was altered; "
                    "restore or remove it."
                ) from None
        return records


def _number(value: Any) -> int | float:
    return value if isinstance(value, int) else float(value)
