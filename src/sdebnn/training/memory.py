"""What a process has used of the machine, and what the machine has."""

import math
import sys

from sdebnn.errors import InputError
from sdebnn.machine import physical_memory
from sdebnn.runs import TrainConfig


def process_memory() -> float:
    """The most memory that this process has held so far, in MiB; NaN on Windows, which does not count it."""
    try:
        import resource
    except ImportError:
        return math.nan
    # In KiB, but in bytes on macOS.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def refuse_more_than_memory(config: TrainConfig, outputs: int, *, trained: int, scored: int) -> None:
    """Refuses numbers of weight paths whose outputs alone no memory of this machine holds.

    **Arguments:**

    - `outputs`: of the network, for one example.
    - `trained`, `scored`: examples that go through it at once in a gradient step, and in scoring.

    **Raises:** `InputError` naming the choice and the most that it may be. Nothing on Windows, which does not tell
    what memory it has.
    """
    memory = physical_memory()
    if memory is None:
        return
    for name, paths, examples in (
        ("train_samples", config.train_samples, trained),
        ("test_samples", config.test_samples, scored),
    ):
        row = 4 * max(1, examples) * max(1, outputs)
        if paths * row > memory:
            raise InputError(
                f"{name}={paths} would make outputs of {paths * row / 2**30:.0f} GiB for {examples} examples, and this "
                f"machine has {memory / 2**30:.0f} GiB of memory; take at most {max(1, memory // (2 * row))}."
            )
