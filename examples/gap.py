"""A gap in the data: what an SDE-BNN says there, beside a deterministic network. It draws the picture of the README.

pip install 'sdebnn[jax,plots]'
python examples/gap.py --output runs/gap.png
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.neural_network import MLPRegressor

from sdebnn import SDEBNNRegressor
from sdebnn.plots.style import BLUE, RED, drawing, legend_below, panels

SEEN = 120
LEVEL = 0.95
Z = 1.96  # standard deviations on either side that hold as many of a Gaussian law


class Said(NamedTuple):
    """Mean and ends of the 95 % interval at the inputs."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (n, 1) on either side of a gap from -.7 to .7, and noisy targets (n,)."""
    x = rng.uniform(0.7, 2, SEEN) * rng.choice([-1, 1], SEEN)
    return x[:, None], np.sin(2 * x) + 0.3 * x + 0.1 * rng.normal(size=SEEN)


def deterministic(x: np.ndarray, y: np.ndarray, at: np.ndarray) -> Said:
    """That of a network with one value for every weight, with noise of the size of its errors."""
    network = MLPRegressor(hidden_layer_sizes=(32, 32), max_iter=3000, random_state=0).fit(x, y)
    mean, noise = network.predict(at), np.std(y - network.predict(x))
    return Said(mean, mean - Z * noise, mean + Z * noise)


def bayesian(x: np.ndarray, y: np.ndarray, at: np.ndarray, framework: str, **choices: int) -> Said:
    """That of the estimator, with its defaults where nothing else is chosen."""
    model = SDEBNNRegressor(framework=framework, random_state=0, **choices).fit(x, y)
    return Said(model.predict(at), *model.predict_interval(at, LEVEL).T)


def main(arguments: Sequence[str] | None = None) -> dict[str, Said]:
    """Fits both, draws, and returns what they say at 200 inputs from -2.5 to 2.5."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("runs/gap.png"), help="PNG to write")
    parser.add_argument("--framework", default="auto", choices=["auto", "jax", "torch"])
    parser.add_argument("--max-iter", type=int, help="gradient steps at most, unless the default")
    options = parser.parse_args(arguments)
    choices = {} if options.max_iter is None else {"max_iter": options.max_iter}
    x, y = data(np.random.default_rng(0))
    at = np.linspace(-2.5, 2.5, 200)[:, None]
    said = {
        "A deterministic network": deterministic(x, y, at),
        "An SDE-BNN": bayesian(x, y, at, options.framework, **choices),
    }
    with drawing(None, options.output, "", width=6.4, height=2.4) as ax:
        axes = panels(ax, 1, 2, sharey=True)[0]
        for panel, (title, (mean, low, high)) in zip(axes, said.items(), strict=True):
            panel.fill_between(at[:, 0], low, high, color=BLUE, alpha=0.25, linewidth=0, label="95 % interval")
            panel.plot(at[:, 0], mean, color=BLUE, label="mean")
            panel.scatter(x[:, 0], y, s=9, color=RED, edgecolors="white", linewidths=0.3, zorder=3, label="data")
            panel.set(title=title, xlim=(-2.5, 2.5), ylim=(-2.5, 2.5))
        legend_below(3, axes[0])
    print(f"The picture is {options.output}.")
    return said


if __name__ == "__main__":
    main()
