"""What is asked of every picture; and the refusals of each."""

import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sdebnn import plots
from sdebnn.errors import InputError, StorageError
from sdebnn.plots.style import drawing

pytest.importorskip("matplotlib")

RNG = np.random.default_rng(0)
PROBS, LABELS = RNG.dirichlet(np.ones(3), size=80), RNG.integers(3, size=80)
TIMES, PATHS = np.linspace(0, 1, 21, dtype=np.float32), RNG.normal(size=(4, 21, 5)).astype(np.float32)
RECORDS = [
    {"step": step, "time": 1.0, "split": split, "loss": 1 / step, "nll": 2 / step, "kl": 3.0 * step, "accuracy": 0.5}
    for step in range(1, 60)
    for split in ("train", "test")
]
X = np.linspace(-3, 3, 40)
WIDE = np.zeros((2, 17))
BAND = (np.zeros((21, 5)), np.ones((21, 5)))
TARGETS = RNG.normal(size=(300, 3))
LONG = "inputs with quite a long name of their own"

PICTURES: dict[str, tuple[Callable[..., Any], list[str]]] = {
    "one reliability": (
        lambda **to: plots.draw_reliability_diagram({"SDE-BNN": (LABELS, PROBS)}, **to),
        ["Accuracy (fraction)", "Confidence (fraction)", "Examples (log)"],
    ),
    "three reliabilities": (
        lambda **to: plots.draw_reliability_diagram(dict.fromkeys("abc", (LABELS, PROBS)), **to),
        ["Accuracy (fraction)", "Confidence (fraction)", "Examples (log)"],
    ),
    "curves": (
        lambda **to: plots.draw_training_curves(RECORDS, **to),
        [
            "Accuracy (%)",
            "Gradient steps",
            "Loss (nats per example)",
            "Negative log-likelihood (nats)",
            "Path KL (nats)",
        ],
    ),
    "one curve": (
        lambda **to: plots.draw_training_curves([{"step": 3, "split": "test", "rmse": 0.5}], **to),
        ["Gradient steps", "RMSE (units of the target)"],
    ),
    "paths": (
        lambda **to: plots.draw_weight_paths(TIMES, PATHS, **to, prior=BAND),
        ["Depth t (0 input, 1 output)", "Weight (no unit)"],
    ),
    "one path": (
        lambda **to: plots.draw_weight_paths(TIMES, PATHS[:1, :, :1], **to),
        ["Depth t (0 input, 1 output)", "Weight (no unit)"],
    ),
    "entropy": (
        lambda **to: plots.draw_predictive_entropy(
            np.abs(RNG.normal(size=50)), {LONG: np.ones(9), "b": np.ones(1)}, **to
        ),
        ["Predictive entropy (nats)", "Share of inputs in a bin (%)"],
    ),
    "risk and coverage": (
        lambda **to: plots.draw_risk_coverage(
            dict.fromkeys(
                ["_mine", "cost $x_{ $", *(f"{LONG}, {n} of them, {LONG}" for n in range(7))], (LABELS, PROBS)
            ),
            **to,
        ),
        ["Accepted, the most confident first (%)", "Wrong among them (%)"],
    ),
    "interval calibration": (
        lambda **to: plots.draw_interval_calibration({"a": RNG.uniform(size=(40, 2)), "b": RNG.beta(2, 3, 50)}, **to),
        [
            "Density",
            "Probability integral transform",
            "Share that intervals should hold (fraction)",
            "Share that they hold (fraction)",
        ],
    ),
    "intervals": (
        lambda **to: plots.draw_predictive_intervals(X**2, X**2 + 0.1, X**2 - 0.5, X**2 + 0.5, **to),
        ["Share of smaller predictions (%)", "Target (its unit)"],
    ),
    "intervals of three targets": (
        lambda **to: plots.draw_predictive_intervals(TARGETS, TARGETS + 0.1, TARGETS - 1, TARGETS + 1, **to),
        ["Share of smaller predictions (%)", "Target (its unit)"],
    ),
    "bands": (
        lambda **to: plots.draw_predictive_bands(X, RNG.normal(size=(9, 40)), X[::4], X[::4] ** 2, **to),
        ["Input x", "Output y"],
    ),
    "percentiles": (
        lambda **to: plots.draw_predictive_percentiles(
            X, {"prior": RNG.normal(size=(9, 40)), "posterior": RNG.normal(size=(1, 40))}, X[::4], X[::4] ** 2, **to
        ),
        ["Input x", "Output y"],
    ),
}


def names_of_axes(figure: Any) -> list[str]:
    texts = [text for ax in figure.axes for text in (ax.get_xlabel(), ax.get_ylabel())]
    return sorted({text for text in [*texts, *(part.get_supxlabel() for part in figure.subfigs)] if text})


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_a_png_with_named_axes_and_nothing_cut(name: str, tmp_path: Path) -> None:
    draw, labels = PICTURES[name]
    path = tmp_path / "new" / "picture.png"
    figure = draw(path=path).figure
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", content[16:24])
    assert 600 <= width <= 3000
    assert 350 <= height <= 2000
    assert names_of_axes(figure) == labels
    drawn = figure.get_tightbbox()
    assert drawn.x0 >= 0
    assert drawn.y0 >= 0
    assert drawn.x1 <= figure.get_figwidth()
    assert drawn.y1 <= figure.get_figheight()


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_drawn_on_given_axes_beside_what_is_there(name: str, tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    draw, labels = PICTURES[name]
    figure = Figure(figsize=(16.0, 7.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1])
    left.set_title("mine")
    assert draw(ax=right) is right
    assert figure.axes[:2] == [left, right]
    assert (left.get_title(), len(left.lines), left.get_xlabel()) == ("mine", 1, "")
    assert names_of_axes(figure) == labels
    figure.savefig(tmp_path / "a.png")
    title = figure.subfigs[0]._suptitle if figure.subfigs else right.title
    assert title.get_text()
    for ax in figure.axes[2:]:
        assert ax.get_tightbbox().x0 > left.get_tightbbox().x1
        assert ax.get_tightbbox().y1 <= title.get_window_extent().y0
    assert list(tmp_path.iterdir()) == [tmp_path / "a.png"]


def test_a_picture_on_given_axes_is_written_where_a_path_is_given_too(tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    within = Figure(layout="constrained").subfigures(1, 2)[0].subplots()
    plots.draw_weight_paths(TIMES, PATHS, within, str(tmp_path / "a.png"))
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


def test_pictures_leave_matplotlib_as_it_was(tmp_path: Path) -> None:
    code = (
        "import matplotlib, sys, numpy; before = matplotlib.rcParams.copy();"
        "from sdebnn import plots;"
        "plots.draw_weight_paths(numpy.linspace(0, 1, 3), numpy.zeros((1, 3, 1)), path=sys.argv[1]);"
        "assert 'matplotlib.pyplot' not in sys.modules; assert matplotlib.rcParams.copy() == before"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.png")], check=True)


def test_without_matplotlib_a_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r"pip install 'sdebnn\[plots\]'"):
        plots.draw_weight_paths(TIMES, PATHS, path=tmp_path / "a.png")


def test_refuses_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="can't be written"):
        plots.draw_weight_paths(TIMES, PATHS, path=tmp_path)


REFUSED: list[tuple[Callable[..., Any], str]] = [
    (lambda **to: plots.draw_reliability_diagram({}, **to), "predictions is empty"),
    (lambda **to: plots.draw_reliability_diagram({"a": (LABELS, np.log(PROBS))}, **to), "logits"),
    (lambda **to: plots.draw_risk_coverage({}, **to), "predictions is empty"),
    (lambda **to: plots.draw_training_curves([], **to), "no record of loss, nll"),
    (lambda **to: plots.draw_training_curves([{"step": 1, "split": "test", "ece": 1.0}], **to), "no record of loss"),
    (lambda **to: plots.draw_weight_paths(TIMES, PATHS[0], **to), r"\(samples, T, weights\) is needed"),
    (lambda **to: plots.draw_weight_paths(TIMES, PATHS[:0], **to), "paths is empty"),
    (lambda **to: plots.draw_weight_paths(TIMES, PATHS * np.float32(np.nan), **to), "paths holds NaN"),
    (lambda **to: plots.draw_weight_paths(TIMES[1:], PATHS, **to), "21 depths but times has 20"),
    (lambda **to: plots.draw_weight_paths(TIMES, np.zeros((1, 21, 17)), **to), "17 weights; choose at most 16"),
    (
        lambda **to: plots.draw_weight_paths(TIMES, PATHS[:, :, :2], **to, prior=BAND),
        r"prior's mean has shape \(21, 5\)",
    ),
    (lambda **to: plots.draw_predictive_entropy(np.ones(3), {}, **to), "out_entropy is empty"),
    (lambda **to: plots.draw_predictive_entropy(np.zeros(0), {"a": np.ones(3)}, **to), "in_entropy is empty"),
    (lambda **to: plots.draw_predictive_entropy(np.ones(3), {"a": np.zeros(0)}, **to), "out_entropy.'a'. is empty"),
    (lambda **to: plots.draw_interval_calibration({}, **to), "pits is empty"),
    (lambda **to: plots.draw_interval_calibration({"a": 2 * X}, **to), "pit lies in -6 to 6"),
    (lambda **to: plots.draw_predictive_intervals(X, X[1:], X, X, **to), r"mean has shape \(39,\) but y has \(40,\)"),
    (lambda **to: plots.draw_predictive_intervals(X, X, X, X - 1, **to), "lower is above upper"),
    (lambda **to: plots.draw_predictive_intervals(WIDE, WIDE, WIDE, WIDE, **to), "17 numbers an example; choose"),
    (lambda **to: plots.draw_predictive_bands(X, np.zeros((0, 40)), X, X, **to), "samples is empty"),
    (lambda **to: plots.draw_predictive_bands(X, np.zeros((2, 39)), X, X, **to), "39 inputs but x has 40"),
    (lambda **to: plots.draw_predictive_bands(X, np.zeros((2, 40)), X, X[1:], **to), "40 points but y_train has 39"),
    (lambda **to: plots.draw_predictive_percentiles(X, {}, X, X, **to), "predictives is empty"),
    (lambda **to: plots.draw_predictive_percentiles(X, {"a": X}, X, X, **to), "predictives.'a'. has shape"),
    (lambda **to: plots.draw_predictive_percentiles(X, {"a": np.zeros((2, 39))}, X, X, **to), "39 inputs but x has 40"),
    (lambda **to: plots.draw_predictive_percentiles(X, {"a": np.zeros((2, 40))}, X, X[1:], **to), "y_train has 39"),
]


def test_refuses_axes_that_are_none_and_those_without_a_place_for_panels(tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    with pytest.raises(InputError, match=r"ax is a PosixPath, but it must be axes of matplotlib.*write path="):
        plots.draw_weight_paths(TIMES, PATHS, tmp_path / "a.png")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"ax is a Figure, but it must be axes of matplotlib or None\."):
        plots.draw_predictive_bands(X, X[None], X, X, Figure())  # type: ignore[arg-type]
    with pytest.raises(InputError, match="several panels needs axes of a grid"):
        plots.draw_weight_paths(TIMES, PATHS, Figure().add_axes((0.1, 0.1, 0.8, 0.8)))


@pytest.mark.parametrize(("draw", "message"), REFUSED)
def test_refuses_what_cannot_be_drawn_and_writes_nothing(
    draw: Callable[..., Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        draw(path=tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_the_settings_that_all_figures_share_are_not_touched_even_while_a_picture_is_drawn(tmp_path: Path) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    with drawing(None, tmp_path / "a.png", "a", width=3.0, height=3.0) as ax:
        ax.plot([0, 1], [0, 1], label="line")
        assert dict(matplotlib.rcParams) == before
        matplotlib.rcParams["lines.linewidth"] = 7.0
    assert matplotlib.rcParams["lines.linewidth"] == 7.0
    matplotlib.rcParams.update(before)
