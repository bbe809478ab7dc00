"""Whether intervals of real targets hold as many of them as they should."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import scipy

from sdebnn.errors import InputError
from sdebnn.metrics import coverage_curve
from sdebnn.plots.style import BLUE, GREY, PANEL, RED, SKY, Axes, Values, drawing, legend_below, lines_of, panels

BINS = 20


def draw_interval_calibration(
    pits: Mapping[str, Values], ax: Axes | None = None, path: Path | str | None = None
) -> Axes:
    """Draws for each model, side by side, the share of targets that central intervals hold against the share that they
    should, over the histogram of the probability integral transform.

    A curve below the diagonal, and a histogram with high ends, are of a prediction that is too sure of itself; a curve
    above it, and a histogram with a hump, of one that is too unsure; a histogram that leans, of one that is off.

    **Arguments:**

    - `pits`: by name of the model, the probability integral transform of the targets, by `sdebnn.metrics.pit` or
      `mixture_cdf`, of any shape.
    - `ax`: axes of a grid, whose place the panels take; a new figure's unless given.
    - `path`: of a PNG to write; none is unless given.

    **Returns:** the axes.

    **Raises:** `InputError` when there is no model, or numbers are not in [0, 1].

    Gneiting, Balabdaoui and Raftery, Probabilistic forecasts, calibration and sharpness, 2007.
    """
    if not pits:
        raise InputError("pits is empty; there is nothing to draw.")
    curves = {name: coverage_curve(values) for name, values in pits.items()}
    title = "Intervals: a calibrated curve runs along the dashed line"
    with drawing(ax, path, title, width=max(6.2, PANEL * len(curves)), height=5.6) as ax:
        axes = panels(ax, 2, len(curves), sharex=True, sharey="row", height_ratios=[2, 1])
        for (name, curve), (top, bottom) in zip(curves.items(), axes.T, strict=True):
            values = np.ravel(pits[name])
            at_95 = coverage_curve(values, levels=[0.95]).observed[0]
            top.plot([0, 1], [0, 1], linestyle="--", color="black", label="perfect calibration")
            top.plot(curve.expected, curve.observed, marker="o", markersize=4, color=BLUE, label="intervals")
            top.fill_between(curve.expected, curve.expected, curve.observed, color=RED, alpha=0.2, linewidth=0)
            said = f"{name}: 95 % intervals hold {100 * at_95:.1f} %"
            top.set(title=lines_of(said, 0.8 * PANEL), xlim=(0, 1), ylim=(0, 1))
            top.set_xlabel("Share that intervals should hold (fraction)")
            top.tick_params(labelbottom=True)
            bottom.hist(values, np.linspace(0, 1, BINS + 1), density=True, color=SKY, edgecolor="white", linewidth=0.8)
            by_chance = scipy.stats.binom(len(values), 1 / BINS).ppf([0.025, 0.975]) * BINS / len(values)
            bottom.axhspan(*by_chance, color=GREY, alpha=0.2, linewidth=0, label="calibrated, 95 % by chance")
            bottom.axhline(1.0, linestyle="--", color="black", linewidth=1.0)
            bottom.set(xlabel="Probability integral transform")
        axes[0, 0].set_ylabel("Share that they hold (fraction)")
        axes[1, 0].set_ylabel("Density")
        legend_below(3, *axes[:, 0])
    return ax
