"""The report of a run: one page that holds all it shows, made of what is in the run folder and nothing else."""

import dataclasses
import datetime
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from sdebnn import storage
from sdebnn.metrics.report import titles_of
from sdebnn.runs import checkpoint
from sdebnn.runs.config import TrainConfig
from sdebnn.runs.curves import curves
from sdebnn.runs.folder import RunFolder
from sdebnn.runs.frameworks import FRAMEWORKS
from sdebnn.runs.log import MetricsLog
from sdebnn.runs.page import page_of, picture
from sdebnn.runs.started import STANDARD, Started, read_record

DRAWN = {
    "loss": "Loss",
    "nll": "Negative log-likelihood, nats",
    "kl": "Path KL, nats",
    "accuracy": "Accuracy",
    "rmse": "Root mean squared error",
}
CAPTIONS = {
    "reliability": "Calibration: how often predictions of each confidence were right. On the diagonal, confidence can "
    "be taken at its word; below it the network is too sure of itself.",
    "interval_calibration": "Calibration: the share of targets that intervals of every level hold, against the share "
    "that they should. On the diagonal, intervals can be taken at their word; below it the network is too sure of "
    "itself. Beneath, how likely the predictions held values below each target: as often each share, when calibrated.",
    "predictive_intervals": "Test targets and the 95 % intervals that were predicted for them, in the order of the "
    "predictions; in red those beyond.",
    "risk_coverage": "The error rate among the most confident predictions: what is left wrong where the others go to a "
    "human.",
    "weight_paths": "A few weights along depth: draws of the posterior, and where the prior alone would have them "
    "(shaded).",
}
# The year 9999, with which calendars end.
LATEST = 253_370_764_800


def write_report(run: RunFolder, labels: Sequence[object] | None = None) -> None:
    """Writes `report.html` into the folder of a run that has ended, or anew: what was run, its scores and curves, its
    pictures where matplotlib has drawn them, and the commands that repeat it.

    **Arguments:**

    - `run`: its folder.
    - `labels`: the names of the classes, of a table.

    **Raises:** `InputError` when what is in the folder cannot be read; `StorageError`.
    """
    config, started = read_record(run.read_config())
    records = MetricsLog.read(run)
    scores = _scores(run, records)
    content = page_of(
        "report_page.html",
        title=f"{config.model} on {config.data}",
        facts=_facts(run, config, started, records),
        scores=scores,
        score_names=titles_of((name for values in scores.values() for name in values if name not in _COLUMNS), labels),
        curves=_curves(records),
        pictures=_pictures(run),
        any_drawn=bool(_drawn(run)),
        choices=_choices(config),
        commands=_commands(run, config, started),
    )
    storage.write(run.report, content)


def reproduction(config: TrainConfig) -> list[str]:
    """The arguments of `sdebnn train` that make the configuration, without the run folder."""
    arguments = ["--data", config.data]
    for name, value in _differing(config).items():
        text = "-".join(map(str, value)) if isinstance(value, tuple) else str(value)
        # A text that begins like a flag, or an empty one, has to be one argument with its flag.
        arguments.append(f"--{name.replace('_', '-')}={text}")
    return arguments


def _differing(config: TrainConfig) -> dict[str, Any]:
    """The choices that are not the defaults of data set and model; and the model, where it is not the usual one."""
    usual = dataclasses.replace(TrainConfig.for_data(config.data, model=config.model), model=TrainConfig.model)
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    return {name: value for name, value in values.items() if value != getattr(usual, name)}


def _facts(
    run: RunFolder, config: TrainConfig, started: Started, records: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    facts = {"Framework": FRAMEWORKS[config.framework].title, "Seed": str(config.seed)}
    if started.sigma is not None:
        facts["Sigma, found"] = f"{started.sigma:g}"
    if records:
        facts["Gradient steps"] = str(max(record["step"] for record in records))
        ended = records[-1].get("time", -1.0)
        if 0 <= ended < LATEST:
            facts["Ended"] = f"{datetime.datetime.fromtimestamp(ended, datetime.UTC):%Y-%m-%d %H:%M} UTC"
    found = checkpoint.find(run.checkpoints)
    if found:
        seconds = checkpoint.load(found[-1])[1].get("seconds")
        if isinstance(seconds, int | float):
            facts["Training"] = f"{seconds:.0f} s"
        facts["Versions"] = ", ".join(f"{name} {version}" for name, version in checkpoint.versions(found[-1]).items())
    return facts


def _scores(run: RunFolder, records: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The last scores of every part of the data that predictions were scored on, by the part and what they are of;
    where a validation split chose the best parameters, which make the predictions, those on it.
    """
    best = checkpoint.find(run.checkpoints, "best")
    chosen = checkpoint.load(best[-1])[1].get("step") if best else None
    last = {
        record["split"]: record
        for record in records
        if record["split"] == "test" or (record["split"] == "validation" and chosen in (None, record["step"]))
    }
    parameters = "" if chosen is None else f"parameters of step {chosen}"
    return {f"{split}, {parameters or 'step ' + str(last[split]['step'])}": last[split] for split in sorted(last)}


def _curves(records: Sequence[Mapping[str, Any]]) -> list[Markup]:
    drawn = []
    for name, title in DRAWN.items():
        of_splits = {
            split: [(record["step"], record[name]) for record in records if record["split"] == split and name in record]
            for split in ("train", "validation", "test")
        }
        drawn.append(curves(title, of_splits))
    return [figure for figure in drawn if figure]


def _drawn(run: RunFolder) -> list[Path]:
    # What a link points to may be for other eyes than the page.
    return [file for file in sorted(run.pictures.glob("*.png")) if not file.is_symlink()]


def _pictures(run: RunFolder) -> list[Markup]:
    # The curves are on the page already, drawn from the log.
    files = (file for file in _drawn(run) if file.stem != "training_curves")
    return [picture(file, CAPTIONS.get(file.stem, "")) for file in files]


class _Choice(NamedTuple):
    name: str
    value: str
    help: str
    changed: bool


def _choices(config: TrainConfig) -> list[_Choice]:
    differing, rows = _differing(config), []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        text = "-".join(map(str, value)) if isinstance(value, tuple) else str(value)
        rows.append(_Choice(field.name, text, field.metadata["help"], field.name in differing))
    return rows


def _commands(run: RunFolder, config: TrainConfig, started: Started) -> list[str]:
    predict = shlex.join(["sdebnn", "predict", str(run.path), "INPUT", "--output", "OUT.csv"])
    if started.by_command:
        # Tables have other defaults than the rest, and whether a file is one, the file says: all is read off the run.
        of_a_file = "/" in config.data or Path(config.data).suffix
        flags = ["--config", str(run.config_file)] if of_a_file else reproduction(config)
        return [
            shlex.join(["sdebnn", "train", *flags, "--output", "AGAIN"]),
            shlex.join(["sdebnn", "evaluate", str(run.path)]),
            predict,
        ]
    # No command has a builder of the user's own, or arrays that were in memory.
    standard, folder = started.builder in (None, STANDARD), repr(str(run.path))
    package = FRAMEWORKS[config.framework].package
    differing = "".join(f", {name}={value!r}" for name, value in _differing(config).items())
    choices = f"TrainConfig.for_data({config.data!r}{differing})"
    return [
        f"from {package} import build_learner" if standard else f"# In Python; build is {started.builder}.",
        "from sdebnn.runs import TrainConfig",
        f"from sdebnn.training import {'' if standard else 'prediction_file, '}restore, start_run",
        started.call("start_run", choices, "'AGAIN'"),
        f"{started.call('restore', folder)}.score()",
        predict if standard else started.call("prediction_file.predict", folder, "x", data=False),
    ]


_COLUMNS = ("step", "split", "time")
