"""How good is what is learned from a hundred to a few thousand images, beside what people use instead?

Accuracy, NLL and ECE on the whole test set, of networks that learned from 100, 300, 1000 and 3000 images: the SDE-BNN,
and all others that the library has, on the same architecture and with as many gradient steps. All models of a seed
learn from the same images, as many of each class. What all have in common is in `SHARED`. What each model has of its
own, such as sigma, is the one of `CANDIDATES` with the least NLL on 2,000 other training images, after learning from
300 of MNIST, and is then the same for every set, size and seed. Test images choose nothing.

The rows go to benchmarks/results/low_data.jsonl, from which a table that was broken off goes on, as a run does from its
folder; the page docs/results/low-data.md is written anew at every row.

    OMP_NUM_THREADS=1 python -m benchmarks.evidence.low_data mnist fashion_mnist [--sizes 100 300] [--seeds 0 1 2]
"""

import argparse
import dataclasses
import functools
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.evidence.models import FIVE, MODELS, OF_MEMBER, OURS, SAMPLES, SINGLE, of_cost
from benchmarks.evidence.page import RESULTS_PAGES, bold_best, hours, markdown, mean, write_page
from benchmarks.results_file import RESULTS, ResultsFile

from sdebnn.cli.outcome import outcome
from sdebnn.data import Dataset, load
from sdebnn.errors import InputError
from sdebnn.frameworks import build_learner
from sdebnn.runs import TrainConfig
from sdebnn.spelling import refuse_unknown
from sdebnn.training.comparison import read_ended
from sdebnn.training.side_by_side import train_side_by_side

SETS = ("mnist", "fashion_mnist", "cifar10", "digits")
SIZES, SEEDS, HELD_OUT = (100, 300, 1000, 3000), (0, 1, 2), 2000
SCORES = {"accuracy": ("Accuracy, %", 100, True), "nll": ("NLL, nats", 1, False), "ece": ("ECE × 100", 100, False)}
"""Of each score its title, its factor, and whether high is good."""
# Where each model's own choice is made.
CHOSEN_ON = ("mnist", 300, 0)

SHARED: dict[str, Any] = {
    "framework": "torch", "augmentation": "crop", "squeeze": 2, "width": 32, "steps": 4, "batch_size": 32,
    "learning_rate": 8e-3, "max_steps": 300, "epochs": 10**6,
}  # fmt: skip
"""Of every model, size and set; the step size is that by which the ODE network is best."""

CANDIDATES: dict[str, list[dict[str, Any]]] = {
    "sdebnn": [{"sigma": sigma} for sigma in (0.2, 0.5, 1.0)],
    "odenet": [{"learning_rate": rate} for rate in (2e-3, 4e-3, 8e-3)],
    "dropout_odenet": [{"dropout": share} for share in (0.03, 0.1)],
    "meanfield_odenet": [{"kl_coef": coefficient} for coefficient in (0.01, 0.001)],
    # A step size of its own kind.
    "ivon_odenet": [{"learning_rate": 1.0, "kl_coef": coefficient} for coefficient in (1.0, 0.01, 0.001)],
    "swag_odenet": [{"learning_rate": rate} for rate in (2e-3, 4e-3)],
}
"""Of each model what it may have of its own."""


@functools.cache
def data_set(name: str) -> Dataset:
    return load(name)


def images(name: str, size: int, seed: int, held_out: bool) -> Dataset:
    """So many training images, as many of each class, and the test images, or in their place held-out training images.
    Images of a smaller size are among those of a larger one.
    """
    whole = data_set(name)
    order = np.random.default_rng(seed).permutation(whole.train_size)
    classes = int(whole.num_classes or 0)
    if size % classes:
        raise InputError(f"{size} images of {name} are not as many of each of its {classes} classes; take a multiple.")
    of_class = [order[whole.y_train[order] == label] for label in range(classes)]
    chosen = np.sort(np.concatenate([of_label[: size // classes] for of_label in of_class]))
    others = np.setdiff1d(order[-HELD_OUT:], chosen)
    if len(chosen) < size or len(others) < HELD_OUT:
        raise InputError(
            f"{name} has {whole.train_size} training images, too few for {size} and {HELD_OUT} others; take a smaller "
            "size."
        )
    named = f"{name} {size} seed {seed}" + " held out" * held_out
    x_test, y_test = (whole.x_train[others], whole.y_train[others]) if held_out else (whole.x_test, whole.y_test)
    return dataclasses.replace(
        whole, name=named, x_train=whole.x_train[chosen], y_train=whole.y_train[chosen], x_test=x_test, y_test=y_test
    )


Row = dict[str, Any]


def choices_of(model: str, own: dict[str, Any]) -> dict[str, Any]:
    """All choices of a model that are not the defaults of a run, with those that it has of its own."""
    return SHARED | MODELS[model].choices | own


def tried(rows: Sequence[Row], like: str) -> list[tuple[dict[str, Any], Row]]:
    """Of the candidates of a model those that held-out images have judged, with their rows."""
    held_out = {"held_out": True, **dict(zip(("data", "size", "seed"), CHOSEN_ON, strict=True))}
    alone = next(name for name in of_cost(SINGLE) if MODELS[name].like == like)
    wanted = [(own, held_out | {"model": alone, "choices": choices_of(alone, own)}) for own in CANDIDATES[like]]
    return [(own, row) for own, of in wanted for row in rows if of.items() <= row.items()]


def chosen(rows: Sequence[Row], model: str) -> dict[str, Any]:
    """What a model has of its own, by held-out training images and never by test images."""
    like = MODELS[model].like
    if len(CANDIDATES[like]) == 1:
        return CANDIDATES[like][0]
    return min(tried(rows, like), key=lambda of: of[1]["nll"])[0]


class Table:
    """The rows of the table, and what computes those that are missing.

    **Arguments:**

    - `results`: the file of the rows.
    - `runs`: where run folders are while they are trained.
    """

    def __init__(self, results: Path, runs: Path) -> None:
        self.file = ResultsFile(results, ("data", "size", "seed", "held_out", "model", "choices"))
        self._runs = runs

    def try_candidates(self, model: str) -> None:
        """Adds what `chosen` needs of a model."""
        like = MODELS[model].like
        alone = next(name for name in of_cost(SINGLE) if MODELS[name].like == like)
        for own in CANDIDATES[like] if len(CANDIDATES[like]) > 1 else ():
            self.add(*CHOSEN_ON, alone, own, held_out=True)

    def add(self, name: str, size: int, seed: int, model: str, own: dict[str, Any], *, held_out: bool = False) -> bool:
        """Adds the row of a model with choices of its own, unless it is there; tells whether it was added."""
        choices = choices_of(model, own)
        of = {"data": name, "size": size, "seed": seed, "held_out": held_out, "model": model, "choices": choices}
        if self.file.has(**of):
            return False
        data = images(name, size, seed, held_out)
        config = TrainConfig.for_data(**{"data": data.name, "seed": seed} | choices)
        candidate = "".join(f"-{key}-{value:g}" for key, value in own.items()) if held_out else ""
        folder = f"{name}-{size}-{seed}-{model}{candidate}"
        print(f"{folder}: training", flush=True)
        (run,) = train_side_by_side(build_learner, {folder: config}, self._runs, dataset=data)
        ended = read_ended(run)
        scores = {score: ended.scores[score] for score in SCORES}
        self.file.add(of | scores | {"parameters": ended.parameters, "steps": ended.steps, "seconds": ended.seconds})
        # The row is what is kept of it.
        shutil.rmtree(run.path)
        print(f"{folder}: {scores}, {ended.seconds:.0f} s", flush=True)
        return True


def run(
    names: Sequence[str], sizes: Sequence[int], seeds: Sequence[int], models: Sequence[str],
    results: Path, runs: Path, page: Path,
) -> None:  # fmt: skip
    """Computes what is missing, whole seeds first, and writes the page at every row.

    **Raises:** `InputError` for an unknown set or model, and for a size that a set has not.
    """
    for name in names:
        refuse_unknown(name, SETS, "a set of images")
        for size in sizes:
            images(name, size, 0, False)
    for model in models:
        refuse_unknown(model, MODELS, "a model of this table")
    table = Table(results, runs)
    for model in models:
        table.try_candidates(model)
    for seed in seeds:
        for name in names:
            for size in sizes:
                for model in models:
                    if table.add(name, size, seed, model, chosen(table.file.rows, model)):
                        write_page(page, written(table.file.rows))
    write_page(page, written(table.file.rows))


def written(rows: Sequence[Row]) -> str:
    """The page of those rows that have today's choices."""
    models = [model for model in MODELS if len(CANDIDATES[MODELS[model].like]) == 1 or tried(rows, MODELS[model].like)]
    today = {model: choices_of(model, chosen(rows, model)) for model in models}
    tested = [row for row in rows if not row["held_out"] and row["choices"] == today.get(row["model"])]
    of_sets = {name: _of_same_seeds([row for row in tested if row["data"] == name]) for name in SETS}
    tables = [_of_set(name, of_set) for name, of_set in of_sets.items() if of_set]
    return "\n".join([_head(tested), *tables, _candidates(rows)])


def _of_same_seeds(rows: Sequence[Row]) -> list[Row]:
    """Those of seeds that all models of a size have, which have learned from the same images."""
    seeds: dict[int, dict[str, set[int]]] = {}
    for row in rows:
        seeds.setdefault(row["size"], {}).setdefault(row["model"], set()).add(row["seed"])
    shared = {size: set.intersection(*by_model.values()) for size, by_model in seeds.items()}
    return [row for row in rows if row["seed"] in shared[row["size"]]]


def _head(tested: Sequence[Row]) -> str:
    names = " ".join(dict.fromkeys(row["data"] for row in tested)) or CHOSEN_ON[0]
    shared = ", ".join(f"{key} {value}" for key, value in SHARED.items() if key not in ("epochs", "max_steps"))
    parameters = {MODELS[row["model"]].title: f"{row['parameters']:,}" for row in tested}
    return f"""# Few images

```
OMP_NUM_THREADS=1 python -m benchmarks.evidence.low_data {names}
```

How good is what is learned from a hundred to a few thousand images? Scores on all test images of a set, of networks
that learned from so many training images, as many of each class, the same ones for all models of a seed. All have one
architecture and take {SHARED["max_steps"]:,} gradient steps, whatever the size ({shared}).

A prediction averages {SAMPLES} networks, or {OF_MEMBER} of each of five runs, where a method has so many. Models of one
run and of five, which cost five times as much, stand in tables of their own; the best of each is bold. Means over seeds
and standard errors; of one seed there is none.

The rows are in `benchmarks/results/low_data.jsonl`; the command goes on from them. Training took
{hours(sum(row["seconds"] for row in tested))} on one core that was shared with other work. Parameters:
{", ".join(f"{title} {number}" for title, number in parameters.items())}.
"""


def _of_set(name: str, rows: Sequence[Row]) -> str:
    sizes = sorted({row["size"] for row in rows})
    seeds = {size: len({row["seed"] for row in rows if row["size"] == size}) for size in sizes}
    columns = [f"{size} ({seeds[size]} seed{'s' * (seeds[size] > 1)})" for size in sizes]
    parts = [f"## {name}\n"]
    for cost in (SINGLE, FIVE):
        for score, (title, factor, high) in SCORES.items():
            by_size = [_cells(rows, of_cost(cost), size, score, factor, high) for size in sizes]
            there = [model for model in of_cost(cost) if any(cells[model] for cells in by_size)]
            if there:
                table = {MODELS[model].title: [cells[model] for cells in by_size] for model in there}
                parts.append(f"**{title}, {cost}**\n\n{markdown(columns, table)}")
    return "\n".join([*parts, _places(rows, sizes)])


def _cells(
    rows: Sequence[Row], models: Sequence[str], size: int, score: str, factor: float, high: bool
) -> dict[str, str]:
    values = {model: [row[score] for row in rows if row["model"] == model and row["size"] == size] for model in models}
    return bold_best(values, lambda of: mean(of, factor), high)


def _places(rows: Sequence[Row], sizes: Sequence[int]) -> str:
    """Our place by each score and size, among models of the same cost."""
    said = []
    for ours, cost in zip(OURS, (SINGLE, FIVE), strict=True):
        places = {}
        for score, (title, _, high) in SCORES.items():
            found = [""] * len(sizes)
            for column, size in enumerate(sizes):
                means = {
                    model: float(np.mean(of))
                    for model in of_cost(cost)
                    if (of := [row[score] for row in rows if row["model"] == model and row["size"] == size])
                }
                if ours in means and len(means) > 1:
                    better = [of for of in means.values() if (of > means[ours] if high else of < means[ours])]
                    found[column] = f"{len(better) + 1} of {len(means)}"
            if any(found):
                places[title] = found
        if places:
            said.append(f"**Place of {MODELS[ours].title}**\n\n{markdown([str(size) for size in sizes], places)}")
    return "\n".join(said)


def _candidates(rows: Sequence[Row]) -> str:
    table = {}
    for like, candidates in CANDIDATES.items():
        title = next(model.title for model in MODELS.values() if model.like == like)
        for own, row in tried(rows, like) if len(candidates) > 1 else ():
            flags = " ".join(f"`--{key.replace('_', '-')} {value:g}`" for key, value in own.items())
            table[f"{title}, {flags}"] = [f"{row[score] * factor:.4g}" for score, (_, factor, _) in SCORES.items()]
    name, size, seed = CHOSEN_ON
    return f"""## What each model has of its own

By the NLL of {HELD_OUT:,} other training images, after learning from {size} of {name} (seed {seed}); then the same for
every set, size and seed, and for five as for one:

{markdown([title for title, *_ in SCORES.values()], table)}"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", help=", ".join(SETS))
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--models", nargs="+", default=list(MODELS), help=", ".join(MODELS))
    parser.add_argument("--results", type=Path, default=RESULTS / "low_data.jsonl")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/low_data"), help="where runs are while they are trained"
    )
    parser.add_argument("--page", type=Path, default=RESULTS_PAGES / "low-data.md")
    options = parser.parse_args(arguments)
    return outcome(
        "low_data",
        lambda: run(
            options.data, options.sizes, options.seeds, options.models, options.results, options.runs, options.page
        ),
    )


if __name__ == "__main__":
    raise SystemExit(main())
