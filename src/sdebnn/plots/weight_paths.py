"""How weights move through depth."""

from pathlib import Path

from sdebnn.errors import InputError
from sdebnn.plots.style import BLUE, GREY, Figure, Values, check_drawable, picture

MOST = 16


def draw_weight_paths(
    times: Values, paths: Values, path: Path, *, prior: tuple[Values, Values] | None = None
) -> Figure:
    """Draws sampled paths of a few weights over depth, a panel for each weight.

    **Arguments:**

    - `times`: depths (T,) in [0, 1].
    - `paths`: (samples, T, weights), with at most 16 weights.
    - `path`: of the PNG.
    - `prior`: mean and standard deviation of the prior, each (T, weights): drawn as its central 95 % band.

    **Returns:** the figure.
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
    with picture(
        path,
        f"Weight paths over depth: {samples} posterior samples",
        width=max(6.4, 2.9 * columns),
        height=2.8 * rows + 1.0,
    ) as figure:
        axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
        for axis in axes[weights:]:
            axis.remove()
        for k in range(weights):
            axis = axes[k]
            if prior is not None:
                mean, std = prior[0][:, k], prior[1][:, k]
                axis.fill_between(
                    times, mean - 1.96 * std, mean + 1.96 * std, color=GREY, alpha=0.2, lw=0, label="prior, 95 %"
                )
            lines = axis.plot(times, paths[:, :, k].T, color=BLUE, alpha=0.55, linewidth=1.1)
            lines[0].set_label("posterior samples")
            axis.set(title=f"weight {k + 1}", xlim=(times.min(), times.max()))
            if k % columns == 0:
                axis.set_ylabel("Weight (no unit)")
            if k + columns >= weights:
                axis.set_xlabel("Depth t (0 input, 1 output)")
                axis.tick_params(labelbottom=True)
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
