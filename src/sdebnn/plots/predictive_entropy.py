"""Whether the model knows what it has not seen."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sdebnn.errors import InputError
from sdebnn.metrics import auroc
from sdebnn.plots.style import COLOURS, Axes, Values, check_drawable, drawing, legend

BINS = 40


def draw_predictive_entropy(
    in_entropy: Values, out_entropy: Mapping[str, Values], ax: Axes | None = None, path: Path | str | None = None
) -> Axes:
    """Draws histograms of the predictive entropy on familiar and on strange inputs, and names the AUROC that they give.

    **Arguments:**

    - `in_entropy`: (n,), of test inputs, in nats.
    - `out_entropy`: by name, (m,), of inputs from elsewhere.
    - `ax`: axes to draw on; a new figure's unless given.
    - `path`: of a PNG to write; none is unless given.

    **Returns:** the axes.
    """
    if not out_entropy:
        raise InputError("out_entropy is empty; there is nothing to compare with.")
    check_drawable("in_entropy", in_entropy, "(n,)", 1)
    for name, values in out_entropy.items():
        check_drawable(f"out_entropy[{name!r}]", values, "(n,)", 1)
    areas = {name: auroc(in_entropy, values) for name, values in out_entropy.items()}
    title = "Entropy of predictions, AUROC: " + ", ".join(f"{name} {area:.3f}" for name, area in areas.items())
    groups = {"test inputs": in_entropy, **out_entropy}
    highest = max(float(values.max()) for values in groups.values())
    edges = np.linspace(0, max(highest, 1e-3), BINS + 1).tolist()
    with drawing(ax, path, title, width=7.2, height=4.2) as ax:
        for (name, values), colour in zip(groups.items(), _colours(len(groups)), strict=True):
            share = np.full(len(values), 100 / len(values))
            clipped = np.maximum(values, 0)
            ax.hist(clipped, edges, weights=share, color=colour, alpha=0.3, histtype="stepfilled")
            ax.hist(clipped, edges, weights=share, color=colour, linewidth=1.6, histtype="step", label=name)
        ax.set(xlabel="Predictive entropy (nats)", ylabel="Share of inputs in a bin (%)", xlim=(0, edges[-1]))
        legend(ax)
    return ax


def _colours(count: int) -> list[str]:
    return [COLOURS[k % len(COLOURS)] for k in range(count)]
