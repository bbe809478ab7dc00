"""What a posterior over functions of one variable looks like."""

from pathlib import Path

import numpy as np

from sdebnn.errors import InputError
from sdebnn.plots.style import BLUE, RED, Axes, Values, check_drawable, drawing, legend

LINES = 5


def draw_predictive_bands(
    x: Values,
    samples: Values,
    x_train: Values,
    y_train: Values,
    ax: Axes | None = None,
    path: Path | str | None = None,
) -> Axes:
    """Draws bands that hold 50 % and 90 % of the posterior samples, their median, a few of them, and the data.

    **Arguments:**

    - `x`: inputs (n,), in any order.
    - `samples`: predictions (samples, n).
    - `x_train`, `y_train`: training data (m,).
    - `ax`: axes to draw on; a new figure's unless given.
    - `path`: of a PNG to write; none is unless given.

    **Returns:** the axes.
    """
    check_drawable("x", x, "(n,)", 1)
    check_drawable("samples", samples, "(samples, n)", 2)
    check_drawable("x_train", x_train, "(m,)", 1)
    check_drawable("y_train", y_train, "(m,)", 1)
    if samples.shape[1] != len(x):
        raise InputError(f"samples has {samples.shape[1]} inputs but x has {len(x)}; they must be equal.")
    if len(x_train) != len(y_train):
        raise InputError(f"x_train has {len(x_train)} points but y_train has {len(y_train)}; they must be equal.")
    order = np.argsort(x)
    x, samples = x[order], samples[:, order]
    title = "Posterior predictive: the bands should widen away from the data"
    with drawing(ax, path, title, width=7.2, height=4.4) as ax:
        for share, alpha in ((90, 0.2), (50, 0.35)):
            low, high = np.percentile(samples, [50 - share / 2, 50 + share / 2], axis=0)
            label = f"{share} % of {len(samples)} samples"
            ax.fill_between(x, low, high, color=BLUE, alpha=alpha, linewidth=0, label=label)
        lines = ax.plot(x, samples[:LINES].T, color=BLUE, alpha=0.6, linewidth=0.8)
        lines[0].set_label("single samples")
        ax.plot(x, np.median(samples, axis=0), color="black", label="median")
        ax.scatter(x_train, y_train, s=22, color=RED, edgecolors="white", linewidths=0.6, zorder=3, label="data")
        ax.set(xlabel="Input x", ylabel="Output y", xlim=(x[0], x[-1]))
        legend(ax, loc="best")
    return ax
