"""Targets beside the intervals that were predicted for them."""

from pathlib import Path

import numpy as np

from sdebnn.errors import InputError
from sdebnn.metrics import interval_coverage
from sdebnn.plots.style import BLUE, GREY, RED, Axes, Values, check_drawable, drawing, legend_below, panels

MOST_TARGETS = 16
MOST_EXAMPLES = 150


def draw_predictive_intervals(
    y: Values,
    mean: Values,
    lower: Values,
    upper: Values,
    ax: Axes | None = None,
    path: Path | str | None = None,
    *,
    confidence_level: float = 0.95,
) -> Axes:
    """Draws the interval of each prediction as a bar, in the order of the predictions, and the targets as points, those
    beyond their interval in red; a panel for each of several targets.

    Of many examples 150 are drawn, evenly spread over that order; the title counts all.

    **Arguments:**

    - `y`: targets (n,), or (n, d) for at most 16 numbers an example.
    - `mean`: predictions, of the shape of `y`.
    - `lower`, `upper`: ends of their intervals, of the shape of `y`.
    - `ax`: axes of a grid, whose place the panels take; a new figure's unless given.
    - `path`: of a PNG to write; none is unless given.
    - `confidence_level`: share of targets that the intervals are to hold, for the labels.

    **Returns:** the axes.

    **Raises:** `InputError` for arrays that do not fit each other, and for more targets.
    """
    targets = y[:, None] if y.ndim == 1 else y
    check_drawable("y", targets, "(n,) or (n, d)", 2)
    for name, values in (("mean", mean), ("lower", lower), ("upper", upper)):
        if values.shape != y.shape:
            raise InputError(f"{name} has shape {values.shape} but y has {y.shape}; they must be equal.")
        check_drawable(name, values, "(n,) or (n, d)", y.ndim)
    count = targets.shape[1]
    if count > MOST_TARGETS:
        raise InputError(f"y has {count} numbers an example; choose at most {MOST_TARGETS} to draw.")
    columns = min(2, count)
    rows = -(-count // columns)
    of_level = f"{100 * confidence_level:g} %"
    title = f"Predictions with their {of_level} intervals, smallest first"
    with drawing(ax, path, title, width=max(7.2, 4.8 * columns), height=2.9 * rows + 1.5) as ax:
        axes = panels(ax, rows, columns, sharex=True).ravel()
        for spare in axes[count:]:
            spare.remove()
        for k, panel in enumerate(axes[:count]):
            one, predicted, low, high = (values.reshape(len(y), -1)[:, k] for values in (targets, mean, lower, upper))
            covered = interval_coverage(one, low, high)
            _draw_panel(panel, one, predicted, low, high, of_level)
            name = f"target {k + 1}: " if count > 1 else ""
            panel.set_title(f"{name}{100 * covered:.1f} % of {len(y)} targets lie in their interval")
            if k % columns == 0:
                panel.set_ylabel("Target (its unit)")
            if k + columns >= count:
                panel.set_xlabel("Share of smaller predictions (%)")
                panel.tick_params(labelbottom=True)
        legend_below(4, axes[0])
    return ax


def _draw_panel(panel: Axes, y: Values, mean: Values, lower: Values, upper: Values, level: str) -> None:
    order = np.argsort(mean, kind="stable")
    chosen = order[np.linspace(0, len(order) - 1, min(len(order), MOST_EXAMPLES)).round().astype(int)]
    at = np.linspace(0.0, 100.0, len(chosen))
    y, mean, lower, upper = y[chosen], mean[chosen], lower[chosen], upper[chosen]
    inside = (lower <= y) & (y <= upper)
    panel.vlines(at, lower, upper, color=GREY, alpha=0.5, linewidth=1.6, label=f"{level} interval")
    panel.plot(at, mean, color="black", linewidth=1.0, label="prediction")
    for where, colour, label in ((inside, BLUE, "target within"), (~inside, RED, "target beyond")):
        panel.scatter(
            at[where], y[where], s=14, color=colour, edgecolors="white", linewidths=0.4, zorder=3, label=label
        )
