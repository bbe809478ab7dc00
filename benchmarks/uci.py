"""How good is the estimator for targets on the standard UCI splits, with its defaults, beside what was published?

Nine tables in the units of their files, on the splits of Hernandez-Lobato and Adams (2015): twenty, of protein five.
Log-likelihood in nats, of targets in their units, and RMSE. Beside them probabilistic backpropagation, MC dropout
(Mukhoti, Stenetorp and Gal, 2018) and deep ensembles of five (Lakshminarayanan, Pritzel and Blundell, 2017), as
published. Every split's numbers go to benchmarks/results/uci.jsonl, from which a run that was broken off goes on.

    python benchmarks/uci.py [--tables yacht boston] [--splits 20] [--framework jax]
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from results_file import RESULTS, ResultsFile
from tables import scores_of_ours
from timing import print_conditions, print_rows

from sdebnn.data import load_uci
from sdebnn.data.uci import SPLITS
from sdebnn.estimators import SDEBNNRegressor

PUBLISHED = {
    "boston": (-2.57, -2.40, -2.41), "concrete": (-3.16, -2.94, -3.06), "energy": (-2.04, -1.21, -1.38),
    "kin8nm": (0.90, 1.14, 1.20), "naval": (3.73, 4.45, 5.63), "power": (-2.84, -2.81, -2.79),
    "protein": (-2.97, -2.87, -2.83), "wine": (-0.97, -0.93, -0.94), "yacht": (-1.63, -1.25, -1.18),
}  # fmt: skip


def scores_of(name: str, split: int, framework: str) -> dict[str, float]:
    """Log-likelihood, RMSE, coverage of the 95 % interval, and seconds of the fit, on one split."""
    data = load_uci(name, split)
    x, x_test = data.x_train.astype(np.float64), data.x_test.astype(np.float64)
    y, y_test = data.y_train[:, 0].astype(np.float64), data.y_test[:, 0].astype(np.float64)
    started = time.perf_counter()
    with warnings.catch_warnings():
        # Naval has constant columns, which are said to be left out.
        warnings.simplefilter("ignore")
        model = SDEBNNRegressor(framework=framework, random_state=split).fit(x, y)
    seconds = time.perf_counter() - started
    return scores_of_ours(model, x_test, y_test) | {"seconds": seconds, "sigma": model.sigma_}


def run(names: list[str], splits: int, framework: str, results: Path) -> pd.DataFrame:
    """The numbers of every split, of which those in the file are not computed again; the first splits first."""
    file = ResultsFile(results, ("table", "split", "framework"))
    for split in range(splits):
        for name in names:
            of = {"table": name, "split": split, "framework": framework}
            if split < SPLITS[name] and not file.has(**of):
                file.add(of | scores_of(name, split, framework))
    return pd.DataFrame([row for row in file.rows if row["framework"] == framework])


def print_scores(frame: pd.DataFrame) -> None:
    """Mean and standard error over splits, beside what was published."""
    rows, better = {}, 0
    for name, (pbp, dropout, ensemble) in PUBLISHED.items():
        ours = frame[frame.table == name]
        if ours.empty:
            continue
        mean, error = ours.log_likelihood.mean(), ours.log_likelihood.sem()
        better += mean > max(dropout, ensemble)
        rows[name] = [
            f"{mean:.2f} ± {error:.2f}", f"{pbp:.2f}", f"{dropout:.2f}", f"{ensemble:.2f}", f"{ours.rmse.mean():.3g}",
            f"{100 * ours.coverage.mean():.1f}", f"{ours.seconds.median():.1f}", str(len(ours)),
        ]  # fmt: skip
    columns = ("SDE-BNN", "PBP", "MC dropout", "ensemble of 5", "RMSE", "95 % covers", "s a fit", "splits")
    print_rows("Log-likelihood, nats", columns, rows)
    print(f"\nBetter than both MC dropout and the ensemble on {better} of {len(rows)}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", nargs="+", default=list(PUBLISHED), choices=list(PUBLISHED))
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--framework", default="jax", choices=["jax", "torch"])
    parser.add_argument("--results", type=Path, default=RESULTS / "uci.jsonl")
    options = parser.parse_args()
    print_conditions(options.framework)
    print_scores(run(options.tables, options.splits, options.framework, options.results))


if __name__ == "__main__":
    main()
