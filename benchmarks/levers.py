"""What is each choice of the estimator worth, alone?

Four small UCI tables on their standard splits. Every row changes one parameter of `SDEBNNRegressor` and leaves the
others at their defaults: so a row beside the defaults is what that choice is worth. Choices are judged by the
log-likelihood of the examples that members held out, inside the training part; that of the test rows stands beside it,
and nothing is chosen by it. Differences from the defaults are taken split by split, so that what splits have in common
is no part of their error. Every fit's numbers go to benchmarks/results/levers.jsonl, from which a run that was broken
off goes on.

    JAX_PLATFORMS=cpu python benchmarks/levers.py [--tables yacht boston] [--splits 5]
"""

import argparse
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from results_file import RESULTS, ResultsFile
from tables import scores_of_ours
from timing import print_conditions, print_rows

from sdebnn.data import load_uci
from sdebnn.estimators import SDEBNNRegressor

TABLES = ("boston", "concrete", "energy", "yacht")
DEFAULTS = "the defaults"
# Each alone. The numbers of hidden layers and units are those of f_x.
LEVERS: dict[str, dict[str, Any]] = {
    DEFAULTS: {},
    "sigma=0.1": {"sigma": 0.1},
    "sigma=0.5": {"sigma": 0.5},
    "sigma=2": {"sigma": 2.0},
    "prior='brownian'": {"prior": "brownian"},
    "prior='bridge'": {"prior": "bridge"},
    "prior='integrated_ou'": {"prior": "integrated_ou"},
    "kl_coef=0": {"kl_coef": 0.0},
    "kl_coef=0.1": {"kl_coef": 0.1},
    "n_members=1": {"n_members": 1},
    "n_members=10": {"n_members": 10},
    "n_posterior_samples=1": {"n_posterior_samples": 1},
    "n_posterior_samples=32": {"n_posterior_samples": 32},
    "likelihood='gaussian'": {"likelihood": "gaussian"},
    "likelihood='gaussian_input'": {"likelihood": "gaussian_input"},
    "likelihood='student_t'": {"likelihood": "student_t"},
    "n_solver_steps=1": {"n_solver_steps": 1},
    "n_solver_steps=8": {"n_solver_steps": 8},
    "n_blocks=2": {"n_blocks": 2},
    "width=16": {"width": 16},
    "width=64": {"width": 64},
    "learning_rate_init=0.004": {"learning_rate_init": 4e-3},
    "n_iter_no_change=6": {"n_iter_no_change": 6},
    "n_iter_no_change=12": {"n_iter_no_change": 12},
    "validation_fraction=0.2": {"validation_fraction": 0.2},
    "beyond_range=0": {"beyond_range": 0.0},
}


def scores_of(name: str, split: int, lever: str) -> dict[str, float]:
    """Log-likelihood of held-out and of test examples, RMSE, coverage of the 95 % interval, and seconds of the fit."""
    data = load_uci(name, split)
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = SDEBNNRegressor(framework="jax", random_state=split, **LEVERS[lever])
        model.fit(data.x_train.astype(np.float64), data.y_train[:, 0].astype(np.float64))
    seconds = time.perf_counter() - started
    scores = scores_of_ours(model, data.x_test.astype(np.float64), data.y_test[:, 0].astype(np.float64))
    return scores | {"held_out": float(model.best_validation_score_), "seconds": seconds, "sigma": model.sigma_}


def run(tables: list[str], splits: int, results: Path) -> pd.DataFrame:
    """The numbers of every table, split and lever, of which those in the file are not computed again; whole splits
    first.
    """
    file = ResultsFile(results, ("table", "split", "lever"))
    for split in range(splits):
        for name in tables:
            for lever in LEVERS:
                of = {"table": name, "split": split, "lever": lever}
                if not file.has(**of):
                    file.add(of | scores_of(name, split, lever))
    rows = [row for row in file.rows if row["table"] in tables and row["split"] < splits and row["lever"] in LEVERS]
    return pd.DataFrame(rows)


def print_scores(frame: pd.DataFrame) -> None:
    """Differences from the defaults, mean over tables and splits and its standard error; of the defaults the means."""
    by_split = frame.set_index(["lever", "table", "split"])
    defaults, rows = by_split.loc[DEFAULTS], {}
    for lever in LEVERS:
        ours = by_split.loc[lever]
        better = ours[["held_out", "log_likelihood"]] - (0 if lever == DEFAULTS else defaults)
        rows[lever] = [
            *(_mean(better[of], signed=lever != DEFAULTS) for of in ("held_out", "log_likelihood")),
            *(
                _mean(better.log_likelihood.xs(name, level="table"), signed=lever != DEFAULTS)
                for name in frame.table.unique()
            ),
            f"{100 * ours.coverage.mean():.1f}",
            f"{(ours.seconds / defaults.seconds).median():.1f}",
        ]
    columns = ("held out", "test", *frame.table.unique(), "95 % covers", "time")
    print_rows("Log-likelihood, nats: what is gained on the defaults", columns, rows)


def _mean(values: pd.Series, signed: bool) -> str:
    return f"{values.mean():{'+' if signed else ''}.3f} ± {values.sem():.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", nargs="+", default=list(TABLES), choices=TABLES)
    parser.add_argument("--splits", type=int, default=5, choices=range(1, 21), metavar="1-20")
    parser.add_argument("--results", type=Path, default=RESULTS / "levers.jsonl")
    options = parser.parse_args()
    print_conditions("jax")
    print_scores(run(options.tables, options.splits, options.results))


if __name__ == "__main__":
    main()
