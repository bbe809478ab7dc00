"""How every picture looks, and the one place that draws through matplotlib."""

import contextlib
import io
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Num

from sdebnn import storage
from sdebnn.errors import InputError
from sdebnn.extras import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure
else:
    # matplotlib is an extra: it is imported when something is drawn.
    Figure = Any

Values = Num[np.ndarray, "..."]

# Okabe and Ito's colours, told apart with every kind of colour vision and in grey.
BLUE, ORANGE, GREEN, PINK, SKY, RED = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"
COLOURS = (BLUE, RED, GREEN, ORANGE, PINK, SKY)
GREY = "#666666"


def require_matplotlib() -> None:
    """**Raises:** `InputError` when matplotlib is missing."""
    require("A picture", "plots")


@contextlib.contextmanager
def picture(path: Path, title: str, *, width: float, height: float) -> Iterator[Figure]:
    """Gives an empty figure to draw on, and writes it as a PNG when the block ends.

    Nothing of matplotlib's global state is touched, not even for a moment: other threads may draw meanwhile. No window
    or backend is needed.

    **Arguments:**

    - `path`: of the PNG; its folder is made if missing.
    - `title`: what there is to see.
    - `width`, `height`: in inches.

    **Raises:** `InputError` when matplotlib is missing; `StorageError` when the file cannot be written.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    # The layout makes room above for every line, but does not break lines that are wider than the figure.
    figure.suptitle(textwrap.fill(title, int(8.5 * width)), fontsize=13)
    yield figure
    _dress(figure)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=150)
    storage.write(path.parent.resolve() / path.name, content.getvalue())


def _dress(figure: Figure) -> None:
    """Gives all axes and legends one look, without the settings that all figures of a process share."""
    legends = list(figure.legends)
    for axes in figure.axes:
        axes.grid(True, alpha=0.3, linewidth=0.6)
        axes.tick_params(labelsize=10)
        for text in (axes.title, axes.xaxis.label, axes.yaxis.label):
            text.set_fontsize(11)
        for side, spine in axes.spines.items():
            spine.set_edgecolor(GREY)
            spine.set_visible(side in ("left", "bottom"))
        legends += [legend for legend in (axes.get_legend(),) if legend is not None]
    for legend in legends:
        legend.get_frame().set_alpha(0.9)
        for text in legend.get_texts():
            text.set_fontsize(9)


def check_drawable(name: str, values: Values, shape: str, dimensions: int) -> None:
    """**Raises:** `InputError` when `values` are empty, not finite, or not of the shape."""
    if values.ndim != dimensions:
        raise InputError(f"{name} has shape {values.shape}; {shape} is needed.")
    if values.size == 0:
        raise InputError(f"{name} is empty (shape {values.shape}); there is nothing to draw.")
    if not np.isfinite(values.astype(np.float64)).all():
        raise InputError(f"{name} holds NaN or infinity; only finite numbers can be drawn.")
