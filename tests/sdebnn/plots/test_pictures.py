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
from sdebnn.plots.style import picture

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
BAND = (np.zeros((21, 5)), np.ones((21, 5)))
LONG = "inputs with quite a long name of their own"

PICTURES: dict[str, tuple[Callable[[Path], Any], list[str]]] = {
    "one reliability": (
        lambda path: plots.draw_reliability_diagram({"SDE-BNN": (LABELS, PROBS)}, path),
        ["Accuracy (fraction)", "Confidence (fraction)", "Examples (log)"],
    ),
    "three reliabilities": (
        lambda path: plots.draw_reliability_diagram(dict.fromkeys("abc", (LABELS, PROBS)), path),
        ["Accuracy (fraction)", "Confidence (fraction)", "Examples (log)"],
    ),
    "curves": (
        lambda path: plots.draw_training_curves(RECORDS, path),
        [
            "Accuracy (%)",
            "Gradient steps",
            "Loss (nats per example)",
            "Negative log-likelihood (nats)",
            "Path KL (nats)",
        ],
    ),
    "one curve": (
        lambda path: plots.draw_training_curves([{"step": 3, "split": "test", "rmse": 0.5}], path),
        ["Gradient steps", "RMSE (units of the target)"],
    ),
    "paths": (
        lambda path: plots.draw_weight_paths(TIMES, PATHS, path, prior=BAND),
        ["Depth t (0 input, 1 output)", "Weight (no unit)"],
    ),
    "one path": (
        lambda path: plots.draw_weight_paths(TIMES, PATHS[:1, :, :1], path),
        ["Depth t (0 input, 1 output)", "Weight (no unit)"],
    ),
    "entropy": (
        lambda path: plots.draw_predictive_entropy(
            np.abs(RNG.normal(size=50)), {LONG: np.ones(9), "b": np.ones(1)}, path
        ),
        ["Predictive entropy (nats)", "Share of inputs in a bin (%)"],
    ),
    "bands": (
        lambda path: plots.draw_predictive_bands(X, RNG.normal(size=(9, 40)), X[::4], X[::4] ** 2, path),
        ["Input x", "Output y"],
    ),
    "percentiles": (
        lambda path: plots.draw_predictive_percentiles(
            X, {"prior": RNG.normal(size=(9, 40)), "posterior": RNG.normal(size=(1, 40))}, X[::4], X[::4] ** 2, path
        ),
        ["Input x", "Output y"],
    ),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_a_png_with_named_axes_and_nothing_cut(name: str, tmp_path: Path) -> None:
    draw, labels = PICTURES[name]
    path = tmp_path / "new" / "picture.png"
    figure = draw(path)
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", content[16:24])
    assert 600 <= width <= 3000
    assert 350 <= height <= 2000
    texts = [axis.get_xlabel() for axis in figure.axes] + [axis.get_ylabel() for axis in figure.axes]
    assert sorted({text for text in texts if text}) == labels
    drawn = figure.get_tightbbox()
    assert drawn.x0 >= 0
    assert drawn.y0 >= 0
    assert drawn.x1 <= figure.get_figwidth()
    assert drawn.y1 <= figure.get_figheight()


def test_pictures_leave_matplotlib_as_it_was(tmp_path: Path) -> None:
    code = (
        "import matplotlib, sys, pathlib, numpy; before = matplotlib.rcParams.copy();"
        "from sdebnn import plots;"
        "plots.draw_weight_paths(numpy.linspace(0, 1, 3), numpy.zeros((1, 3, 1)), pathlib.Path(sys.argv[1]));"
        "assert 'matplotlib.pyplot' not in sys.modules; assert matplotlib.rcParams.copy() == before"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.png")], check=True)


def test_without_matplotlib_a_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r"pip install 'sdebnn\[plots\]'"):
        plots.draw_weight_paths(TIMES, PATHS, tmp_path / "a.png")


def test_refuses_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="can't be written"):
        plots.draw_weight_paths(TIMES, PATHS, tmp_path)


REFUSED: list[tuple[Callable[[Path], Any], str]] = [
    (lambda path: plots.draw_reliability_diagram({}, path), "predictions is empty"),
    (lambda path: plots.draw_reliability_diagram({"a": (LABELS, np.log(PROBS))}, path), "logits"),
    (lambda path: plots.draw_training_curves([], path), "no record of loss, nll"),
    (lambda path: plots.draw_training_curves([{"step": 1, "split": "test", "ece": 1.0}], path), "no record of loss"),
    (lambda path: plots.draw_weight_paths(TIMES, PATHS[0], path), r"\(samples, T, weights\) is needed"),
    (lambda path: plots.draw_weight_paths(TIMES, PATHS[:0], path), "paths is empty"),
    (lambda path: plots.draw_weight_paths(TIMES, PATHS * np.float32(np.nan), path), "paths holds NaN"),
    (lambda path: plots.draw_weight_paths(TIMES[1:], PATHS, path), "21 depths but times has 20"),
    (lambda path: plots.draw_weight_paths(TIMES, np.zeros((1, 21, 17)), path), "17 weights; choose at most 16"),
    (
        lambda path: plots.draw_weight_paths(TIMES, PATHS[:, :, :2], path, prior=BAND),
        r"prior's mean has shape \(21, 5\)",
    ),
    (lambda path: plots.draw_predictive_entropy(np.ones(3), {}, path), "out_entropy is empty"),
    (lambda path: plots.draw_predictive_entropy(np.zeros(0), {"a": np.ones(3)}, path), "in_entropy is empty"),
    (lambda path: plots.draw_predictive_entropy(np.ones(3), {"a": np.zeros(0)}, path), "out_entropy.'a'. is empty"),
    (lambda path: plots.draw_predictive_bands(X, np.zeros((0, 40)), X, X, path), "samples is empty"),
    (lambda path: plots.draw_predictive_bands(X, np.zeros((2, 39)), X, X, path), "39 inputs but x has 40"),
    (lambda path: plots.draw_predictive_bands(X, np.zeros((2, 40)), X, X[1:], path), "40 points but y_train has 39"),
    (lambda path: plots.draw_predictive_percentiles(X, {}, X, X, path), "predictives is empty"),
    (lambda path: plots.draw_predictive_percentiles(X, {"a": X}, X, X, path), "predictives.'a'. has shape"),
    (lambda path: plots.draw_predictive_percentiles(X, {"a": np.zeros((2, 39))}, X, X, path), "39 inputs but x has 40"),
    (lambda path: plots.draw_predictive_percentiles(X, {"a": np.zeros((2, 40))}, X, X[1:], path), "y_train has 39"),
]


@pytest.mark.parametrize(("draw", "message"), REFUSED)
def test_refuses_what_cannot_be_drawn_and_writes_nothing(
    draw: Callable[[Path], Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        draw(tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_the_settings_that_all_figures_share_are_not_touched_even_while_a_picture_is_drawn(tmp_path: Path) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    with picture(tmp_path / "a.png", "a", width=3.0, height=3.0) as figure:
        figure.subplots().plot([0, 1], [0, 1], label="line")
        assert dict(matplotlib.rcParams) == before
        matplotlib.rcParams["lines.linewidth"] = 7.0
    assert matplotlib.rcParams["lines.linewidth"] == 7.0
    matplotlib.rcParams.update(before)
