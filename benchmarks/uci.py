"""How good is the estimator for targets on the standard UCI splits, with its defaults, beside what was published?

Nine tables in the units of their files, on the splits of Hernandez-Lobato and Adams (2015): twenty, of protein five.
Log-likelihood in nats, of targets in their units, and RMSE. Beside them probabilistic backpropagation, MC dropout
(Mukhoti, Stenetorp and Gal, 2018) and deep ensembles of five (Lakshminarayanan, Pritzel and Blundell, 2017), as
published. Every split's numbers go to benchmarks/results/uci.jsonl, from which a run that was broken off goes on.

With `--gap`, in place of these, the splits of Foong et al. (2019), one for each column of the inputs: rows are sorted
by it, and the middle third is the test set, where nothing was seen. Beside them what was published of MC dropout,
ensembles of five networks and of neural linear models.

    python benchmarks/uci.py [--tables yacht boston] [--splits 20 | --gap] [--framework jax]
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
GAP_PUBLISHED = {
    "boston": (-2.51, -2.69, -2.59), "concrete": (-3.44, -3.36, -3.31), "energy": (-5.64, -16.5, -10.9),
    "kin8nm": (1.10, 1.21, 1.24), "power": (-2.92, -2.87, -2.87), "wine": (-0.97, -1.03, -1.00),
    "yacht": (-2.57, -1.58, -1.89),
}  # fmt: skip


def scores_of(name: str, split: int | str, framework: str) -> dict[str, float]:
    """Log-likelihood, RMSE, coverage of the 95 % interval, and seconds of the fit, on one split."""
    data, seed = load_uci(name, split), int(str(split).removeprefix("gap"))
    x, x_test = data.x_train.astype(np.float64), data.x_test.astype(np.float64)
    y, y_test = data.y_train[:, 0].astype(np.float64), data.y_test[:, 0].astype(np.float64)
    started = time.perf_counter()
    with warnings.catch_warnings():
        # Naval has constant columns, which are said to be left out.
        warnings.simplefilter("ignore")
        model = SDEBNNRegressor(framework=framework, random_state=seed).fit(x, y)
    seconds = time.perf_counter() - started
    return scores_of_ours(model, x_test, y_test) | {"seconds": seconds, "sigma": model.sigma_}


def splits_of(name: str, standard: int, gap: bool) -> list[int | str]:
    """At most so many standard splits of a table, or all of its gap splits."""
    if not gap:
        return list(range(min(standard, SPLITS[name])))
    return [f"gap{column}" for column in range(load_uci(name, "gap0").x_train.shape[1])]


def run(splits: dict[str, list[int | str]], framework: str, results: Path) -> pd.DataFrame:
    """The numbers of the splits of each table, of which those in the file are not computed again; the first splits
    first.
    """
    file = ResultsFile(results, ("table", "split", "framework"))
    for number in range(max(map(len, splits.values()))):
        for name, of_table in splits.items():
            if number < len(of_table):
                of = {"table": name, "split": of_table[number], "framework": framework}
                if not file.has(**of):
                    file.add(of | scores_of(name, of_table[number], framework))
    wanted = [
        row for row in file.rows if row["framework"] == framework and row["split"] in splits.get(row["table"], ())
    ]
    return pd.DataFrame(wanted)


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


def print_gap_scores(frame: pd.DataFrame) -> None:
    """Mean, median and worst over the splits of each table, beside the means that were published."""
    rows = {}
    for name in frame.table.unique():
        published = GAP_PUBLISHED.get(name, (np.nan,) * 3)
        ours = frame[frame.table == name]
        of = ours.log_likelihood
        numbers = (of.mean(), of.median(), of.min(), *published)
        rows[name] = [*(f"{number:.2f}" for number in numbers), f"{100 * ours.coverage.mean():.1f}", str(len(ours))]
    columns = (
        "SDE-BNN", "its median", "its worst", "MC dropout", "ensemble of 5", "neural linear ensemble", "95 % covers",
        "splits",
    )  # fmt: skip
    print_rows("Log-likelihood in the gap, nats", columns, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", nargs="+", default=list(PUBLISHED), choices=list(PUBLISHED))
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--splits", type=int, default=20, choices=range(1, 21), metavar="1-20")
    kind.add_argument("--gap", action="store_true", help="gap splits, one for each column of the inputs")
    parser.add_argument("--framework", default="jax", choices=["jax", "torch"])
    parser.add_argument("--results", type=Path, default=RESULTS / "uci.jsonl")
    options = parser.parse_args()
    print_conditions(options.framework)
    if options.gap and options.tables == list(PUBLISHED):
        options.tables = list(GAP_PUBLISHED)
    splits = {name: splits_of(name, options.splits, options.gap) for name in options.tables}
    frame = run(splits, options.framework, options.results)
    (print_gap_scores if options.gap else print_scores)(frame)


if __name__ == "__main__":
    main()
