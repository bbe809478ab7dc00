"""How many errors are left where a model declines what it is unsure of."""

from collections.abc import Mapping
from pathlib import Path

from sdebnn.errors import InputError
from sdebnn.metrics import risk_coverage_curve
from sdebnn.plots.style import COLOURS, Axes, Values, drawing, legend, lines_of, panels

WIDTH = 7.2
DASHES = ("-", "--", "-.", ":")


def draw_risk_coverage(
    predictions: Mapping[str, tuple[Values, Values]], ax: Axes | None = None, path: Path | str | None = None
) -> Axes:
    """Draws the error rate among the most confident predictions against their share, a curve for each model. The lower
    one leaves fewer errors where as many cases go to a human.

    **Arguments:**

    - `predictions`: by name of the model, labels (n,) and probabilities (n, classes).
    - `ax`: axes of a grid, whose place the panel and its legend take; a new figure's unless given.
    - `path`: of a PNG to write; none is unless given.

    **Returns:** the axes.

    **Raises:** `InputError` when there is no model, or its predictions are no probabilities.

    Geifman and El-Yaniv, Selective classification for deep neural networks, 2017.
    """
    if not predictions:
        raise InputError("predictions is empty; there is nothing to draw.")
    curves = {name: risk_coverage_curve(labels, probs) for name, (labels, probs) in predictions.items()}
    title, height = "Errors among the predictions that are accepted", 4.0 + 0.2 * len(curves)
    with drawing(ax, path, title, width=WIDTH, height=height) as ax:
        axes, lines = panels(ax, 1, 1)[0, 0], {}
        for number, (name, curve) in enumerate(curves.items()):
            colour = COLOURS[number % len(COLOURS)]
            # More models than colours are told apart by their dashes.
            dash = DASHES[number // len(COLOURS) % len(DASHES)]
            (line,) = axes.plot(100 * curve.coverage, 100 * curve.risk, color=colour, linestyle=dash, linewidth=1.8)
            # The area, as `risk_coverage_area` has it.
            lines[lines_of(f"{name}: AURC × 100 = {100 * curve.risk.mean():.2f}", WIDTH)] = line
        axes.set(xlabel="Accepted, the most confident first (%)", ylabel="Wrong among them (%)", xlim=(0, 100))
        axes.set_ylim(bottom=0)
        legend(axes.figure, [*lines.values()], [*lines], loc="outside lower center", ncols=1)
    return ax
