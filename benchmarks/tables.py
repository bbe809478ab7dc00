"""How good are the estimators on tables, with their defaults, beside what people use instead?

Twelve tables in the units of their files, in five folds; every model sees the same. Log-likelihood in nats (of targets
in their units), and the share of targets in the central 95 % interval. A peer that predicts no distribution has
Gaussian noise of one size, that of its errors in a cross-validation of the training part. Every fold's numbers go to
benchmarks/results/tables.jsonl, from which a run that was broken off goes on.

    python benchmarks/tables.py [--tables wine yacht] [--folds 5] [--framework jax]
"""

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from results_file import RESULTS, ResultsFile
from scipy import stats
from sklearn import datasets
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.linear_model import BayesianRidge, LogisticRegression
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from timing import print_conditions, print_rows

from sdebnn.data import load_uci
from sdebnn.estimators import SDEBNNClassifier, SDEBNNRegressor

# A Gaussian process takes the cube of these.
MOST_OF_GP = 2000
SMALLEST = 1e-15
OURS = "SDE-BNN"


class Table(NamedTuple):
    x: pd.DataFrame
    y: np.ndarray
    classes: bool


def of_sklearn(load: Callable[..., Any], classes: bool, **choices: Any) -> Callable[[], Table]:
    def table() -> Table:
        found = load(as_frame=True, **choices)
        return Table(found.data, found.target.to_numpy(), classes)

    return table


def of_uci(name: str) -> Callable[[], Table]:
    def table() -> Table:
        data = load_uci(name, 0)
        x, y = (np.concatenate([getattr(data, f"{letter}_{part}") for part in ("train", "test")]) for letter in "xy")
        return Table(pd.DataFrame(x, columns=[f"x{i}" for i in range(x.shape[1])]), y[:, 0].astype(np.float64), False)

    return table


TABLES = {
    "diabetes": of_sklearn(datasets.load_diabetes, False, scaled=False),
    "wine": of_sklearn(datasets.load_wine, True),
    "breast cancer": of_sklearn(datasets.load_breast_cancer, True),
    "digits": of_sklearn(datasets.load_digits, True),
    "iris": of_sklearn(datasets.load_iris, True),
    **{name: of_uci(name) for name in ("boston", "concrete", "energy", "yacht", "power", "kin8nm")},
    "wine quality": of_uci("wine"),
}


def regressors(framework: str) -> dict[str, Any]:
    kernel = ConstantKernel() * RBF() + WhiteKernel()
    return {
        OURS: SDEBNNRegressor(framework=framework, random_state=0),
        "linear": make_pipeline(StandardScaler(), BayesianRidge()),
        "random forest": RandomForestRegressor(random_state=0),
        "gradient boosting": HistGradientBoostingRegressor(random_state=0),
        "Gaussian process": make_pipeline(StandardScaler(), GaussianProcessRegressor(kernel, normalize_y=True)),
        "MLP": make_pipeline(StandardScaler(), MLPRegressor(max_iter=1000, early_stopping=True, random_state=0)),
    }


def classifiers(framework: str) -> dict[str, Any]:
    return {
        OURS: SDEBNNClassifier(framework=framework, random_state=0),
        "linear": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        "random forest": RandomForestClassifier(random_state=0),
        "gradient boosting": HistGradientBoostingClassifier(random_state=0),
        "Gaussian process": make_pipeline(StandardScaler(), GaussianProcessClassifier(RBF())),
        "MLP": make_pipeline(StandardScaler(), MLPClassifier(max_iter=1000, early_stopping=True, random_state=0)),
    }


def scores_of(name: str, model: Any, table: Table, train: np.ndarray, test: np.ndarray) -> dict[str, float]:
    """Log-likelihood, accuracy or RMSE, coverage of the 95 % interval, and seconds of the fit."""
    x, y = table.x.iloc[train], table.y[train]
    if name == "Gaussian process" and len(x) > MOST_OF_GP:
        chosen = np.random.default_rng(0).choice(len(x), MOST_OF_GP, replace=False)
        x, y = x.iloc[chosen], y[chosen]
    started = time.perf_counter()
    model.fit(x, y)
    seconds = time.perf_counter() - started
    x_test, y_test = table.x.iloc[test], table.y[test]
    if table.classes:
        probs = model.predict_proba(x_test)
        of_label = probs[np.arange(len(test)), np.searchsorted(model.classes_, y_test)]
        return {
            "log_likelihood": float(np.log(np.maximum(of_label, SMALLEST)).mean()),
            "accuracy": float(np.mean(model.classes_[probs.argmax(axis=1)] == y_test)), "seconds": seconds,
        }  # fmt: skip
    if name == OURS:
        return scores_of_ours(model, x_test, y_test) | {"seconds": seconds}
    if name in ("linear", "Gaussian process"):
        mean, std = model.predict(x_test, return_std=True)
    else:
        errors = y - cross_val_predict(model, x, y, cv=5)
        mean, std = model.predict(x_test), np.sqrt(np.mean(errors**2))
    densities, interval = stats.norm.logpdf(y_test, mean, std), stats.norm.interval(0.95, mean, std)
    return of_targets(y_test, densities, mean, *interval) | {"seconds": seconds}


def scores_of_ours(model: SDEBNNRegressor, x: Any, y: np.ndarray) -> dict[str, float]:
    """Log-likelihood, RMSE and coverage of the 95 % interval."""
    return of_targets(y, model.posterior_.log_prob(x, y), model.predict(x), *model.predict_interval(x).T)


def of_targets(
    y: np.ndarray, densities: np.ndarray, mean: np.ndarray, low: np.ndarray, high: np.ndarray
) -> dict[str, float]:
    return {
        "log_likelihood": float(densities.mean()), "rmse": float(np.sqrt(np.mean((mean - y) ** 2))),
        "coverage": float(np.mean((low <= y) & (y <= high))),
    }  # fmt: skip


def run(names: list[str], folds: int, framework: str, results: Path) -> list[dict[str, Any]]:
    """The numbers of every table, model and fold, of which those in the file are not computed again."""
    file = ResultsFile(results, ("table", "model", "fold", "framework"))
    for fold in range(folds):
        for name in names:
            table = TABLES[name]()
            split = (StratifiedKFold if table.classes else KFold)(folds, shuffle=True, random_state=0)
            train, test = list(split.split(table.x, table.y))[fold]
            for label, model in (classifiers if table.classes else regressors)(framework).items():
                of = {"table": name, "model": label, "fold": fold, "framework": framework if label == OURS else ""}
                if file.has(**of):
                    continue
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    file.add(of | scores_of(label, model, table, train, test))
    return [row for row in file.rows if row["framework"] in (framework, "")]


def print_scores(found: list[dict[str, Any]]) -> None:
    """Mean log-likelihood by table and model, the rank of ours, its coverage and its seconds."""
    frame = pd.DataFrame(found)
    models = list(regressors("jax"))
    means = frame.pivot_table(index="table", columns="model", values="log_likelihood")[models]
    ranks = means.rank(axis=1, ascending=False)[OURS].astype(int)
    rows = {}
    for name in TABLES:
        if name not in means.index:
            continue
        ours = frame[(frame.model == OURS) & (frame.table == name)]
        coverage = "" if TABLES[name]().classes else f"{100 * ours.coverage.mean():.1f}"
        cells = [f"{value:.3f}" for value in means.loc[name]]
        rows[name] = [*cells, str(ranks[name]), coverage, f"{ours.seconds.median():.1f}", str(len(ours))]
    print_rows("Log-likelihood, nats", [*models, "rank", "coverage, %", "s a fit", "folds"], rows)
    print(f"\nFirst or second on {int((ranks <= 2).sum())} of {len(ranks)}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", nargs="+", default=list(TABLES), choices=list(TABLES))
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--framework", default="jax", choices=["jax", "torch"])
    parser.add_argument("--results", type=Path, default=RESULTS / "tables.jsonl")
    options = parser.parse_args()
    print_conditions(options.framework, "scikit-learn")
    print_scores(run(options.tables, options.folds, options.framework, options.results))


if __name__ == "__main__":
    main()
