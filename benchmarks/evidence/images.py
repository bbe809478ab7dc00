"""How good, how calibrated and how wary is the SDE-BNN on images, beside what people use instead?

Models of one architecture with as many gradient steps, each with several seeds. Each run is a folder, which is gone on
with where it was broken off, and is left as it is where it has ended. The library scores it: on the test images; by how
well the entropy of its predictions tells images of other sets; and on test images that are turned or spoilt, a thousand
of them, at five severities.

The rows go to benchmarks/results/images.jsonl, and the page docs/results/images.md is written anew at every row.

    OMP_NUM_THREADS=1 python -m benchmarks.evidence.images mnist [--models sdebnn odenet] [--seeds 0]
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.evidence.models import FIVE, MODELS, OF_MEMBER, SAMPLES, SINGLE, of_cost
from benchmarks.evidence.page import RESULTS_PAGES, bold_best, hours, markdown, mean, write_page
from benchmarks.results_file import RESULTS, ResultsFile

from sdebnn.cli.outcome import outcome
from sdebnn.data.shifts import SEVERITIES
from sdebnn.frameworks import build_learner
from sdebnn.runs import RunFolder, TrainConfig
from sdebnn.spelling import refuse_unknown
from sdebnn.training import restore
from sdebnn.training.comparison import read_ended
from sdebnn.training.side_by_side import train_side_by_side

SEEDS, SHIFTED = (0, 1, 2), 1000
SCORES = {
    "accuracy": ("accuracy, %", 100, True), "nll": ("NLL × 100", 100, False), "ece": ("ECE × 100", 100, False),
    "brier": ("Brier × 100", 100, False),
}  # fmt: skip
"""Of each score its title, its factor, and whether high is good."""

CHOICES: dict[str, dict[str, Any]] = {
    "mnist": {"framework": "torch", "augmentation": "crop", "epochs": 20},
    "fashion_mnist": {"framework": "torch", "augmentation": "crop_flip", "epochs": 20},
    # Strided, at half the resolution and of few steps: for CPUs.
    "cifar10": {
        "framework": "torch", "augmentation": "crop_flip", "epochs": 20, "squeeze": 1, "blocks": [1, 1], "steps": 4,
        "fx": "strided",
    },
    "digits": {"framework": "torch", "epochs": 20},
}  # fmt: skip
"""Of each set, for all models alike: what differs from the defaults of `sdebnn train --data SET`."""

OOD: dict[str, tuple[str, ...]] = {
    "mnist": ("fashion_mnist", "kmnist", "notmnist"),
    "fashion_mnist": ("mnist", "kmnist"),
    "cifar10": ("smooth_textures",),
    "digits": ("shuffled_pixels", "smooth_textures"),
}
SHIFTS = ("rotate", "corruptions")
PARTS = ("test", "ood", *SHIFTS)
"""What a run is scored on, a row each."""

PUBLISHED: dict[str, dict[str, tuple[float | None, float | None, float | None]]] = {
    "mnist": {
        "SDE-BNN (Xu et al., 2021)": (99.30, None, 0.63),
        "partially stochastic SDE-BNN (Calvo-Ordoñez et al., 2024)": (99.27, None, 0.57),
        "ODE network (Xu et al., 2021)": (98.90, None, 1.11),
        "mean field of it (Xu et al., 2021)": (98.81, None, 2.63),
        "ResNet32 (Xu et al., 2021)": (99.46, None, 2.88),
        "HMC (quoted by Calvo-Ordoñez et al., 2024)": (98.31, None, 1.79),
        "LeNet5, ensemble of 10": (99.4, 1.6, 0.5),
        "LeNet, the best of VIKING's table (2025)": (99.1, 4.3, None),
    },
    "fashion_mnist": {
        "LeNet5, ensemble of 10": (93.2, 20.0, 1.0),
        "LeNet5, mean field": (89.5, 29.2, 1.1),
        "LeNet, the best of VIKING's table (2025)": (90.0, 32.7, None),
        "convolutional network with a last layer by VBLL": (93.1, 19.9, 1.04),
    },
    "cifar10": {
        "SDE-BNN (Xu et al., 2021)": (88.98, None, 7.60),
        "partially stochastic SDE-BNN (Calvo-Ordoñez et al., 2024)": (87.78, None, 4.29),
        "ODE network (Xu et al., 2021)": (88.30, None, 8.71),
        "mean field of it (Xu et al., 2021)": (81.59, None, 3.62),
        "ResNet32 (Xu et al., 2021)": (87.35, None, 8.47),
        "deep ensemble (quoted by Calvo-Ordoñez et al., 2024)": (89.22, None, 2.79),
    },
}
"""Accuracy in per cent, NLL × 100 and ECE × 100, of networks of other sizes."""
OOD_PUBLISHED = {
    "mnist": {"LeNet, the best of VIKING's table (2025)": {"fashion_mnist": 0.972, "kmnist": 0.965}},
    "fashion_mnist": {"LeNet, the best of VIKING's table (2025)": {"mnist": 0.914, "kmnist": 0.926}},
}
"""AUROC."""


class Table:
    """The rows of the table, and what computes those that are missing.

    **Arguments:**

    - `results`: the file of the rows.
    - `runs`: the folder of the run folders, which stay.
    """

    def __init__(self, results: Path, runs: Path) -> None:
        self.file = ResultsFile(results, ("data", "model", "seed", "part", "choices"))
        self._runs = runs

    def add(self, name: str, model: str, seed: int, written: Callable[[], object]) -> None:
        """Adds the rows of a run that are missing; `written` is called after each."""
        choices = choices_of(name, model)
        of = {"data": name, "model": model, "seed": seed, "choices": choices}
        missing = [part for part in PARTS if not self.file.has(**of, part=part)]
        if not missing:
            return
        config = TrainConfig.for_data(**{"data": name, "seed": seed} | choices)
        folder = f"{name}-{model}-{seed}"
        print(f"{folder}: {', '.join(missing)}", flush=True)
        (run,) = train_side_by_side(build_learner, {folder: config}, self._runs)
        for part in missing:
            self.file.add(of | {"part": part} | self._scores(run, name, part))
            print(self.file.rows[-1], flush=True)
            written()

    def _scores(self, run: RunFolder, name: str, part: str) -> dict[str, Any]:
        if part == "test":
            ended = read_ended(run)
            scores = {score: ended.scores[score] for score in SCORES}
            return scores | {"parameters": ended.parameters, "steps": ended.steps, "seconds": ended.seconds}
        if part == "ood":
            found = restore(build_learner, run.path).score_ood(OOD[name])
            return {"auroc": {strange: scores["auroc"] for strange, scores in found.items()}}
        restored = restore(build_learner, run.path, changes={"test_examples": SHIFTED})
        by_severity = restored.score_shifts([part])
        return {
            score: [by_severity[f"{part} {severity}"][score] for severity in SEVERITIES]
            for score in ("accuracy", "ece")
        }


def choices_of(name: str, model: str) -> dict[str, Any]:
    """The choices of a model that are not the defaults of the set."""
    return CHOICES[name] | MODELS[model].choices


def run(name: str, models: Sequence[str], seeds: Sequence[int], results: Path, runs: Path, page: Path) -> None:
    """Computes what is missing, whole seeds first, and writes the page at every row.

    **Raises:** `InputError` for an unknown set or model, and for run folders of other choices.
    """
    refuse_unknown(name, CHOICES, "a set of images")
    for model in models:
        refuse_unknown(model, MODELS, "a model of this table")
    table = Table(results, runs)
    for seed in seeds:
        for model in models:
            table.add(name, model, seed, lambda: write_page(page, written(table.file.rows)))
    write_page(page, written(table.file.rows))


def written(rows: Sequence[dict[str, Any]]) -> str:
    """The page of those rows that have today's choices."""
    rows = [row for row in rows if row["choices"] == choices_of(row["data"], row["model"])]
    names = [name for name in CHOICES if any(row["data"] == name for row in rows)]
    commands = "\n".join(f"OMP_NUM_THREADS=1 python -m benchmarks.evidence.images {name}" for name in names)
    parts = [
        f"""# Images

```
{commands}
```

Models of one architecture, with as many gradient steps on the same images; what is not named is the default of
`sdebnn train --data SET`. A prediction averages {SAMPLES} networks, or {OF_MEMBER} of each of five runs, where a method
has so many. Models of one run and of five, which cost five times as much, stand in tables of their own; the best of
each is bold. Means over seeds and standard errors; of one seed there is none. Shifts are of {SHIFTED:,} test images.

The rows are in `benchmarks/results/images.jsonl`; the commands go on from them and from the folders of the runs, and
`--models sdebnn --seeds 0` takes a part. Training times are those of one core that was shared with other work.
"""
    ]
    for name in names:
        of_set = {
            part: {
                model: [row for row in rows if (row["data"], row["part"], row["model"]) == (name, part, model)]
                for model in MODELS
            }
            for part in PARTS
        }
        parts.append(_of_set(name, of_set))
    return "\n".join(parts)


ByModel = Mapping[str, Sequence[dict[str, Any]]]


def _of_set(name: str, of_set: Mapping[str, ByModel]) -> str:
    tested = [row for rows in of_set["test"].values() for row in rows]
    choices = ", ".join(f"{key} {value}" for key, value in CHOICES[name].items())
    total = hours(sum(row["seconds"] for row in tested))
    parts = [
        f"## {name}\n\n{choices}; {max(row['steps'] for row in tested):,} gradient steps. Training took {total}.\n"
    ]
    for cost in (SINGLE, FIVE):
        table = _test_table(of_set["test"], cost)
        if cost == SINGLE:
            table |= _published(name)
        if table:
            columns = [title for title, *_ in SCORES.values()] + ["seeds", "parameters", "training"]
            parts.append(f"**Test images, {cost}**\n\n{markdown(columns, table)}")
    parts += _tables_of_parts(name, of_set)
    return "\n".join(parts)


def _test_table(by_model: ByModel, cost: str) -> dict[str, list[str]]:
    of_cost_alone = {model: by_model[model] for model in of_cost(cost) if by_model[model]}
    columns = [
        bold_best({model: [row[score] for row in rows] for model, rows in of_cost_alone.items()}, _text(factor), high)
        for score, (_, factor, high) in SCORES.items()
    ]
    return {
        MODELS[model].title: [
            *(column[model] for column in columns), str(len(rows)), f"{rows[0]['parameters']:,}",
            hours(sum(row["seconds"] for row in rows) / len(rows)),
        ]
        for model, rows in of_cost_alone.items()
    }  # fmt: skip


def _text(factor: float) -> Callable[[Sequence[float]], str]:
    return lambda values: mean(values, factor)


def _published(name: str) -> dict[str, list[str]]:
    return {
        f"*{title}*": [*("" if number is None else f"*{number:g}*" for number in numbers), *[""] * 4]
        for title, numbers in PUBLISHED.get(name, {}).items()
    }


def _tables_of_parts(name: str, of_set: Mapping[str, ByModel]) -> list[str]:
    parts = []
    for cost in (SINGLE, FIVE):
        strange = {model: rows for model in of_cost(cost) if (rows := of_set["ood"][model])}
        if strange:
            columns = [
                bold_best(
                    {model: [row["auroc"][other] for row in rows] for model, rows in strange.items()}, _text(1), True
                )
                for other in OOD[name]
            ]
            table = {MODELS[model].title: [column[model] for column in columns] for model in strange}
            for title, found in OOD_PUBLISHED.get(name, {}).items() if cost == SINGLE else ():
                table[f"*{title}*"] = [f"*{found[other]:g}*" if other in found else "" for other in OOD[name]]
            parts.append(f"**AUROC of the entropy against other sets, {cost}**\n\n{markdown(OOD[name], table)}")
        for shift in SHIFTS:
            shifted = {model: rows for model in of_cost(cost) if (rows := of_set[shift][model])}
            if not shifted:
                continue
            for score, title, of_row in (
                ("accuracy", "error, %", lambda value: 100 * (1 - value)),
                ("ece", "ECE × 100", lambda value: 100 * value),
            ):
                columns = [
                    bold_best(
                        {model: [of_row(row[score][place]) for row in rows] for model, rows in shifted.items()},
                        _text(1), False,
                    )
                    for place in range(len(SEVERITIES))
                ]  # fmt: skip
                table = {MODELS[model].title: [column[model] for column in columns] for model in shifted}
                heads = [f"severity {severity}" for severity in SEVERITIES]
                parts.append(f"**{shift}: {title}, {cost}**\n\n{markdown(heads, table)}")
    return parts


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help=", ".join(CHOICES))
    parser.add_argument("--models", nargs="+", default=list(MODELS), help=", ".join(MODELS))
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--results", type=Path, default=RESULTS / "images.jsonl")
    parser.add_argument("--runs", type=Path, default=Path("runs/images"), help="where run folders are")
    parser.add_argument("--page", type=Path, default=RESULTS_PAGES / "images.md")
    options = parser.parse_args(arguments)
    return outcome(
        "images",
        lambda: run(options.data, options.models, options.seeds, options.results, options.runs, options.page),
    )


if __name__ == "__main__":
    raise SystemExit(main())
