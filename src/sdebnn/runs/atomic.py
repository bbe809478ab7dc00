"""Files that are whole or not there at all, and JSON that every reader accepts."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write(path: Path, content: bytes) -> None:
    """Writes a file so that a reader, or a crash at any moment, finds the old content or the new one, never a part.

    **Arguments:**

    - `path`: of the file; its folder exists. A file `path` + `.partial` is there meanwhile.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def json_text(record: Any, *, indent: int | None = None) -> str:
    """A record of dictionaries, lists, text and numbers as strict JSON.

    JSON has no NaN and no infinity: they are written as the text `"nan"`, `"inf"` and `"-inf"`, which `float` reads.
    """
    return json.dumps(_finite(record), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(float(value))
    return value


def _sync_folder(folder: Path) -> None:
    # The new name itself reaches the disk only with the folder's own fsync; Windows has no such call.
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
