r"""How good is the estimator with its defaults, beside microcanonical Langevin ensembles that take their time?

The tables airfoil and bike sharing on the split of the benchmark of sklearn-contrib-bde (Sommer et al., Microcanonical
Langevin Ensembles, 2025), in standardised units as there: a fifth of the rows is the test set. `bde` has the choices of
that benchmark (ten networks of four hidden layers, 50,000 steps to tune the sampler and 1,000 draws), the SDE-BNN its
defaults. The data lie in the package `sklearn-contrib-bde`, whose requirements are not those of this project: each
model runs where it is installed, and rows go to benchmarks/results/microcanonical_ensembles.jsonl.

    JAX_PLATFORMS=cpu python benchmarks/microcanonical_ensembles.py SDE-BNN --data SITE_PACKAGES/bde/data
    PYTHONPATH=src XLA_FLAGS=--xla_force_host_platform_device_count=2 \
        PYTHON_WITH_BDE benchmarks/microcanonical_ensembles.py bde --data SITE_PACKAGES/bde/data
"""

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from results_file import RESULTS, ResultsFile
from scipy import special, stats
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from timing import print_conditions, print_rows

# Of targets that are no inputs: riders are counted twice, days have a number and a date.
NO_INPUTS = ["cnt", "casual", "registered", "instant", "dteday"]


def airfoil(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    table = pd.read_csv(folder / "airfoil.csv")
    return table.iloc[:, :-1].to_numpy(np.float64), table.iloc[:, -1].to_numpy(np.float64)


def bike(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    table = pd.read_csv(folder / "bike_sharing_dataset" / "hour.csv")
    return table.drop(columns=NO_INPUTS).to_numpy(np.float64), table["cnt"].to_numpy(np.float64)


TABLES = {"airfoil": airfoil, "bike": bike}


class Predicted(NamedTuple):
    """What a model says of test targets: their log-density, (n,), and the mean and deviation, (n,)."""

    log_density: np.ndarray
    mean: np.ndarray
    std: np.ndarray

    def scores(self, y: np.ndarray) -> dict[str, float]:
        return {
            "rmse": float(np.sqrt(np.mean((self.mean - y) ** 2))),
            "nll": float(-self.log_density.mean()),
            # As the benchmark of bde has it.
            "nll_of_moments": float(-stats.norm.logpdf(y, self.mean, self.std).mean()),
        }


Model = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int], Predicted]


def sdebnn(x: np.ndarray, y: np.ndarray, x_test: np.ndarray, y_test: np.ndarray, seed: int) -> Predicted:
    from sdebnn.estimators import SDEBNNRegressor

    model = SDEBNNRegressor(framework="jax", random_state=seed).fit(x, y)
    return Predicted(model.posterior_.log_prob(x_test, y_test), *model.predict(x_test, return_std=True))


def bde(x: np.ndarray, y: np.ndarray, x_test: np.ndarray, y_test: np.ndarray, seed: int) -> Predicted:
    from bde import BdeRegressor
    from bde.loss import GaussianNLL

    model = BdeRegressor(
        n_members=10, hidden_layers=[16] * 4, loss=GaussianNLL(), epochs=1200, validation_split=0.15, lr=1e-3,
        weight_decay=1e-4, warmup_steps=50_000, n_samples=1000, n_thinning=10, patience=20, seed=seed,
    )  # fmt: skip
    model.fit(x, y)
    draws = np.asarray(model.predict(x_test, raw=True))
    mean, std = (np.asarray(values).reshape(-1) for values in model.predict(x_test, mean_and_std=True))
    # (members, draws, n, 2): its second output is what softplus makes the deviation of.
    location, scale = draws[..., 0].reshape(-1, len(y_test)), np.logaddexp(0, draws[..., 1]).reshape(-1, len(y_test))
    return Predicted(
        special.logsumexp(stats.norm.logpdf(y_test, location, scale), axis=0) - np.log(len(scale)), mean, std
    )


MODELS: dict[str, Model] = {"SDE-BNN": sdebnn, "bde": bde}


def scores_of(table: str, model: str, seed: int, folder: Path) -> dict[str, float]:
    """RMSE, both NLLs, and seconds of the fit with the prediction, which are those that a user waits."""
    x, x_test, y, y_test = train_test_split(*TABLES[table](folder), test_size=0.2, random_state=0)
    inputs, targets = StandardScaler().fit(x), StandardScaler().fit(y[:, None])
    y, y_test = (targets.transform(values[:, None])[:, 0] for values in (y, y_test))
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predicted = MODELS[model](inputs.transform(x), y, inputs.transform(x_test), y_test, seed)
    return predicted.scores(y_test) | {"seconds": time.perf_counter() - started}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", choices=list(MODELS))
    parser.add_argument("--data", type=Path, required=True, help="the folder bde/data of sklearn-contrib-bde")
    parser.add_argument("--tables", nargs="+", default=list(TABLES), choices=list(TABLES))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    print_conditions({"SDE-BNN": "jax", "bde": "sklearn-contrib-bde"}[options.model])
    file = ResultsFile(RESULTS / "microcanonical_ensembles.jsonl", ("table", "model", "seed"))
    for seed in range(options.seeds):
        for table in options.tables:
            of = {"table": table, "model": options.model, "seed": seed}
            if not file.has(**of):
                file.add(of | scores_of(**of, folder=options.data))
    found, rows = pd.DataFrame(file.rows).groupby(["table", "model"]), {}
    for (table, model), part in found:
        cells = (f"{part[column].mean():.3f}" for column in ("rmse", "nll", "nll_of_moments"))
        rows[f"{table}, {model}"] = [*cells, f"{part.seconds.median():.0f}", str(len(part))]
    print_rows("Standardised units", ("RMSE", "NLL", "NLL of moments", "seconds", "seeds"), rows)


if __name__ == "__main__":
    main()
