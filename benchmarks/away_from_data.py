"""Do the estimators say that they do not know, where there are no data? With their defaults.

    python benchmarks/away_from_data.py

Rows of eight tables are moved along random directions to the edge of a box around the training rows' middle that
reaches 3 and 8 times their range to either side: by how much does the median of the epistemic deviation grow over that
of the test rows? And eight smooth functions, drawn from a
Gaussian process with a known scale and seen on [-1, 1] with a little noise: how often do the 95 % intervals hold them
on [-2, 2], beside those of a Gaussian process that learns its scale?
"""

import argparse
import warnings

import numpy as np
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.model_selection import train_test_split
from tables import TABLES
from timing import print_conditions, print_rows

from sdebnn.estimators import SDEBNNRegressor

NAMES = ("diabetes", "boston", "concrete", "energy", "yacht", "power", "kin8nm", "wine quality")
RANGES = (3, 8)
SCALE, NOISE, EXAMPLES = 0.7, 0.05, 60


def moved(x: np.ndarray, like: np.ndarray, times: float, rng: np.random.Generator) -> np.ndarray:
    """Rows that are up to so many times the range of `like` from its middle, each along a direction of its own."""
    low, high = like.min(axis=0), like.max(axis=0)
    direction = rng.normal(size=x.shape)
    direction /= np.abs(direction).max(axis=1, keepdims=True)
    return (low + high) / 2 + times * (high - low) * direction


def of_tables(framework: str) -> dict[str, list[str]]:
    rows = {}
    for name in NAMES:
        table = TABLES[name]()
        x, x_test, y, _ = train_test_split(table.x.to_numpy(np.float64), table.y, test_size=0.2, random_state=0)
        model = SDEBNNRegressor(framework=framework, random_state=0).fit(x, y)
        rng = np.random.default_rng(0)
        here = np.median(model.predict_uncertainty(x_test).epistemic)
        ratios = [
            np.median(model.predict_uncertainty(moved(x_test, x, times, rng)).epistemic) / here for times in RANGES
        ]
        rows[name] = [f"{ratio:.1f}" for ratio in ratios]
    return rows


def of_functions(framework: str) -> dict[str, list[str]]:
    """The share of points on [-2, 2] at which the interval holds the function, of ours and of the Gaussian process."""
    wide = np.linspace(-2, 2, 201)[:, None]
    rows, shares = {}, []
    for number in range(8):
        rng = np.random.default_rng(number)
        x = np.sort(rng.uniform(-1, 1, EXAMPLES))[:, None]
        every = np.concatenate([x, wide])
        drawn = rng.multivariate_normal(np.zeros(len(every)), RBF(SCALE)(every) + 1e-9 * np.eye(len(every)))
        y, truth = drawn[:EXAMPLES] + NOISE * rng.normal(size=EXAMPLES), drawn[EXAMPLES:]
        low, high = SDEBNNRegressor(framework=framework, random_state=0).fit(x, y).predict_interval(wide).T
        process = GaussianProcessRegressor(ConstantKernel() * RBF() + WhiteKernel(), n_restarts_optimizer=2)
        mean, std = process.fit(x, y).predict(wide, return_std=True)
        held = [(low <= truth) & (truth <= high), np.abs(truth - mean) <= 1.96 * std]
        shares.append([100 * share.mean() for share in held])
        rows[f"function {number + 1}"] = [f"{share:.0f}" for share in shares[-1]]
    rows["mean"] = [f"{share:.0f}" for share in np.mean(shares, axis=0)]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--framework", default="jax", choices=["jax", "torch"])
    framework = parser.parse_args().framework
    print_conditions(framework, "scikit-learn")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        of_each, of_all = of_tables(framework), of_functions(framework)
    print_rows("Epistemic deviation, times that of test rows", [f"{times} ranges" for times in RANGES], of_each)
    print_rows("The 95 % interval holds the function, % of [-2, 2]", ["SDE-BNN", "Gaussian process"], of_all)


if __name__ == "__main__":
    main()
