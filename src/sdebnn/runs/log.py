"""The log of a run: numbers by step, as JSON lines that a person can read, and in TensorBoard."""

import importlib.util
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, SupportsFloat

from sdebnn import storage
from sdebnn.errors import InputError
from sdebnn.runs import strict_json
from sdebnn.runs.folder import RunFolder
from sdebnn.runs.tensorboard import TensorBoardFile

LONGEST_LINE = 2**16


class MetricsLog:
    """Appends to a run's `metrics.jsonl`, and to TensorBoard where it is installed. A context manager.

    A line is `{"step", "time", "split", name: value, ...}`: gradient steps taken, seconds since 1970, and `train`,
    `test` or another part of the data. NaN and infinity are written as text, because JSON has neither; `read` gives
    them back as numbers. TensorBoard comes with `pip install 'sdebnn[tensorboard]'`.

    **Arguments:**

    - `run`: the folder.
    - `resume`: `(step, size)` to take a log up again as it was after `step` gradient steps, when `size` was its length:
      later lines are cut off, and TensorBoard hides what it has of later steps. A log that was removed begins again.

    **Raises:** `InputError` when the log is not what it was then, and nothing is changed; `StorageError` when it cannot
    be written.
    """

    def __init__(self, run: RunFolder, *, resume: tuple[int, int] | None = None) -> None:
        path = run.metrics_file
        if resume is not None and os.path.lexists(path):
            for _ in _records(run, resume[1]):
                pass
        self._file = storage.open_to_append(path)
        if resume is not None:
            with storage.naming(path):
                self._file.truncate(min(resume[1], os.fstat(self._file.fileno()).st_size))
        self._board: TensorBoardFile | None = None
        if importlib.util.find_spec("tensorboardX") is not None:
            try:
                self._board = TensorBoardFile(run.tensorboard, purge=None if resume is None else resume[0] + 1)
            except BaseException:
                self._file.close()
                raise

    def size(self) -> int:
        """Length of `metrics.jsonl` so far, in bytes. That much is safe on the disk then: a checkpoint relies on it.

        **Raises:** `StorageError`.
        """
        with storage.naming(Path(str(self._file.name))):
            os.fsync(self._file.fileno())
            return os.fstat(self._file.fileno()).st_size

    def write(self, step: int, values: Mapping[str, SupportsFloat], *, split: str) -> None:
        """Writes one line, at once: a run that dies keeps every line.

        **Arguments:**

        - `step`: gradient steps taken so far.
        - `values`: by name. TensorBoard shows each as `split/name`.
        - `split`: the part of the data that the values are of: `train`, `test`.

        **Raises:** `StorageError`.
        """
        numbers = {name: float(value) for name, value in values.items()}
        line = strict_json.text({"step": step, "time": round(time.time(), 3), "split": split, **numbers})
        storage.append(self._file, (line + "\n").encode())
        if self._board is not None:
            self._board.write(step, {f"{split}/{name}": value for name, value in numbers.items()})

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
        return list(_records(run)) if os.path.lexists(run.metrics_file) else []


def _records(run: RunFolder, size: int | None = None) -> Iterator[dict[str, Any]]:
    """The records of a log, one after the other; with `size` those in its first bytes, which must be whole lines."""
    with storage.reading(run.metrics_file) as file:
        number = 0
        while size is None or file.tell() < size:
            line = file.readline(LONGEST_LINE)
            number += 1
            if len(line) < LONGEST_LINE and not line.endswith(b"\n"):
                if size is None:
                    return
                raise InputError(
                    f"{run.metrics_file} has {file.tell()} bytes, but had {size} when the checkpoint was written: it "
                    "was truncated; restore it, or remove it to go on with a new log."
                )
            try:
                yield _record(strict_json.parse(line))
            except (ValueError, TypeError, KeyError, AttributeError):
                raise InputError(
                    f"Line {number} of {run.metrics_file} is not a record of a log: it was altered; "
                    "restore or remove it."
                ) from None
        if size is not None and file.tell() != size:
            raise InputError(
                f"Line {number} of {run.metrics_file} does not end where the checkpoint says that the log did: one of "
                "them was altered; restore the log, or remove it to go on with a new one."
            )


def _record(parsed: Any) -> dict[str, Any]:
    step, split = parsed["step"], parsed["split"]
    if not isinstance(step, int) or isinstance(step, bool) or step < 0 or not isinstance(split, str):
        raise TypeError
    numbers = {name: float(value) for name, value in parsed.items() if name not in ("step", "split")}
    return {"step": step, "split": split, **numbers}
