"""What a run's log says about its training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from sdebnn.errors import InputError
from sdebnn.plots.style import BLUE, COLOURS, RED, Axes, drawing, legend, panels

# Name in the log, label of the axis, factor.
PANELS = (
    ("loss", "Loss (nats per example)", 1.0),
    ("nll", "Negative log-likelihood (nats)", 1.0),
    ("kl", "Path KL (nats)", 1.0),
    ("accuracy", "Accuracy (%)", 100.0),
    ("rmse", "RMSE (units of the target)", 1.0),
)
SPLITS = {"train": BLUE, "test": RED}


def draw_training_curves(
    records: Sequence[Mapping[str, Any]], ax: Axes | None = None, path: Path | str | None = None
) -> Axes:
    """Draws loss, negative log-likelihood, path KL, accuracy and RMSE over gradient steps, as far as they were logged.

    **Arguments:**

    - `records`: of `sdebnn.runs.MetricsLog.read`: each with `step`, `split` and values by name. Values that are not
      finite leave a gap.
    - `ax`: axes of a grid, whose place the panels take; a new figure's unless given.
    - `path`: of a PNG to write; none is unless given.

    **Returns:** the axes.

    **Raises:** `InputError` when no record has a value that can be drawn.
    """
    shown = [panel for panel in PANELS if any(panel[0] in record for record in records)]
    if not shown:
        names = ", ".join(name for name, _, _ in PANELS)
        raise InputError(f"The log has no record of {names}; there is nothing to draw.")
    columns = min(2, len(shown))
    rows = -(-len(shown) // columns)
    title = "Training curves: thin lines are mini-batches, thick lines their running mean"
    with drawing(ax, path, title, width=4.8 * columns + 1.0, height=2.9 * rows + 0.6) as ax:
        axes = panels(ax, rows, columns, sharex=True).ravel()
        for spare in axes[len(shown) :]:
            spare.remove()
        for number, (panel, (name, label, factor)) in enumerate(zip(axes, shown, strict=False)):
            _draw_panel(panel, records, name, factor)
            panel.set_ylabel(label)
            panel.margins(x=0.03)
            legend(panel)
            if number + columns >= len(shown):
                panel.set_xlabel("Gradient steps")
                panel.tick_params(labelbottom=True)
    return ax


def _draw_panel(axis: Axes, records: Sequence[Mapping[str, Any]], name: str, factor: float) -> None:
    splits = dict.fromkeys(record["split"] for record in records if name in record)
    spare = iter(COLOURS[2:])
    for split in splits:
        points = [(record["step"], record[name]) for record in records if record["split"] == split and name in record]
        steps, values = np.array(points, dtype=np.float64).T
        colour = SPLITS.get(split) or next(spare, BLUE)
        if split != "train":
            axis.plot(steps, factor * values, marker="o", color=colour, label=split, zorder=3)
            continue
        axis.plot(steps, factor * values, color=colour, alpha=0.35, linewidth=0.8)
        axis.plot(steps, factor * _running_mean(values), color=colour, label=split)


def _running_mean(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Mean over a window of a twentieth of the run around each point, shorter at the ends."""
    half = len(values) // 40
    return np.array([np.mean(values[max(i - half, 0) : i + half + 1]) for i in range(len(values))])
