"""How long does a fit of a small table take, the first of a process and the next of the same shape?

Wine (178 x 13, three classes) and yacht (308 x 6, targets), with the defaults of the estimators, in either framework.
Every row is the median of a few processes, which take turns: the wall seconds of the first fit with all that is
imported for it, those of the next with another seed, and the seconds of the processor, which depend less on what else
the machine does.

    JAX_PLATFORMS=cpu python benchmarks/fit_times.py [--rounds 3] [--frameworks jax torch]
"""

import argparse
import json
import subprocess
import sys
import time

import numpy as np
from timing import print_conditions, print_rows

TABLES = ("wine", "yacht")
PACKAGES = {"jax": "jax", "torch": "torch"}


def seconds_of_fits(framework: str, table: str) -> dict[str, float]:
    """Of two fits in this process."""
    seconds: dict[str, float] = {}
    started = time.perf_counter(), time.process_time()
    from sdebnn.estimators import SDEBNNClassifier, SDEBNNRegressor

    if table == "wine":
        from sklearn.datasets import load_wine

        x, y = load_wine(return_X_y=True)
    else:
        from sdebnn.data import load_uci

        data = load_uci("yacht", 0)
        x, y = np.concatenate([data.x_train, data.x_test]), np.concatenate([data.y_train, data.y_test])[:, 0]
    estimator = SDEBNNClassifier if table == "wine" else SDEBNNRegressor
    for number, fit in enumerate(("first", "next")):
        model = estimator(framework=framework, random_state=number).fit(x, y)
        now = time.perf_counter(), time.process_time()
        seconds |= {fit: now[0] - started[0], f"{fit}, processor": now[1] - started[1]}
        # Of the best candidate; the others are given up on the way.
        seconds[f"{fit}, steps"] = 50.0 * len(model.loss_curve_)
        started = now
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="processes of each row (default 3)")
    parser.add_argument("--frameworks", nargs="+", default=list(PACKAGES), choices=list(PACKAGES))
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(seconds_of_fits(*options.one)))
        return
    print_conditions(*(PACKAGES[framework] for framework in options.frameworks))
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(options.rounds):
        for table in TABLES:
            for framework in options.frameworks:
                command = [sys.executable, __file__, "--one", framework, table]
                output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                found.setdefault(f"{table}, {framework}", []).append(json.loads(output.splitlines()[-1]))
    columns = list(next(iter(found.values()))[0])
    rows = {
        name: [f"{np.median([one[column] for one in of_row]):.{0 if 'steps' in column else 1}f}" for column in columns]
        for name, of_row in found.items()
    }
    print_rows("Seconds of a fit", columns, rows)


if __name__ == "__main__":
    main()
