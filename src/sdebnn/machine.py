"""What the machine has."""

import os


def physical_memory() -> int | None:
    """Its memory in bytes; `None` on Windows, which does not tell."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else None
