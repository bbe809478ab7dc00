"""How good, how calibrated and how wary is the SDE-BNN on images, beside what people use instead?

Models of one architecture with as many gradient steps, each with several seeds. Each run is a folder, which is gone on
with where it was broken off, and is left as it is where it has ended. The library scores it: on the test images; by how
well the entropy of its predictions tells images of other sets; and on test images that are turned or spoilt, a thousand
of them, at five severities.

The rows go to benchmarks/results/images.jsonl, and the page docs/results/images.md is written anew at every row.

From the root of a checkout, with the package installed from it (`pip install -e '.[torch]'`):

    OMP_NUM_THREADS=1 python -m benchmarks.evidence.images mnist [--models sdebnn odenet] [--seeds 0]
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.evidence import published
from benchmarks.evidence.asked import TRIAL, refuse_what_cannot_be
from benchmarks.evidence.held import held
from benchmarks.evidence.models import FIVE, MODELS, OF_MEMBER, SAMPLES, SINGLE, of_cost
from benchmarks.evidence.page import (
    HOW,
    RESULTS_PAGES,
    Row,
    bold_best,
    command,
    hours,
    left_out,
    markdown,
    mean,
    of_same_seeds,
    write_page,
)
from benchmarks.evidence.settled import digest
from benchmarks.results_file import RESULTS, ResultsFile

from sdebnn.cli.outcome import outcome
from sdebnn.data.shifts import SEVERITIES
from sdebnn.frameworks import build_learner
from sdebnn.runs import RunFolder, TrainConfig
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
    # Two blocks, the second at half the resolution: as quick as one, and better on held-out training images.
    "mnist": {"framework": "torch", "augmentation": "crop", "epochs": 20, "blocks": [1, 1], "steps": 2},
    "fashion_mnist": {
        "framework": "torch", "augmentation": "crop_flip", "epochs": 20, "blocks": [1, 1], "steps": 2,
    },
    # Strided, at half the resolution and of few steps: for CPUs.
    "cifar10": {
        "framework": "torch", "augmentation": "crop_flip", "epochs": 20, "squeeze": 1, "blocks": [1, 1], "steps": 4,
        "fx": "strided",
    },
    TRIAL: {"framework": "torch", "epochs": 20},
}  # fmt: skip
"""Of each set, for all models alike: what differs from the defaults of `sdebnn train --data SET`."""

OOD: dict[str, tuple[str, ...]] = {
    "mnist": ("fashion_mnist", "kmnist", "notmnist"),
    "fashion_mnist": ("mnist", "kmnist"),
    "cifar10": ("smooth_textures",),
    TRIAL: ("shuffled_pixels", "smooth_textures"),
}
SHIFTS = ("rotate", "corruptions")
PARTS = ("test", "ood", *SHIFTS)
"""What a run is scored on, a row each."""

KEYS = ("data", "model", "seed", "part", "digest")
"""What a row is of."""


class Table:
    """The rows of the table, and what computes those that are missing.

    **Arguments:**

    - `results`: the file of the rows.
    - `runs`: the folder of the run folders, which stay.
    """

    def __init__(self, results: Path, runs: Path) -> None:
        self.file = ResultsFile(results, KEYS)
        self._runs = runs

    def add(self, name: str, model: str, seed: int, written: Callable[[], object]) -> None:
        """Adds the rows of a run that are missing; `written` is called after each."""
        choices = choices_of(name, model)
        of = {"data": name, "model": model, "seed": seed}
        digests = {part: digest_of(name, model, part) for part in PARTS}
        missing = [part for part in PARTS if not self.file.has(**of, part=part, digest=digests[part])]
        if not missing:
            return
        of_run: dict[str, Any] = {"data": name, "seed": seed} | choices
        config = TrainConfig.for_data(**of_run)
        folder = f"{name}-{model}-{seed}"
        print(f"{folder}: {', '.join(missing)}", flush=True)
        (run,) = train_side_by_side(build_learner, {folder: config}, self._runs)
        for part in missing:
            keys = of | {"part": part, "digest": digests[part]}
            self.file.add(keys | {"choices": choices} | self._scores(run, name, part))
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


def digest_of(name: str, model: str, part: str) -> str:
    """Of what a row of a part is computed with."""
    shifted = {"test_examples": SHIFTED, "severities": SEVERITIES}
    constants = {"test": {}, "ood": {"against": OOD[name]}}.get(part, shifted)
    return digest(TrainConfig.for_data(name, **choices_of(name, model)), **constants)


def run(name: str, models: Sequence[str], seeds: Sequence[int], results: Path, runs: Path, page: Path) -> None:
    """Computes what is missing, whole seeds first, and writes the page at every row.

    **Raises:** `InputError` for an unknown set or model, for run folders of other choices, and for files of another
    process.
    """
    refuse_what_cannot_be([name], CHOICES, models, seeds, results, page)
    with held(results), held(runs):
        table = Table(results, runs)
        for seed in seeds:
            for model in models:
                table.add(name, model, seed, lambda: write_page(page, written(table.file.rows)))
        write_page(page, written(table.file.rows))


def written(rows: Sequence[Row]) -> str:
    """The page of those rows that have today's choices."""
    there = {(row["data"], row["model"], row["part"]) for row in rows}
    today = {of: digest_of(*of) for of in there if of[0] in CHOICES and of[1] in MODELS}
    ours = [row for row in rows if row["digest"] == today.get((row["data"], row["model"], row["part"]))]
    shown, uneven = of_same_seeds(ours, lambda row: (row["data"], row["part"], MODELS[row["model"]].cost))
    missing = left_out(uneven, ("part", "model", "data"), len(rows) - len(ours))
    of_sets = {name: [row for row in ours if row["data"] == name] for name in CHOICES}
    commands = "\n".join(
        command(
            "images", name, models=list(dict.fromkeys(row["model"] for row in of_set)),
            seeds=sorted({row["seed"] for row in of_set}),
        )
        for name, of_set in of_sets.items()
        if of_set
    )  # fmt: skip
    parts = [
        f"""# Images

```
{commands}
```

{HOW}

Models of one architecture, with as many gradient steps on the same images; what is not named is the default of
`sdebnn train --data SET`. **Every model, ours and the others, has the library's defaults**, such as those of sigma and
of the share of dropout; nothing was chosen anew for this table. They were found while the SDE-BNN was developed, which
may favour it. A prediction averages {SAMPLES} networks, or {OF_MEMBER}
of each of five runs, where a method has so many. Models of one run and of five, which cost five times as much, stand in
tables of their own; the best of each is bold. Means over seeds and standard errors; of one seed there is none. Shifts
are of {SHIFTED:,} test images. In italics, as published, with networks and training of
their own. {missing}

The rows are in `benchmarks/results/images.jsonl`; the commands go on from them and from the folders of the runs.
Training times are those of one core that was shared with other work. The architecture is the same, the parameters are
not: the SDE-BNN has, beside its weights at depth 0, the network that moves them; mean field and IVON have a mean and a
deviation for each weight.
"""
    ]
    for name in CHOICES:
        of_set = {
            part: {
                model: [row for row in shown if (row["data"], row["part"], row["model"]) == (name, part, model)]
                for model in MODELS
            }
            for part in PARTS
        }
        if any(of_set["test"].values()):
            parts.append(_of_set(name, of_set))
    return "\n".join(parts)


ByModel = Mapping[str, Sequence[Row]]


def _of_set(name: str, of_set: Mapping[str, ByModel]) -> str:
    tested = [row for rows in of_set["test"].values() for row in rows]
    choices = ", ".join(f"{key} {value}" for key, value in CHOICES[name].items())
    total = hours(sum(row["seconds"] for row in tested))
    parts = [
        f"## {name}\n\n{choices}; {max(row['steps'] for row in tested):,} gradient steps. Training took {total}.\n"
    ]
    for cost in (SINGLE, FIVE):
        table = _test_table(of_set["test"], cost) | {
            f"*{title}*": [*(f"*{figure}*" if figure else "" for figure in figures), *[""] * 3]
            for title, figures in published.SCORES.get(name, {}).get(cost, {}).items()
        }
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
            table = _with_seeds(columns, strange)
            for title, found in published.AUROC.get(name, {}).items() if cost == SINGLE else ():
                table[f"*{title}*"] = [f"*{found[other]}*" if other in found else "" for other in OOD[name]] + [""]
            heads = [*OOD[name], "seeds"]
            parts.append(f"**AUROC of the entropy against other sets, {cost}**\n\n{markdown(heads, table)}")
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
                heads = [*(f"severity {severity}" for severity in SEVERITIES), "seeds"]
                text = markdown(heads, _with_seeds(columns, shifted))
                parts.append(f"**{shift}: {title}, {cost}**\n\n{text}")
    return parts


def _with_seeds(columns: Sequence[Mapping[str, str]], by_model: ByModel) -> dict[str, list[str]]:
    return {
        MODELS[model].title: [*(column[model] for column in columns), str(len(rows))]
        for model, rows in by_model.items()
    }


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
