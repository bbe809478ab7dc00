"""Finished runs side by side, read from their folders: what each scored, as mean and standard error over seeds."""

import csv
import dataclasses
import io
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sdebnn.errors import InputError
from sdebnn.runs import MetricsLog, RunFolder, TrainConfig, checkpoint
from sdebnn.runs.choices import PriorChoices
from sdebnn.runs.config import beyond_range_of, of_model
from sdebnn.runs.started import how_to_resume, read_start
from sdebnn.spelling import refuse_unknown
from sdebnn.training.checkpointing import average_of
from sdebnn.training.drawn_parameters import is_moment
from sdebnn.training.task import Task

SHOWN = {
    "classification": ("accuracy", "nll", "ece", "brier", "augrc"),
    "regression": ("rmse", "log_likelihood", "coverage_95", "interval_score_95"),
}
"""Scores that are shown unless others are asked for, by task."""

# What networks whose weights follow no SDE do not have.
_OF_SDE = (*(field.name for field in dataclasses.fields(PriorChoices)), "kl_estimator")

# What differs between runs of one kind: the same data may be in another place.
_OF_ONE_RUN = ("seed", "data")


class Mean(NamedTuple):
    """Over runs: the mean and its standard error, which one run has none of (NaN)."""

    value: float
    error: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Mean":
        n = len(values)
        mean, error = float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(n)) if n > 1 else math.nan
        # Of equal numbers rounding is left.
        return cls(mean, 0.0 if error < 1e-12 * abs(mean) else error)

    def __str__(self) -> str:
        if math.isnan(self.error):
            return f"{self.value:.4g}"
        # As many decimals as give the error two digits.
        decimals = max(0, 1 - math.floor(math.log10(self.error))) if 0 < self.error < math.inf else 4
        return f"{self.value:.{decimals}f} ± {self.error:.{decimals}f}"


class Kind(NamedTuple):
    """Runs that differ in nothing but the seed.

    - `name`: the model, and the choices in which it differs from the others.
    - `runs`: their folders. `parameters`, `steps`, `seconds`: of one of them, the latter two as a mean.
    - `scores`: on the test data.
    """

    name: str
    runs: tuple[Path, ...]
    parameters: int
    steps: float
    seconds: float
    scores: dict[str, Mean]


class Ended(NamedTuple):
    """What there is to compare of a run that has ended: its scores on the test data, and what they cost. `pace` is of
    examples a second, without what was compiled; NaN where it was not measured.
    """

    path: Path
    config: TrainConfig
    task: Task
    parameters: int
    steps: int
    seconds: float
    pace: float
    scores: dict[str, float]


def compare(folders: Sequence[str | Path], scores: Sequence[str] = ()) -> list[Kind]:
    """The kinds of runs that folders hold, in the order in which they first come.

    **Arguments:**

    - `folders`: of finished runs, at least one.
    - `scores`: names of those on the test data that are wanted; the usual ones of the task unless given.

    **Raises:** `InputError` for a folder that is not a run's or whose run has not ended, for runs on different data,
    for one run twice, and for a score that a run lacks.
    """
    if not folders:
        raise InputError("There are no runs to compare; give one folder or more.")
    ended = [read_ended(RunFolder.open(folder)) for folder in folders]
    for other in ended[1:]:
        _refuse_other_data(ended[0], other)
    shown = tuple(scores) or SHOWN["classification" if ended[0].task.num_classes else "regression"]
    for run in ended:
        for name in shown:
            refuse_unknown(name, run.scores, f"a score of the run {run.path}")
    differing = _differing([run.config for run in ended])
    kinds: dict[tuple[Any, ...], list[Ended]] = {}
    for run in ended:
        kinds.setdefault(tuple(getattr(run.config, name) for name in differing), []).append(run)
    for runs in kinds.values():
        _refuse_one_twice(runs)
    return [
        Kind(
            name,
            tuple(run.path for run in runs),
            runs[0].parameters,
            float(np.mean([run.steps for run in runs])),
            float(np.mean([run.seconds for run in runs])),
            {name: Mean.of([run.scores[name] for run in runs]) for name in shown},
        )
        for name, runs in zip(_names([*kinds.values()], differing), kinds.values(), strict=True)
    ]


def written(kinds: Sequence[Kind], format: str = "md") -> str:
    """The kinds as a table: `"md"` for Markdown, `"latex"` for a tabular of booktabs, or `"csv"` with all digits, whose
    standard errors have columns of their own.

    **Raises:** `InputError` for another format, and for no kinds.
    """
    refuse_unknown(format, FORMATS, "a format of tables")
    if not kinds:
        raise InputError("There are no kinds of runs to write a table of; give what compare returns.")
    return FORMATS[format](kinds)


def read_ended(run: RunFolder) -> Ended:
    """What a run folder says of its run. **Raises:** `InputError` where that has not ended."""
    config, _ = read_start(run)
    if not os.path.lexists(run.report):
        raise InputError(f"The run {run.path} has not ended; {how_to_resume(run)} goes on with it.")
    records = MetricsLog.read(run)
    tested = [record for record in records if record["split"] == "test"]
    paces = [record["examples_per_second"] for record in records if record["split"] == "system"]
    if not tested:
        raise InputError(f"{run.metrics_file} has no scores on test data; {how_to_resume(run)} writes them again.")
    arrays, meta = checkpoint.load(checkpoint.latest(run.checkpoints))
    parameters = sum(array.size for name, array in average_of(arrays).items() if not is_moment(name))
    scores = {name: value for name, value in tested[-1].items() if name not in ("step", "time", "split")}
    seconds = meta.get("seconds")
    took = float(seconds) if isinstance(seconds, int | float) else math.nan
    pace = float(np.median(paces)) if paces else math.nan
    return Ended(run.path, config, Task.read(run), parameters, int(tested[-1]["step"]), took, pace, scores)


def _refuse_other_data(one: Ended, other: Ended) -> None:
    def shapes(task: Task) -> Task:
        return task._replace(digest="", held_out=None, made=None, encoding=None, tested=None, ranges=None, holes=None)

    if one.task.tested and other.task.tested:
        same = one.task.tested == other.task.tested
    elif one.config.validation or other.config.validation:
        # Older folders know the test examples only together with those of validation, which depend on the seed.
        same = one.config.data == other.config.data
    else:
        same = one.task.held_out == other.task.held_out
    if not same or shapes(one.task) != shapes(other.task):
        tasks = {"classes" if run.task.num_classes else "real targets" for run in (one, other)}
        and_tasks = f", {' and '.join(sorted(tasks))}" if len(tasks) > 1 else ""
        raise InputError(
            f"The runs {_with_data(one)} and {_with_data(other)} were scored on different data{and_tasks}, so their "
            "scores say nothing of each other; compare runs on the same."
        )
    if one.config.test_examples != other.config.test_examples:
        raise InputError(
            f"The runs {one.path} and {other.path} were scored on different numbers of test examples "
            f"(test_examples={one.config.test_examples} and {other.config.test_examples}); compare runs that were "
            "scored on the same."
        )


def _with_data(run: Ended) -> str:
    return f"{run.path} ({', '.join(filter(None, (run.config.data, run.config.target)))})"


def _refuse_one_twice(runs: Sequence[Ended]) -> None:
    by_seed: dict[int, Ended] = {}
    for run in runs:
        if (other := by_seed.setdefault(run.config.seed, run)) is not run:
            raise InputError(
                f"The runs {other.path} and {run.path} have the same choices and the same seed, {run.config.seed}, so "
                "they are one run twice, and their standard error would be none; give one of them, or runs of other "
                "seeds."
            )
        if run.task.digest != runs[0].task.digest and not run.config.validation:
            raise InputError(
                f"The runs {runs[0].path} and {run.path} have the same choices and learned from different examples; "
                "compare runs that learned from the same."
            )


def _differing(configs: Sequence[TrainConfig]) -> list[str]:
    """The choices in which runs differ, but for those that tell one from another of its kind."""
    names = [field.name for field in dataclasses.fields(TrainConfig) if field.name not in _OF_ONE_RUN]
    return [name for name in names if len({getattr(config, name) for config in configs}) > 1]


def _names(kinds: Sequence[Sequence[Ended]], differing: Sequence[str]) -> list[str]:
    """Of each kind the model, and the choices in which it differs from the others."""
    configs = [runs[0].config for runs in kinds]

    def names_by(choices: Sequence[str], text: Callable[[Any], str], length: bool, all: bool = True) -> list[str]:
        telling = {name: [config for config in configs if all or _tells(name, config)] for name in choices}
        apart = [name for name, of in telling.items() if len({getattr(config, name) for config in of}) > 1]
        named = []
        for runs, config in zip(kinds, configs, strict=True):
            said = [f"{name}={text(getattr(config, name))}" for name in apart if config in telling[name]]
            steps = [f"{runs[0].steps} steps"] if length else []
            named.append(", ".join([config.model, *said, *steps]))
        return named

    every = [name for name in differing if name != "model"]
    # Both say how long training was: shorter is how many steps it took.
    others = [name for name in every if name not in ("epochs", "max_steps")]
    for all in (False, True):
        short = names_by(others, _text, others != every, all)
        if len(set(short)) == len(short):
            return short
    return names_by(every, str, False)


def _tells(name: str, config: TrainConfig) -> bool:
    """Whether a choice says more of a run than its model does: that has it, and not as its own default."""
    if name in _OF_SDE and not config.model.endswith("sdebnn"):
        return False
    own = of_model(config.model) | {"beyond_range": beyond_range_of(config.model, config.scale, config.likelihood)}
    return own.get(name) != getattr(config, name)


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return "-".join(map(str, value))
    return f"{value:g}" if type(value) is float else str(value)


def rows_of(kinds: Sequence[Kind]) -> list[list[str]]:
    """The table's cells, a head first."""
    head = ["", *kinds[0].scores, "runs", "parameters", "steps", "training (s)"]
    return [head] + [
        [
            kind.name, *map(str, kind.scores.values()), str(len(kind.runs)), str(kind.parameters), f"{kind.steps:.0f}",
            f"{kind.seconds:.0f}",
        ]
        for kind in kinds
    ]  # fmt: skip


def _markdown(kinds: Sequence[Kind]) -> str:
    head, *rows = ([cell.replace("|", "\\|") for cell in row] for row in rows_of(kinds))
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _latex(kinds: Sequence[Kind]) -> str:
    def escaped(cell: str) -> str:
        return cell.replace("_", r"\_").replace("&", r"\&").replace("%", r"\%").replace(" ± ", r" $\pm$ ")

    head, *rows = (" & ".join(map(escaped, row)) + r" \\" for row in rows_of(kinds))
    columns = "l" + "r" * (len(kinds[0].scores) + 4)
    lines = [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        head,
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _csv(kinds: Sequence[Kind]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = list(kinds[0].scores)
    pairs = [column for name in names for column in (name, f"{name}_error")]
    writer.writerow(["name", *pairs, "runs", "parameters", "steps", "seconds"])
    for kind in kinds:
        values = [number for mean in kind.scores.values() for number in mean]
        writer.writerow([kind.name, *values, len(kind.runs), kind.parameters, kind.steps, kind.seconds])
    return text.getvalue()


FORMATS: Mapping[str, Callable[[Sequence[Kind]], str]] = {"md": _markdown, "csv": _csv, "latex": _latex}
"""How `written` writes a table, by name."""
