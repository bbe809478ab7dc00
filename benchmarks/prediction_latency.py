"""How long does a loaded posterior take for one row of a table, and for ten thousand; and does its memory grow?

    python benchmarks/prediction_latency.py

Networks of the size that tables have by default, on one of 13 columns, of three labels and of one target, in either
framework. Times are medians after the first call, which compiles.
"""

import gc
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from timing import print_conditions, print_rows

import sdebnn
from sdebnn.data import Dataset
from sdebnn.frameworks import build_learner
from sdebnn.runs import TrainConfig
from sdebnn.training import Posterior
from sdebnn.training.building import built
from sdebnn.training.task import Task

CALLS = 10_000
RNG = np.random.default_rng(0)
X = RNG.normal(size=(178, 13)).astype(np.float32)
LABELS = RNG.integers(3, size=178).astype(np.int32)
FRAME = pd.DataFrame(X, columns=[f"column {number}" for number in range(13)])
TABLES = {
    "labels": Dataset.from_frame(FRAME.assign(y=np.array(["a", "b", "c"])[LABELS]), "y"),
    "target": Dataset.from_frame(FRAME.assign(y=X[:, 0]), "y"),
}
MANY = RNG.normal(size=(10_000, 13)).astype(np.float32)


def resident() -> float:
    """MiB of memory that the process holds now."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def milliseconds(call: Callable[[], Any], calls: int) -> np.ndarray:
    """Of so many calls after a first one."""
    call()
    found = []
    for _ in range(calls):
        started = time.perf_counter()
        call()
        found.append(1000 * (time.perf_counter() - started))
    return np.array(found)


def measured(framework: str, members: int, dataset: Dataset, folder: Path) -> list[str]:
    """The cells of a row."""
    # Nothing was learned: the networks are as large as others.
    config = TrainConfig.for_table(framework=framework, members=members, sigma=0.2)
    learner = built(build_learner, config, dataset)
    Posterior(config, Task.of(dataset), learner, build=build_learner).save(folder)
    started = time.perf_counter()
    posterior = sdebnn.load(folder)
    posterior.predict(X[:1])
    first = time.perf_counter() - started
    one = milliseconds(lambda: posterior.predict(X[:1]), 100)
    before = resident()
    one = milliseconds(lambda: posterior.predict(X[:1]), CALLS)
    grown = resident() - before
    many = milliseconds(lambda: posterior.predict(MANY), 5)
    of_frame = milliseconds(lambda: posterior.predict(FRAME[:1]), 200)
    interval = ""
    if dataset.num_classes is None:
        interval = f"{np.median(milliseconds(lambda: posterior.predict(X[:1]).interval(), 50)):.1f}"  # type: ignore[attr-defined]
    cells = first, np.median(one), np.percentile(one, 99), np.median(of_frame)
    return [*(f"{cell:.2f}" for cell in cells), interval, f"{np.median(many):.0f}", f"{grown:.1f}"]


def main() -> None:
    print_conditions("numpy", "jax", "torch")
    with tempfile.TemporaryDirectory() as made:
        rows = {
            f"{name}, {members} member{'s' * (members > 1)}, {framework}": measured(
                framework, members, dataset, Path(made) / f"{framework}-{members}-{name}"
            )
            for framework in ("jax", "torch")
            for members in (1, 5)
            for name, dataset in TABLES.items()
        }
    columns = ("first (s)", "1 row (ms)", "99 % (ms)", "DataFrame (ms)", "interval (ms)", "10,000 (ms)", "grown (MiB)")
    print_rows(f"Predictions; memory over {CALLS:,} calls", columns, rows)


if __name__ == "__main__":
    main()
