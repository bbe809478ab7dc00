"""What the machine has, and what is too large for it."""

import os
import re
from pathlib import Path

from sdebnn.errors import InputError

# Of the kernel of Linux, which tells what can be taken, and of the control groups by which containers are limited.
AVAILABLE = Path("/proc/meminfo")
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def physical_memory() -> int | None:
    """Its memory in bytes; `None` on Windows, which does not tell."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else None


def memory_at_hand() -> int | None:
    """The memory in bytes that other programs and the container, if any, leave to this one; where that is not told,
    that of the machine; `None` on Windows.
    """
    found = [physical_memory(), *map(_limit, LIMITS), _available()]
    return min((memory for memory in found if memory is not None), default=None)


def refuse_too_large(path: Path, size: int, needed: int) -> None:
    """Refuses a file before it is read: a process that takes more memory than there is would be killed.

    **Arguments:**

    - `path`: names it.
    - `size`: of what is in it, in bytes.
    - `needed`: the memory that it takes to be used, in bytes.

    **Raises:** `InputError` when there is not so much memory. Nothing on Windows, which does not tell.
    """
    memory = memory_at_hand()
    if memory is not None and needed > memory:
        raise InputError(
            f"{path} has {size / 2**30:.3g} GiB, which takes about {needed / 2**30:.3g} GiB of memory to be used, and "
            f"{memory / 2**30:.3g} GiB are at hand; take a sample of its rows or fewer columns, or train on batches of "
            "your own (sdebnn.data.StreamedDataset)."
        )


def _limit(file: Path) -> int | None:
    """That of a control group; where there is none, it is no number."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None


def _available() -> int | None:
    try:
        found = re.search(r"^MemAvailable: +(\d+) kB$", AVAILABLE.read_text(), re.MULTILINE)
    except OSError:
        return None
    return 2**10 * int(found[1]) if found else None
