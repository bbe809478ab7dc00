"""Models side by side on one page: what they scored and what that cost, how far they can be taken at their word, how
many errors are left where they decline, whether they know strange images for strange, and how shifts of images score.
"""

import importlib.util
import itertools
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from sdebnn import plots, storage
from sdebnn.data import Dataset
from sdebnn.data.shifts import SEVERITIES
from sdebnn.errors import InputError
from sdebnn.runs.page import page_of, picture
from sdebnn.runs.report_page import CAPTIONS
from sdebnn.training.building import Build
from sdebnn.training.comparison import Kind, Mean, rows_of
from sdebnn.training.pictures import calibration_of, draw_calibration
from sdebnn.training.run import SHIFT_SCORES, restore

IN_A_ROW = 3
"""Panels of models that can be read side by side."""


def check_page(path: str | Path) -> None:
    """**Raises:** `InputError` for a path that `write_comparison` could not write to."""
    page = Path(path)
    if page.suffix.lower() not in (".html", ".htm") or page.is_dir():
        raise InputError(f"The page is a file of HTML, and {str(path)!r} is none: give a name that ends in .html.")
    folder = next(folder for folder in page.absolute().parents if os.path.lexists(folder))
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InputError(f"The page {page} cannot be written: {folder} is no folder to write in; choose another place.")


def write_comparison(
    build: Build,
    kinds: Sequence[Kind],
    path: str | Path,
    *,
    ood: Sequence[str] = (),
    resize: bool = False,
    shift: Sequence[str] = (),
    data_dir: str | Path | None = None,
    dataset: Dataset | None = None,
    data: str | Path | None = None,
) -> None:
    """Writes the page of the kinds of runs that `compare` returns. Predictions are made anew, by each run.

    **Arguments:**

    - `build`: that of the runs.
    - `path`: of the page, a file that ends in `.html`.
    - `ood`, `resize`: sets of strange images that every run is asked about, and whether those of another shape are
      brought to that of the runs' images: see `Restored.score_ood`.
    - `shift`: shifts of the test images, under which every run is scored: see `Restored.score_shifts`.
    - `data_dir`, `dataset`, `data`: as for `restore`.

    **Raises:** `InputError` as `restore`, `Restored.score_ood` and `Restored.score_shifts`, for another path, for no
    kinds and for two of one name; `StorageError`.
    """
    check_page(path)
    names = [kind.name for kind in kinds]
    if not kinds or len(set(names)) < len(names):
        raise InputError(f"A page is of kinds of runs that have names of their own; these are {names}.")
    strange: dict[str, list[list[str]]] = {name: [] for name in ood}
    shifted: dict[str, list[list[str]]] = {f"{name}, {score}": [] for name in shift for score in SHIFT_SCORES}
    calibrations: dict[str, Any] = {}
    for kind in kinds:
        found, under_shifts = [], []
        for number, folder in enumerate(kind.runs if ood or shift else kind.runs[:1]):
            run = restore(build, folder, data_dir=data_dir, dataset=dataset, data=data)
            examples, config = run.dataset, run.config
            if ood:
                found.append(run.score_ood(ood, data_dir, resize=resize))
            if shift:
                under_shifts.append(run.score_shifts(shift))
            if number == 0:
                outputs = run.learner.outputs(examples.x_test)
                calibrations[kind.name] = calibration_of(examples, run.learner, outputs)
        for name, rows in strange.items():
            _add_row(rows, kind, {score: [of_run[name][score] for of_run in found] for score in found[0][name]})
        for name, score in itertools.product(dict.fromkeys(shift), SHIFT_SCORES):
            of_severities = {s: [of_run[f"{name} {s}"][score] for of_run in under_shifts] for s in SEVERITIES}
            _add_row(shifted[f"{name}, {score}"], kind, of_severities)
    drawn = {name: values for name, values in calibrations.items() if values is not None}
    page = page_of(
        "comparison_page.html",
        title=f"{len(kinds)} kind{'s' * (len(kinds) > 1)} of runs on {Path(config.data).name}",
        examples=len(examples.x_test),
        rows=rows_of(kinds),
        runs=sorted({len(kind.runs) for kind in kinds}),
        strange=strange,
        shifted=shifted,
        pictures=_pictures(examples.task, drawn) if importlib.util.find_spec("matplotlib") else None,
        undrawn=[name for name in names if name not in drawn],
        drawn={kind.name: kind.runs[0] for kind in kinds if kind.name in drawn},
    )
    storage.write(Path(path).resolve(), page)


def _add_row(rows: list[list[str]], kind: Kind, columns: Mapping[Any, Sequence[float]]) -> None:
    """Adds the means over the runs of a kind to a table, after its head if it is the first."""
    if not rows:
        rows.append(["", *map(str, columns)])
    rows.append([kind.name, *(str(Mean.of(values)) for values in columns.values())])


def _pictures(task: str, drawn: Mapping[str, Any]) -> list[Markup]:
    found, names = [], [*drawn]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for start in range(0, len(names), IN_A_ROW):
            some = {name: drawn[name] for name in names[start : start + IN_A_ROW]}
            file = draw_calibration(task, some, folder)
            found.append(picture(file, CAPTIONS[file.stem]))
        if task == "classification":
            file = folder / "risk_coverage.png"
            plots.draw_risk_coverage(drawn, path=file)
            found.append(picture(file, CAPTIONS[file.stem]))
    return found
