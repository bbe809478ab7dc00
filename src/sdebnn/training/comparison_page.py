"""Models side by side on one page: what they scored and what that cost, how far they can be taken at their word, how
many errors are left where they decline, and whether they know strange images for strange.
"""

import importlib.util
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from sdebnn import plots, storage
from sdebnn.data import Dataset
from sdebnn.runs.page import page_of, picture
from sdebnn.runs.report_page import CAPTIONS
from sdebnn.training.building import Build
from sdebnn.training.comparison import Kind, Mean, rows_of
from sdebnn.training.predictions import sample_probabilities, target_pit
from sdebnn.training.run import Restored, restore

IN_A_ROW = 3
"""Panels of models that can be read side by side."""


def write_comparison(
    build: Build,
    kinds: Sequence[Kind],
    path: str | Path,
    *,
    ood: Sequence[str] = (),
    resize: bool = False,
    data_dir: str | Path | None = None,
    dataset: Dataset | None = None,
) -> None:
    """Writes the page of the kinds of runs that `compare` returns. Predictions are made anew, by each run.

    **Arguments:**

    - `build`: that of the runs.
    - `path`: of the page, an HTML file.
    - `ood`, `resize`: sets of strange images that every run is asked about, and whether those of another shape are
      brought to that of the runs' images: see `Restored.score_ood`.
    - `data_dir`, `dataset`: as for `restore`.

    **Raises:** `InputError` as `restore` and `Restored.score_ood`; `StorageError`.
    """

    def again(run: Path) -> Restored:
        return restore(build, run, data_dir=data_dir, dataset=dataset)

    first = [again(kind.runs[0]) for kind in kinds]
    strange: dict[str, list[list[str]]] = {name: [] for name in ood}
    for kind, restored in zip(kinds, first, strict=True) if ood else ():
        found = [run.score_ood(ood, data_dir, resize=resize) for run in (restored, *map(again, kind.runs[1:]))]
        for name, rows in strange.items():
            scores = {score: Mean.of([of_run[name][score] for of_run in found]) for score in found[0][name]}
            if not rows:
                rows.append(["", *scores])
            rows.append([kind.name, *map(str, scores.values())])
    config, examples = first[0].config, first[0].dataset
    page = page_of(
        "comparison_page.html",
        title=f"{len(kinds)} kinds of runs on {config.data}",
        examples=len(examples.x_test),
        rows=rows_of(kinds),
        several=max(len(kind.runs) for kind in kinds) > 1,
        strange=strange,
        pictures=_pictures([kind.name for kind in kinds], first)
        if importlib.util.find_spec("matplotlib") is not None
        else [],
        drawn={kind.name: kind.runs[0] for kind in kinds},
    )
    storage.write(Path(path).resolve(), page)


def _pictures(names: Sequence[str], runs: Sequence[Restored]) -> list[Markup]:
    found = []
    with tempfile.TemporaryDirectory() as folder:
        predictions = {name: _predictions(run) for name, run in zip(names, runs, strict=True)}
        classes = runs[0].dataset.num_classes is not None
        draw: Any = plots.draw_reliability_diagram if classes else plots.draw_interval_calibration
        for start in range(0, len(names), IN_A_ROW):
            file = Path(folder) / f"calibration_{start}.png"
            draw({name: predictions[name] for name in names[start : start + IN_A_ROW]}, path=file)
            found.append(picture(file, CAPTIONS["reliability" if classes else "interval_calibration"]))
        if classes:
            file = Path(folder) / "risk_coverage.png"
            plots.draw_risk_coverage(predictions, path=file)
            found.append(picture(file, CAPTIONS["risk_coverage"]))
    return found


def _predictions(run: Restored) -> Any:
    """What pictures are drawn of: of classes the labels and the mean probabilities, of real targets their PIT."""
    dataset, learner = run.dataset, run.learner
    outputs = learner.outputs(dataset.x_test)
    if dataset.num_classes is None:
        return target_pit(learner, outputs, dataset.y_test)
    return dataset.y_test, sample_probabilities(learner, outputs).mean(axis=0)
