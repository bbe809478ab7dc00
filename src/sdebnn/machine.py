"""What the machine has, and what is too large for it."""

import os
from pathlib import Path

from sdebnn.errors import InputError


def physical_memory() -> int | None:
    """Its memory in bytes; `None` on Windows, which does not tell."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else None


def refuse_too_large(path: Path, size: int, copies: int) -> None:
    """Refuses a file before it is read.

    **Arguments:**

    - `path`: names it.
    - `size`: of what is in it, in bytes.
    - `copies`: how many times its size it takes to be used.

    **Raises:** `InputError` when the memory of the machine cannot hold it. Nothing on Windows, which does not tell.
    """
    memory = physical_memory()
    if memory is not None and copies * size > memory:
        raise InputError(
            f"{path} has {size / 2**30:.3g} GiB, which takes {copies} times that to be used, and this machine has "
            f"{memory / 2**30:.3g} GiB of memory; take a sample of its rows, or train on batches of your own "
            "(sdebnn.data.StreamedDataset)."
        )
