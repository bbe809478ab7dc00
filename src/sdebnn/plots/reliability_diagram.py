"""Accuracy against confidence."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sdebnn.errors import InputError
from sdebnn.metrics import expected_calibration_error, reliability_bins
from sdebnn.plots.style import GREY, PANEL, RED, SKY, Axes, Values, drawing, legend_below, lines_of, panels

BINS = 15


def draw_reliability_diagram(
    predictions: Mapping[str, tuple[Values, Values]], ax: Axes | None = None, path: Path | str | None = None
) -> Axes:
    """Draws a reliability diagram for each model, side by side, over the histogram of its confidence.

    **Arguments:**

    - `predictions`: by name of the model, labels (n,) and probabilities (n, classes).
    - `ax`: axes of a grid, whose place the panels take; a new figure's unless given.
    - `path`: of a PNG to write; none is unless given.

    **Returns:** the axes.

    **Raises:** `InputError` when there is no model, or its predictions are no probabilities.

    Guo et al., On calibration of modern neural networks, 2017.
    """
    if not predictions:
        raise InputError("predictions is empty; there is nothing to draw.")
    groups = {name: reliability_bins(labels, probs, bins=BINS) for name, (labels, probs) in predictions.items()}
    title = "Reliability: calibrated bars end on the dashed line"
    with drawing(ax, path, title, width=max(6.2, PANEL * len(groups)), height=5.2) as ax:
        axes = panels(ax, 2, len(groups), height_ratios=[3, 1], sharex=True, sharey="row")
        for (name, group), (top, bottom) in zip(groups.items(), axes.T, strict=True):
            ece = expected_calibration_error(*predictions[name], bins=BINS)
            left = np.arange(BINS) / BINS
            filled = group.counts > 0
            bar = {"width": 1 / BINS, "align": "edge", "linewidth": 0.8}
            top.bar(left[filled], group.accuracy[filled], color=SKY, edgecolor="white", label="accuracy", **bar)
            top.bar(
                left[filled],
                (group.confidence - group.accuracy)[filled],
                bottom=group.accuracy[filled],
                facecolor="none",
                edgecolor=RED,
                hatch="///",
                label="gap to confidence",
                **bar,
            )
            top.plot([0, 1], [0, 1], linestyle="--", color="black", label="perfect calibration")
            top.set(title=lines_of(f"{name}: ECE × 100 = {100 * ece:.2f}", 0.8 * PANEL), xlim=(0, 1), ylim=(0, 1))
            bottom.bar(left[filled], group.counts[filled], color=GREY, edgecolor="white", **bar)
            bottom.set(xlabel="Confidence (fraction)", yscale="log")
        axes[0, 0].set_ylabel("Accuracy (fraction)")
        axes[1, 0].set(ylabel="Examples (log)", ylim=(0.5, 1.5 * max(group.counts.max() for group in groups.values())))
        legend_below(3, axes[0, 0])
    return ax
