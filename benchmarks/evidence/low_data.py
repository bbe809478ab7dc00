"""How good is what is learned from a hundred to a few thousand images, beside what people use instead?

Accuracy, NLL and ECE on the whole test set, of networks that learned from 100, 300, 1000 and 3000 images: the SDE-BNN,
and all others that the library has, on the same architecture and with as many gradient steps. All models of a seed
learn from the same images, as many of each class. What all have in common is in `SHARED`. What each model has of its
own, such as sigma, is the one of its `CANDIDATES`, as many for each, with the least NLL on 2,000 training images, after
learning from 300 others of MNIST, and is then the same for every set, size and seed. None of these images is in what is
shown: the tables learn from other training images, and test images choose nothing.

The rows go to benchmarks/results/low_data.jsonl, from which a table that was broken off goes on, as a run does from its
folder; the page docs/results/low-data.md is written anew at every row.

From the root of a checkout, with the package installed from it (`pip install -e '.[torch]'`):

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
from benchmarks.evidence.asked import TRIAL, refuse_what_cannot_be
from benchmarks.evidence.held import held
from benchmarks.evidence.models import FIVE, MODELS, OF_MEMBER, OURS, SAMPLES, SINGLE, of_cost
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
from sdebnn.data import Dataset, load
from sdebnn.errors import InputError
from sdebnn.frameworks import build_learner
from sdebnn.runs import TrainConfig
from sdebnn.training.comparison import read_ended
from sdebnn.training.side_by_side import train_side_by_side

SETS = ("mnist", "fashion_mnist", "cifar10", TRIAL)
SIZES, SEEDS, HELD_OUT = (100, 300, 1000, 3000), (0, 1, 2), 2000
SCORES = {"accuracy": ("Accuracy, %", 100, True), "nll": ("NLL, nats", 1, False), "ece": ("ECE × 100", 100, False)}
"""Of each score its title, its factor, and whether high is good."""
# Where each model's own choice is made, of a sixth of the training images, in which the tables have no part.
CHOSEN_ON = ("mnist", 300, 100)
APART = 6
KEYS = ("data", "size", "seed", "held_out", "model", "digest")
"""What a row is of."""

SHARED: dict[str, Any] = {
    "framework": "torch", "augmentation": "crop", "squeeze": 2, "width": 32, "steps": 4, "batch_size": 32,
    "learning_rate": 8e-3, "max_steps": 300, "epochs": 10**6,
}  # fmt: skip
"""Of every model, size and set, unless its own choice says otherwise."""


def _around(name: str, values: Sequence[float], middle: float) -> list[dict[str, Any]]:
    """Values of a choice, and the middle one with half and twice the step size."""
    rates = (SHARED["learning_rate"] / 2, SHARED["learning_rate"] * 2)
    return [{name: value} for value in values] + [{name: middle, "learning_rate": rate} for rate in rates]


_RATES = [{"learning_rate": rate} for rate in (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2, 3.2e-2)]
CANDIDATES: dict[str, list[dict[str, Any]]] = {
    "sdebnn": _around("sigma", (0.2, 0.5, 1.0, 2.0), 0.5),
    "odenet": _RATES,
    "dropout_odenet": _around("dropout", (0.01, 0.03, 0.1, 0.2), 0.03),
    "meanfield_odenet": _around("kl_coef", (0.1, 0.01, 0.001, 1e-4), 0.01),
    # A step size of its own kind.
    "ivon_odenet": [{"learning_rate": rate, "kl_coef": kl} for rate in (0.1, 0.3, 1.0) for kl in (1.0, 10.0)],
    "swag_odenet": _RATES,
}
"""Of each model what it may have of its own, as many for each, the step size among them."""


@functools.cache
def data_set(name: str) -> Dataset:
    return load(name)


def images(name: str, size: int, seed: int, held_out: bool) -> Dataset:
    """So many training images, as many of each class, and the test images, or in their place held-out training images.
    Images of a smaller size are among those of a larger one; with held-out ones they are of those that are kept apart.
    """
    whole = data_set(name)
    shuffled = np.random.default_rng(CHOSEN_ON[2]).permutation(whole.train_size)
    apart, rest = np.split(shuffled, [whole.train_size // APART])
    others = np.sort(apart[:HELD_OUT])
    order = np.random.default_rng(seed).permutation(apart[HELD_OUT:] if held_out else rest)
    classes = int(whole.num_classes or 0)
    if size % classes:
        raise InputError(f"{size} images of {name} are not as many of each of its {classes} classes; take a multiple.")
    of_class = [order[whole.y_train[order] == label] for label in range(classes)]
    chosen = np.sort(np.concatenate([of_label[: size // classes] for of_label in of_class]))
    if len(chosen) < size:
        raise InputError(
            f"{name} has {len(order)} training images for this, too few for {size} with as many of each class; take a "
            "smaller size."
        )
    named = f"{name} {size} seed {seed}" + " held out" * held_out
    x_test, y_test = (whole.x_train[others], whole.y_train[others]) if held_out else (whole.x_test, whole.y_test)
    return dataclasses.replace(
        whole, name=named, x_train=whole.x_train[chosen], y_train=whole.y_train[chosen], x_test=x_test, y_test=y_test
    )


def choices_of(model: str, own: dict[str, Any]) -> dict[str, Any]:
    """All choices of a model that are not the defaults of a run, with those that it has of its own."""
    return SHARED | MODELS[model].choices | own


def digest_of(model: str, own: dict[str, Any], held_out: bool) -> str:
    """Of what a row of a model with choices of its own is computed with."""
    # The defaults are of no set.
    config = TrainConfig.for_data("few images", **choices_of(model, own))
    judged_by = {"held_out": HELD_OUT} if held_out else {}
    return digest(config, apart=APART, shuffled=CHOSEN_ON[2], **judged_by)


def tried(rows: Sequence[Row], like: str) -> list[tuple[dict[str, Any], Row]]:
    """Of the candidates of a model those that held-out images have judged, with their rows."""
    judged = {"held_out": True, **dict(zip(("data", "size", "seed"), CHOSEN_ON, strict=True))}
    alone = _alone(like)
    wanted = [(own, judged | {"model": alone, "digest": digest_of(alone, own, True)}) for own in CANDIDATES[like]]
    return [(own, row) for own, of in wanted for row in rows if of.items() <= row.items()]


def _alone(like: str) -> str:
    return next(name for name in of_cost(SINGLE) if MODELS[name].like == like)


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
        self.file = ResultsFile(results, KEYS)
        self._runs = runs
        # A process that was killed may have left the run of a row.
        for row in self.file.rows:
            shutil.rmtree(self._folder(row), ignore_errors=True)

    def _folder(self, of: Row) -> Path:
        return self._runs / "-".join(str(of[key]) for key in ("data", "size", "seed", "model", "digest"))

    def try_candidates(self, model: str) -> None:
        """Adds what `chosen` needs of a model."""
        like = MODELS[model].like
        alone = _alone(like)
        for own in CANDIDATES[like] if len(CANDIDATES[like]) > 1 else ():
            self.add(*CHOSEN_ON, alone, own, held_out=True)

    def add(self, name: str, size: int, seed: int, model: str, own: dict[str, Any], *, held_out: bool = False) -> bool:
        """Adds the row of a model with choices of its own, unless it is there; tells whether it was added."""
        choices = choices_of(model, own)
        of = {"data": name, "size": size, "seed": seed, "held_out": held_out, "model": model}
        of["digest"] = digest_of(model, own, held_out)
        if self.file.has(**of):
            return False
        data = images(name, size, seed, held_out)
        of_run: dict[str, Any] = {"data": data.name, "seed": seed} | choices
        config = TrainConfig.for_data(**of_run)
        folder = self._folder(of).name
        print(f"{folder}: training with {own}", flush=True)
        (run,) = train_side_by_side(build_learner, {folder: config}, self._runs, dataset=data)
        ended = read_ended(run)
        scores = {score: ended.scores[score] for score in SCORES}
        self.file.add(
            of
            | {"choices": choices}
            | scores
            | {"parameters": ended.parameters, "steps": ended.steps, "seconds": ended.seconds}
        )
        # The row is what is kept of it.
        shutil.rmtree(run.path)
        print(f"{folder}: {scores}, {ended.seconds:.0f} s", flush=True)
        return True


def run(
    names: Sequence[str], sizes: Sequence[int], seeds: Sequence[int], models: Sequence[str],
    results: Path, runs: Path, page: Path,
) -> None:  # fmt: skip
    """Computes what is missing, whole seeds first, and writes the page at every row.

    **Raises:** `InputError` for an unknown set or model, for a size that a set has not, and for files of another
    process.
    """
    refuse_what_cannot_be(names, SETS, models, seeds, results, page)
    for size in sizes:
        if size < 1:
            raise InputError(f"--sizes {size} is not allowed; take numbers of images, multiples of the classes.")
    for name in names:
        for size in sizes:
            images(name, size, 0, False)
    with held(results), held(runs):
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
    today = {model: digest_of(model, chosen(rows, model), False) for model in models}
    tested = [row for row in rows if not row["held_out"] and row["digest"] == today.get(row["model"])]
    judged = [row for like in CANDIDATES for _, row in tried(rows, like)]
    shown, uneven = of_same_seeds(tested, lambda row: (row["data"], row["size"], MODELS[row["model"]].cost))
    missing = left_out(uneven, ("model", "data", "size"), len(rows) - len(tested) - len(judged))
    of_sets = {name: [row for row in shown if row["data"] == name] for name in SETS}
    tables = [_of_set(name, of_set) for name, of_set in of_sets.items() if of_set]
    return "\n".join([_head(tested, judged, missing), *tables, _candidates(rows)])


def _head(tested: Sequence[Row], judged: Sequence[Row], missing: str) -> str:
    asked = {name: [row for row in tested if row["data"] == name] for name in SETS}
    commands = "\n".join(
        command(
            "low_data", name, sizes=sorted({row["size"] for row in rows}), seeds=sorted({row["seed"] for row in rows}),
            models=list(dict.fromkeys(row["model"] for row in rows)),
        )
        for name, rows in asked.items()
        if rows
    )  # fmt: skip
    shared = ", ".join(f"{key} {value}" for key, value in SHARED.items() if key not in ("epochs", "max_steps"))
    of_model = {model: [row for row in tested if row["model"] == model] for model in MODELS}
    cost = {
        MODELS[model].title: [f"{rows[0]['parameters']:,}", hours(float(np.mean([row["seconds"] for row in rows])))]
        for model, rows in of_model.items()
        if rows
    }
    return f"""# Few images

```
{commands}
```

{HOW}

How good is what is learned from a hundred to a few thousand images? Scores on all test images of a set, of networks
that learned from so many training images, as many of each class, the same ones for all models of a seed. All have one
architecture and take {SHARED["max_steps"]:,} gradient steps, whatever the size ({shared}, unless a model's own choice,
below, says otherwise).

A prediction averages {SAMPLES} networks, or {OF_MEMBER} of each of five runs, where a method has so many. Models of one
run and of five, which cost five times as much, stand in tables of their own; the best of each is bold. Means over seeds
and standard errors; of one seed there is none. {missing}

The rows are in `benchmarks/results/low_data.jsonl`; the command goes on from them. They were trained for
{hours(sum(row["seconds"] for row in tested))}, and the candidates of each model for
{hours(sum(row["seconds"] for row in judged))}, on one core that was shared with other work.

**What a run costs**

{markdown(["parameters", "training"], cost)}
The architecture is the same, the parameters are not: the SDE-BNN has, beside its weights at depth 0, the network that
moves them; mean field and IVON have a mean and a deviation for each weight.
"""


def _of_set(name: str, rows: Sequence[Row]) -> str:
    sizes = sorted({row["size"] for row in rows})
    parts = [f"## {name}\n"]
    for cost in (SINGLE, FIVE):
        of_cost_alone = [row for row in rows if MODELS[row["model"]].cost == cost]
        seeds = {size: len({row["seed"] for row in of_cost_alone if row["size"] == size}) for size in sizes}
        columns = [f"{size} ({count} seed{'s' * (count != 1)})" for size, count in seeds.items()]
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
    table, behind = {}, []
    for like, candidates in CANDIDATES.items():
        title = MODELS[_alone(like)].title
        found = tried(rows, like) if len(candidates) > 1 else []
        best = min((row["nll"] for _, row in found), default=None)
        for own, row in found:
            flags = " ".join(f"`--{key.replace('_', '-')} {value:g}`" for key, value in own.items())
            cells = [f"{row[score] * factor:.4g}" for score, (_, factor, _) in SCORES.items()]
            bold = row["nll"] == best
            table[f"{title}, {flags}"] = [f"**{cell}**" if bold else cell for cell in cells] + [hours(row["seconds"])]
        if 0 < len(found) < len(candidates):
            behind.append(f"{title}: {len(found)} of {len(candidates)}")
    so_far = f"So far not all candidates are judged ({', '.join(behind)}), and rows are of those that are.\n\n" * bool(
        behind
    )
    name, size, _ = CHOSEN_ON
    return f"""## What each model has of its own

Each model has {max(map(len, CANDIDATES.values()))} candidates, the step size among them. The one with the least NLL on
{HELD_OUT:,} training images, after learning from {size} others of {name}, is taken, in bold, for every set, size and
seed, and for five as for one. None of these images is among those that the tables above learn from, or are judged by.

{so_far}{markdown([*(title for title, *_ in SCORES.values()), "training"], table)}"""


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
