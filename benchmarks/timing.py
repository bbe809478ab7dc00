"""How the benchmarks time: peers in turns in one process, medians, and ratios to the first."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


def medians(calls: Mapping[str, Callable[[], Any]], *, rounds: int = 15) -> dict[str, float]:
    """Median seconds of each call. A call has to wait for its own result.

    Calls take turns, so that a noisy neighbour slows all of them alike; the first round, which compiles, is not
    counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            if turn > 0:
                seconds[name].append(time.perf_counter() - started)
    return {name: float(np.median(times)) for name, times in seconds.items()}


def print_table(title: str, seconds: Mapping[str, float]) -> None:
    """Prints milliseconds and the ratio to the first row, as a Markdown table."""
    reference = next(iter(seconds.values()))
    width = max(len(name) for name in seconds)
    print(f"\n{title}\n\n| {'':<{width}} |       ms | ratio |\n|{'-' * (width + 2)}|---------:|------:|")
    for name, value in seconds.items():
        print(f"| {name:<{width}} | {1000 * value:8.1f} | {value / reference:5.2f} |")
