"""What the network knew before the data, beside what it knows after."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sdebnn.errors import InputError
from sdebnn.plots.style import BLUE, RED, Axes, Values, check_drawable, drawing, legend, panels

SHARES = (95, 80, 65, 50, 35, 20, 5)
LINES = 5


def draw_predictive_percentiles(
    x: Values,
    predictives: Mapping[str, Values],
    x_train: Values,
    y_train: Values,
    ax: Axes | None = None,
    path: Path | str | None = None,
) -> Axes:
    """Draws the density of functions of one variable as shaded percentiles, a few functions as lines and the data as
    points, a panel for each of `predictives`: the predictive prior and posterior, say.

    The panels share their axes; y shows the data with a margin of their whole range above and below.

    **Arguments:**

    - `x`: inputs (n,), in any order.
    - `predictives`: by the panel's title, sampled functions at `x`: (samples, n).
    - `x_train`, `y_train`: training data (m,).
    - `ax`: axes of a grid, whose place the panels take; a new figure's unless given.
    - `path`: of a PNG to write; none is unless given.

    **Returns:** the axes.

    **Raises:** `InputError` when there is no panel, or arrays do not fit each other.

    Figure 3 of Xu et al., Infinitely deep Bayesian neural networks with stochastic differential equations, 2021.
    """
    if not predictives:
        raise InputError("predictives is empty; there is nothing to draw.")
    check_drawable("x", x, "(n,)", 1)
    for name, samples in predictives.items():
        check_drawable(f"predictives[{name!r}]", samples, "(samples, n)", 2)
        if samples.shape[1] != len(x):
            raise InputError(
                f"predictives[{name!r}] has {samples.shape[1]} inputs but x has {len(x)}; they must be equal."
            )
    check_drawable("x_train", x_train, "(m,)", 1)
    check_drawable("y_train", y_train, "(m,)", 1)
    if len(x_train) != len(y_train):
        raise InputError(f"x_train has {len(x_train)} points but y_train has {len(y_train)}; they must be equal.")
    order = np.argsort(x)
    low, high = float(y_train.min()), float(y_train.max())
    margin = high - low or 1.0
    title = "Predictive densities: narrow on the data, wide away from them"
    with drawing(ax, path, title, width=max(5.2, 4.8 * len(predictives)), height=4.2) as ax:
        axes = panels(ax, 1, len(predictives), sharex=True, sharey=True)[0]
        for axis, (name, samples) in zip(axes, predictives.items(), strict=True):
            for share in SHARES:
                band = np.percentile(samples[:, order], [50 - share / 2, 50 + share / 2], axis=0)
                axis.fill_between(x[order], *band, color=BLUE, alpha=0.12, linewidth=0)
            lines = axis.plot(x[order], samples[:LINES, order].T, color=BLUE, alpha=0.7, linewidth=0.9)
            lines[0].set_label("samples")
            axis.scatter(x_train, y_train, s=20, color=RED, edgecolors="white", linewidths=0.5, zorder=3, label="data")
            axis.set(title=name, xlabel="Input x", xlim=(x.min(), x.max()), ylim=(low - margin, high + margin))
        axes[0].set_ylabel("Output y")
        legend(axes[-1], loc="best")
    return ax
