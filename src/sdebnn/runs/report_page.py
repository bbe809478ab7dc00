"""The report of a run: one page that holds all it shows, made of what is in the run folder and nothing else."""

import base64
import dataclasses
import datetime
import shlex
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from string import Template
from typing import Any

from sdebnn import storage
from sdebnn.runs import checkpoint
from sdebnn.runs.config import TrainConfig
from sdebnn.runs.curves import curves
from sdebnn.runs.folder import RunFolder
from sdebnn.runs.log import MetricsLog
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
    "weight_paths": "A few weights along depth: draws of the posterior, and where the prior alone would have them "
    "(shaded).",
}
LARGEST_PICTURE = 2**24
# The year 9999, with which calendars end.
LATEST = 253_370_764_800


def write_report(run: RunFolder) -> None:
    """Writes `report.html` into the folder of a run that has ended, or anew: what was run, its scores and curves, its
    pictures where matplotlib has drawn them, and the commands that repeat it.

    **Raises:** `InputError` when what is in the folder cannot be read; `StorageError`.
    """
    config, started = read_record(run.read_config())
    records = MetricsLog.read(run)
    page = Template(resources.files("sdebnn.runs").joinpath("report_page.html").read_text("utf-8"))
    parts = {
        "title": escape(f"{config.model} on {config.data}"),
        "summary": _summary(run, config, records),
        "scores": _scores(run, records),
        "curves": _curves(records),
        "pictures": _pictures(run),
        "choices": _choices(config),
        "commands": escape("\n".join(_commands(run, config, started))),
    }
    storage.write(run.report, page.substitute(parts).encode(errors="backslashreplace"))


def reproduction(config: TrainConfig) -> list[str]:
    """The arguments of `sdebnn train` that make the configuration, without the run folder."""
    arguments = ["--data", config.data]
    for name, value in _differing(config).items():
        text = "-".join(map(str, value)) if isinstance(value, tuple) else str(value)
        # A text that begins like a flag, or an empty one, has to be one argument with its flag.
        arguments.append(f"--{name.replace('_', '-')}={text}")
    return arguments


def _differing(config: TrainConfig) -> dict[str, Any]:
    """The choices that are not the data set's defaults."""
    usual = TrainConfig.for_data(config.data)
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    return {name: value for name, value in values.items() if value != getattr(usual, name)}


def _summary(run: RunFolder, config: TrainConfig, records: Sequence[Mapping[str, Any]]) -> str:
    facts = {"Framework": {"jax": "JAX", "torch": "PyTorch"}[config.framework], "Seed": str(config.seed)}
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
    return "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items())


def _scores(run: RunFolder, records: Sequence[Mapping[str, Any]]) -> str:
    """The last scores of every part of the data that predictions were scored on; where a validation split chose the
    best parameters, which make the predictions, those on it.
    """
    best = checkpoint.find(run.checkpoints, "best")
    chosen = checkpoint.load(best[-1])[1].get("step") if best else None
    last = {
        record["split"]: record
        for record in records
        if record["split"] == "test" or (record["split"] == "validation" and chosen in (None, record["step"]))
    }
    if not last:
        return "<p>The run has not been scored yet.</p>"
    names = list(dict.fromkeys(name for record in last.values() for name in record if name not in _COLUMNS))
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    parameters = "" if chosen is None else f"parameters of step {chosen}"
    of = {split: parameters or f"step {record['step']}" for split, record in last.items()}
    rows = "".join(
        f'<tr><th scope="row">{escape(split)}, {escape(of[split])}</th>'
        + "".join(f"<td>{f'{record[name]:.4g}' if name in record else ''}</td>" for name in names)
        + "</tr>"
        for split, record in sorted(last.items())
    )
    return f'<div class="wide"><table><thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _curves(records: Sequence[Mapping[str, Any]]) -> str:
    drawn = []
    for name, title in DRAWN.items():
        of_splits = {
            split: [(record["step"], record[name]) for record in records if record["split"] == split and name in record]
            for split in ("train", "validation", "test")
        }
        drawn.append(curves(title, of_splits))
    return "".join(drawn) or "<p>Nothing was logged.</p>"


def _pictures(run: RunFolder) -> str:
    # The curves are on the page already, drawn from the log. What a link points to may be for other eyes than the page.
    found = [file for file in sorted(run.pictures.glob("*.png")) if not file.is_symlink()]
    files = [file for file in found if file.stem != "training_curves"]
    if not files and found:
        return "<p>There is nothing to draw for this model.</p>"
    if not files:
        return "<p>There are no pictures: <code>pip install 'sdebnn[plots]'</code> brings what draws them.</p>"
    figures = []
    for file in files:
        png = storage.read(file, limit=LARGEST_PICTURE)
        content = base64.b64encode(png).decode()
        # A PNG has its width and height, of four bytes each, in front.
        width, height = int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
        across = ' class="across"' if width > 2 * height else ""
        name = file.stem.replace("_", " ").capitalize()
        caption = escape(CAPTIONS.get(file.stem, name))
        figures.append(
            f'<figure{across}><img src="data:image/png;base64,{content}" alt="{escape(name)}">'
            f"<figcaption>{caption}</figcaption></figure>"
        )
    return "".join(figures)


def _choices(config: TrainConfig) -> str:
    differing = _differing(config)
    rows = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        text = "-".join(map(str, value)) if isinstance(value, tuple) else str(value)
        changed = ' class="changed"' if field.name in differing else ""
        rows.append(
            f'<tr{changed}><th scope="row">{escape(field.name)}</th><td>{escape(text)}</td>'
            f"<td>{escape(field.metadata['help'])}</td></tr>"
        )
    return "".join(rows)


def _commands(run: RunFolder, config: TrainConfig, started: Started) -> list[str]:
    predict = shlex.join(["sdebnn", "predict", str(run.path), "INPUT.npz", "--output", "OUT.csv"])
    if started.by_command:
        return [
            shlex.join(["sdebnn", "train", *reproduction(config), "--output", "AGAIN"]),
            shlex.join(["sdebnn", "evaluate", str(run.path)]),
            predict,
        ]
    # No command has a builder of the user's own, or arrays that were in memory.
    standard, folder = started.builder in (None, STANDARD), repr(str(run.path))
    package = {"jax": "sdebnn.brax", "torch": "sdebnn.torchbnn"}[config.framework]
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
