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
    from matplotlib.axes import Axes
else:
    # matplotlib is an extra: it is imported when something is drawn.
    Axes = Any

Values = Num[np.ndarray, "..."]

# Okabe and Ito's colours, told apart with every kind of colour vision and in grey.
BLUE, ORANGE, GREEN, PINK, SKY, RED = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"
COLOURS = (BLUE, RED, GREEN, ORANGE, PINK, SKY)
GREY = "#666666"
PANEL = 3.8
"""The width of one of several panels, in inches."""


def require_matplotlib() -> None:
    """**Raises:** `InputError` when matplotlib is missing."""
    require("A picture", "plots")


@contextlib.contextmanager
def drawing(ax: Any, path: Path | str | None, title: str, *, width: float, height: float) -> Iterator[Axes]:
    """Gives axes with a title to draw on, and writes their figure as a PNG when the block ends.

    Nothing of matplotlib's global state is touched, not even for a moment: other threads may draw meanwhile. No window
    or backend is needed.

    **Arguments:**

    - `ax`: the axes, or `None` for those of a new figure.
    - `path`: of the PNG; its folder is made if missing. Nothing is written where it is `None`.
    - `title`: what there is to see.
    - `width`, `height`: of a new figure, in inches.

    **Raises:** `InputError` when matplotlib is missing, or `ax` is no axes; `StorageError` when the file cannot be
    written.
    """
    require_matplotlib()
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    if ax is None:
        ax = Figure(figsize=(width, height), layout="constrained", facecolor="white").subplots()
    elif not isinstance(ax, Axes):
        hint = "; write path=... for the file" if isinstance(ax, str | Path) else ""
        raise InputError(f"ax is a {type(ax).__name__}, but it must be axes of matplotlib or None{hint}.")
    dress(ax)
    ax.set_title(lines_of(title, ax.get_position().width * ax.figure.canvas.figure.get_figwidth()), fontsize=13)
    yield ax
    if path is not None:
        content, file = io.BytesIO(), Path(path)
        ax.figure.canvas.figure.savefig(content, format="png", dpi=150)
        storage.write(file.parent.resolve() / file.name, content.getvalue())


def lines_of(title: str, inches: float) -> str:
    """A title in lines that are no wider than `inches`: the layout makes room for every line, but breaks none."""
    return textwrap.fill(title, int(11 * inches))


def panels(ax: Axes, rows: int, columns: int, **choices: Any) -> Any:
    """Axes in rows and columns in the place of `ax`, beneath its title.

    **Arguments:**

    - `ax`: of `drawing`; nothing of it is seen any more.
    - `choices`: as for `matplotlib.figure.Figure.subplots`.

    **Returns:** an array of them, (rows, columns).

    **Raises:** `InputError` for axes that are not part of a grid.
    """
    place = ax.get_subplotspec()
    if place is None:
        raise InputError(
            "A picture of several panels needs axes of a grid, whose place they take; make them by figure.subplots() "
            "or figure.add_subplot()."
        )
    # Within the place of axes the layout leaves room for the title and the legend of a figure alone.
    within = ax.figure.add_subfigure(place, facecolor="none")
    within.suptitle(ax.get_title(), fontsize=13)
    ax.set_title("")
    ax.set_axis_off()
    found = within.subplots(rows, columns, squeeze=False, **choices)
    for panel in found.ravel():
        dress(panel)
    return found


def dress(ax: Axes) -> None:
    """Gives axes the one look, without the settings that all figures of a process share."""
    ax.grid(True, alpha=0.3, linewidth=0.6)
    ax.tick_params(labelsize=10)
    for text in (ax.title, ax.xaxis.label, ax.yaxis.label):
        text.set_fontsize(11)
        # Names are a user's own, with whatever they hold.
        text.set_parse_math(False)
    for side, spine in ax.spines.items():
        spine.set_edgecolor(GREY)
        spine.set_visible(side in ("left", "bottom"))


def legend(of: Any, *entries: Any, **choices: Any) -> None:
    """A legend of axes or a figure, in the one look; the other arguments are those of its method `legend`."""
    for text in of.legend(*entries, **{"fontsize": 9, "framealpha": 0.9, **choices}).get_texts():
        text.set_parse_math(False)


def legend_below(columns: int, *of: Axes) -> None:
    """The legend of a panel or a few, which is as good for all, beneath them."""
    entries = {name: line for ax in of for line, name in zip(*ax.get_legend_handles_labels(), strict=True)}
    legend(of[0].figure, [*entries.values()], [*entries], loc="outside lower center", ncols=columns)


def check_drawable(name: str, values: Values, shape: str, dimensions: int) -> None:
    """**Raises:** `InputError` when `values` are empty, not finite, or not of the shape."""
    if values.ndim != dimensions:
        raise InputError(f"{name} has shape {values.shape}; {shape} is needed.")
    if values.size == 0:
        raise InputError(f"{name} is empty (shape {values.shape}); there is nothing to draw.")
    if not np.isfinite(values.astype(np.float64)).all():
        raise InputError(f"{name} holds NaN or infinity; only finite numbers can be drawn.")
