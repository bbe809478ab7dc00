"""How weights move through depth."""

from pathlib import Path

from sdebnn.errors import InputError
from sdebnn.plots.style import BLUE, GREY, Axes, Values, check_drawable, drawing, legend_below, panels

MOST = 16


def draw_weight_paths(
    times: Values,
    paths: Values,
    ax: Axes | None = None,
    path: Path | str | None = None,
    *,
    prior: tuple[Values, Values] | None = None,
) -> Axes:
    """Draws sampled paths of a few weights over depth, a panel for each weight.

    **Arguments:**

    - `times`: depths (T,) in [0, 1].
    - `paths`: (samples, T, weights), with at most 16 weights.
    - `ax`: axes of a grid, whose place the panels take; a new figure's unless given.
    - `path`: of a PNG to write; none is unless given.
    - `prior`: mean and standard deviation of the prior, each (T, weights): drawn as its central 95 % band.

    **Returns:** the axes.
    """
    check_drawable("times", times, "(T,)", 1)
    check_drawable("paths", paths, "(samples, T, weights)", 3)
    samples, depths, weights = paths.shape
    if depths != len(times):
        raise InputError(f"paths has {depths} depths but times has {len(times)}; they must be equal.")
    if weights > MOST:
        raise InputError(f"paths has {weights} weights; choose at most {MOST} to draw.")
    for name, values in zip(("the prior's mean", "the prior's std"), prior or (), strict=False):
        check_drawable(name, values, "(T, weights)", 2)
        if values.shape != (depths, weights):
            raise InputError(f"{name} has shape {values.shape}; {(depths, weights)} is needed, as paths has.")
    columns = min(4, weights)
    rows = -(-weights // columns)
    title = f"Weight paths over depth: {samples} posterior samples"
    with drawing(ax, path, title, width=max(6.4, 2.9 * columns), height=2.8 * rows + 1.0) as ax:
        axes = panels(ax, rows, columns, sharex=True, sharey=True).ravel()
        for spare in axes[weights:]:
            spare.remove()
        for k, panel in enumerate(axes[:weights]):
            if prior is not None:
                mean, std = prior[0][:, k], prior[1][:, k]
                panel.fill_between(
                    times, mean - 1.96 * std, mean + 1.96 * std, color=GREY, alpha=0.2, lw=0, label="prior, 95 %"
                )
            lines = panel.plot(times, paths[:, :, k].T, color=BLUE, alpha=0.55, linewidth=1.1)
            lines[0].set_label("posterior samples")
            panel.set(title=f"weight {k + 1}", xlim=(times.min(), times.max()))
            if k % columns == 0:
                panel.set_ylabel("Weight (no unit)")
            if k + columns >= weights:
                panel.tick_params(labelbottom=True)
                # One for the figure would lie beneath the legend.
                panel.set_xlabel("Depth t (0 input, 1 output)")
        legend_below(2, axes[0])
    return ax
