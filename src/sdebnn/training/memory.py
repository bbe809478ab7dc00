"""What a process has used of the machine."""

import resource
import sys


def process_memory() -> float:
    """The most memory that this process has held so far, in MiB."""
    # In KiB, but in bytes on macOS.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
