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

_STYLE: Any = {
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.labelsize": 11,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "figure.facecolor": "white",
    "figure.titlesize": 13,
    "font.size": 10,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.6,
    "legend.fontsize": 9,
    "legend.framealpha": 0.9,
    "lines.linewidth": 1.8,
    "savefig.dpi": 150,
}


def require_matplotlib() -> None:
    """**Raises:** `InputError` when matplotlib is missing."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise InputError("Pictures need matplotlib, which is not installed: pip install 'sdebnn[plots]'.") from None


@contextlib.contextmanager
def picture(path: Path, title: str, *, width: float, height: float) -> Iterator[Figure]:
    """Gives an empty figure to draw on, and writes it as a PNG when the block ends.

    Nothing of matplotlib's global state is touched that is not put back, and no window or backend is needed.

    **Arguments:**

    - `path`: of the PNG; its folder is made if missing.
    - `title`: what there is to see.
    - `width`, `height`: in inches.

    **Raises:** `InputError` when matplotlib is missing; `StorageError` when the file cannot be written.
    """
    require_matplotlib()
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        # The layout makes room above for every line, but does not break lines that are wider than the figure.
        figure.suptitle(textwrap.fill(title, int(8.5 * width)))
        yield figure
        content = io.BytesIO()
        figure.savefig(content, format="png")
        storage.write(path.parent.resolve() / path.name, content.getvalue())


def check_drawable(name: str, values: Values, shape: str, dimensions: int) -> None:
    """**Raises:** `InputError` when `values` are empty, not finite, or not of the shape."""
    if values.ndim != dimensions:
        raise InputError(f"{name} has shape {values.shape}; {shape} is needed.")
    if values.size == 0:
        raise InputError(f"{name} is empty (shape {values.shape}); there is nothing to draw.")
    if not np.isfinite(values.astype(np.float64)).all():
        raise InputError(f"{name} holds NaN or infinity; only finite numbers can be drawn.")
