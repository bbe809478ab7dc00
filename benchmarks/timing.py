"""How the benchmarks time: peers in turns in one process, medians, and ratios to the first."""

import datetime
import importlib.metadata
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

CORES = len(os.sched_getaffinity(0))


def medians(calls: Mapping[str, Callable[[], Any]], *, rounds: int = 15) -> dict[str, float]:
    """Median seconds of each call. A call has to wait for its own result.

    Calls take turns, so that a noisy neighbour slows all of them alike, and in an order that changes: whoever comes
    after a library whose idle threads still spin pays for them. The first round, which compiles, is not counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    order = np.random.default_rng(0)
    for turn in range(rounds + 1):
        for name in order.permutation(list(calls)):
            started = time.perf_counter()
            calls[name]()
            if turn > 0:
                seconds[name].append(time.perf_counter() - started)
    return {name: float(np.median(times)) for name, times in seconds.items()}


def conditions(*packages: str) -> str:
    """The day, the cores, and the versions of what is compared."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    return f"{datetime.date.today()}, {CORES} CPU core{'s' * (CORES > 1)}, {versions}."


def print_conditions(*packages: str) -> None:
    """Prints them."""
    print(conditions(*packages))


def print_table(title: str, seconds: Mapping[str, float]) -> None:
    """Prints milliseconds and the ratio to the first row, as a Markdown table."""
    reference = next(iter(seconds.values()))
    rows = {name: (f"{1000 * value:.2f}", f"{value / reference:.2f}") for name, value in seconds.items()}
    print_rows(title, ("ms", "ratio"), rows)


def print_rows(title: str, columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> None:
    """Prints a Markdown table of named rows."""
    print(f"\n{table(title, columns, rows)}")


def table(title: str, columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> str:
    """A Markdown table of named rows."""
    name_width, width = max(map(len, rows)), max(len(cell) for row in (columns, *rows.values()) for cell in row)
    lines = [
        f"**{title}**",
        "",
        f"| {'':<{name_width}} | {' | '.join(f'{c:>{width}}' for c in columns)} |",
        f"|{'-' * (name_width + 2)}|{(('-' * (width + 1)) + ':|') * len(columns)}",
        *(f"| {name:<{name_width}} | {' | '.join(f'{c:>{width}}' for c in cells)} |" for name, cells in rows.items()),
    ]
    return "\n".join(lines)
