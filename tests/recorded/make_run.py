"""Makes a run of `RUNS` with the code of another commit: its folder, broken off, and the numbers that the code of that
commit makes of it, before and after it has gone on.

    PYTHONPATH=/where/that/commit/is/src python tests/recorded/make_run.py 2ab1119-jax
"""

import contextlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).with_name("runs")
TABLE = FOLDER / "table.csv"
ROWS = [[1.0, -0.5], [3.0, 0.5], [2.0, 0.0]]

STEPS = {"max_steps": 4, "batch_size": 20, "checkpoint_steps": 2, "warmup_steps": 2, "learning_rate": 0.02}
# A path is so near its mean that predictions are those of other draws too.
TOY = {"width": 3, "steps": 3, "drift_widths": (2,), "sigma": 0.01}
IMAGES = {"model": "odenet", "width": 1, "augment": 0, "steps": 2}
FOLDS = {"width": 2, "steps": 2, "augment": 1, "drift_widths": (2,), "members": 2, "max_steps": 40, "sigma": 0.1}

RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    # Flat choices, no record of the data, checkpoints that do not say what they come of. The average of the parameters,
    # which forgot its start but slowly then, is the last of them.
    "2ab1119-jax": ("cos", STEPS | TOY | {"ema": 0.0}),
    "2ab1119-torch": ("digits", STEPS | IMAGES | {"ema": 0.0}),
    # Version 0.1.0, as it was before layers drew from keys of their own.
    "77aeb85-jax": ("digits", STEPS | IMAGES),
    "77aeb85-torch": ("cos", STEPS | TOY),
    # The code whose numbers are recorded to the bit.
    "2b8eb9c-jax": ("cos", STEPS | TOY),
    "2b8eb9c-torch": ("cos", STEPS | TOY),
    # A table by folds, all of whose steps are taken.
    "143acdf-jax": ("table", FOLDS),
    "143acdf-torch": ("table", FOLDS),
}


def main(name: str) -> None:
    from sdebnn.runs import TrainConfig
    from sdebnn.training import pictures, restore, resume_run, start_run

    framework = name.split("-")[1]
    if framework == "jax":
        from sdebnn.brax import build_learner
    else:
        from sdebnn.torchbnn import build_learner  # type: ignore[assignment]

    def broken_off(config: Any, dataset: Any) -> Any:
        learner = build_learner(config, dataset)
        take = learner.gradient_step

        def gradient_step(x: Any, y: Any, step: int) -> Any:
            if step == STEPS["checkpoint_steps"]:
                raise KeyboardInterrupt
            return take(x, y, step)

        learner.gradient_step = gradient_step  # type: ignore[method-assign]
        return learner

    pictures.draw_run = lambda *_: None
    data, choices = RUNS[name]
    choices = choices | {"framework": framework, "test_samples": 3}
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    if data == "table":
        config = TrainConfig.for_table(data=str(TABLE), target="kind", **choices)
        start_run(build_learner, config, folder)
        for file in folder.rglob("*.json"):
            file.write_text(file.read_text().replace(str(TABLE), f"/{TABLE.name}"))
    else:
        with contextlib.suppress(KeyboardInterrupt):
            start_run(broken_off, TrainConfig.for_data(data, **choices), folder)
    for what in ("tensorboard", "pictures", "report.html", "lock"):
        shutil.rmtree(folder / what, ignore_errors=True)
        (folder / what).unlink(missing_ok=True)
    moved: dict[str, Any] = {"data": str(TABLE)} if data == "table" else {}
    with tempfile.TemporaryDirectory() as made:
        copy = Path(shutil.copytree(folder, f"{made}/run"))
        x = ROWS if data == "table" else restore(build_learner, copy).dataset.x_test[::50][:4]
        before = restore(build_learner, copy, **moved).outputs(x)
        resume_run(build_learner, copy, **moved)
        after = restore(build_learner, copy, **moved).outputs(x)
    arrays = {"inputs": x, "before": before, "after": after}
    numbers = {what: np.asarray(array, np.float64).round(7).tolist() for what, array in arrays.items()}
    (FOLDER / f"{name}.json").write_text(json.dumps({"data": data} | numbers) + "\n")


if __name__ == "__main__":
    os.environ["JAX_PLATFORMS"] = "cpu"
    main(sys.argv[1])
