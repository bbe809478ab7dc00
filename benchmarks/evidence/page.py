"""A page of results: what its rows say, written anew at every row, and what a person says of it, which stays."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sdebnn import storage
from sdebnn.training.comparison import Mean

RESULTS_PAGES = Path(__file__).parents[2] / "docs" / "results"
BY_HAND = "## What to take from it"
"""From this heading on a page is a person's."""
HOW = """From the root of a checkout, with the package installed from it: `pip install -e '.[torch]'`. Data are looked
for in the folder that the environment variable `SDEBNN_DATA` names, else in your cache folder, and
[are downloaded](../getting-started.md) where they are missing. The flags give what is shown here; without them a
command computes its whole table."""

Row = dict[str, Any]


def write_page(path: Path, text: str) -> None:
    """Writes a page, but for what stands on it from the heading `BY_HAND` on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    storage.write(path, text_of(text, path.read_text() if path.exists() else "").encode())


def text_of(text: str, found: str) -> str:
    """A new text, and what a person has said on the page as it was found."""
    by_hand = f"\n{found[found.index(BY_HAND) :]}" if BY_HAND in found else ""
    return text.rstrip() + "\n" + by_hand


def markdown(columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> str:
    """A table of named rows."""
    lines = [["", *columns], ["---"] + ["---:"] * len(columns), *([name, *cells] for name, cells in rows.items())]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def mean(values: Sequence[float], scale: float) -> str:
    """Mean and standard error over seeds, of which one has none."""
    return str(Mean.of([scale * value for value in values])) if len(values) else ""


def bold_best(
    cells: Mapping[str, Sequence[float]], text: Callable[[Sequence[float]], str], high: bool
) -> dict[str, str]:
    """The text of each cell, of that with the best mean in bold; of one alone nothing is best."""
    means = {name: float(np.mean(values)) for name, values in cells.items() if len(values)}
    best = (max if high else min)(means, key=means.__getitem__) if len(means) > 1 else None
    return {name: f"**{text(values)}**" if name == best else text(values) for name, values in cells.items()}


def hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"


def command(table: str, name: str, **asked: Sequence[Any]) -> str:
    """The line that computes these of a set."""
    flags = "".join(f" --{flag} {' '.join(map(str, values))}" for flag, values in asked.items())
    return f"OMP_NUM_THREADS=1 python -m benchmarks.evidence.{table} {name}{flags}"


def of_same_seeds(rows: Sequence[Row], group: Callable[[Row], Hashable]) -> tuple[list[Row], list[Row]]:
    """Rows of seeds that all models of a group have, which have learned from the same images, and the others."""
    seeds: dict[Hashable, dict[str, set[int]]] = {}
    for row in rows:
        seeds.setdefault(group(row), {}).setdefault(row["model"], set()).add(row["seed"])
    shared = {of: set.intersection(*by_model.values()) for of, by_model in seeds.items()}
    kept = [row for row in rows if row["seed"] in shared[group(row)]]
    return kept, [row for row in rows if row not in kept]


def left_out(uneven: Sequence[Row], columns: Sequence[str], others: int) -> str:
    """What rows a page does not show: those of seeds that not all models have, and so many of other choices."""
    said = []
    if uneven:
        named = ", ".join(" ".join(str(row[name]) for name in columns) + f" seed {row['seed']}" for row in uneven)
        said.append(f"Left out, since not all models beside them have these seeds: {named}.")
    if others:
        said.append(f"Left out, since they were computed with other choices than today's: {others} rows.")
    return "\n".join(said)
