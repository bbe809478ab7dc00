"""Numbers in a file that TensorBoard shows."""

import os
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sdebnn import storage


class TensorBoardFile:
    """A new event file in a folder. Every number is on its way to the disk when `write` returns, and a disk that takes
    no more is an error then and there: the writer of tensorboardX itself puts both off to a thread of its own.

    **Arguments:**

    - `folder`: the one to give to `tensorboard --logdir`.
    - `purge`: TensorBoard hides what older files of the folder have of this step and later ones.

    **Raises:** `StorageError` when it cannot be written.
    """

    def __init__(self, folder: Path, *, purge: int | None) -> None:
        from tensorboardX.proto.event_pb2 import SessionLog

        # The name must sort behind those of earlier files: TensorBoard reads a folder in order.
        path = folder / f"events.out.tfevents.{time.time():.6f}.{os.getpid()}"
        self._file = storage.open_to_append(path, new=True)
        self._append(file_version="brain.Event:2")
        if purge is not None:
            self._append(step=purge, session_log=SessionLog(status=SessionLog.START))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Writes numbers by name. **Raises:** `StorageError`."""
        from tensorboardX.proto.summary_pb2 import Summary

        scalars = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._append(step=step, summary=Summary(value=scalars))

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _append(self, **content: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.record_writer import masked_crc32c

        event = Event(wall_time=time.time(), **content).SerializeToString()
        length = struct.pack("<Q", len(event))
        checks = [struct.pack("<I", masked_crc32c(part)) for part in (length, event)]
        storage.append(self._file, length + checks[0] + event + checks[1])
