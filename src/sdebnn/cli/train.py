"""`sdebnn train`: one training run, from data to a run folder."""

import argparse
import dataclasses
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sdebnn.cli.flags import (
    add_choices,
    add_data_dir,
    add_devices,
    add_preset,
    choices_given,
    devices_given,
    preset_given,
)
from sdebnn.cli.table import print_scores
from sdebnn.errors import InputError, naming_file
from sdebnn.runs import TrainConfig, strict_json
from sdebnn.runs.config import of_model
from sdebnn.runs.started import KEY, STANDARD, read_record
from sdebnn.training import Run


def add_to(subcommands: Any) -> None:
    """Adds the subcommand."""
    parser = subcommands.add_parser(
        "train",
        help="train a network and write a run folder, or go on with one",
        usage="sdebnn train (--output RUN | --resume RUN) [--data NAME] [--FLAG VALUE ...]",
    )
    folder = parser.add_argument_group("the run folder").add_mutually_exclusive_group(required=True)
    folder.add_argument("--output", type=Path, metavar="RUN", help="run folder to make; it must be new or empty")
    folder.add_argument(
        "--resume",
        type=Path,
        metavar="RUN",
        help="run folder to go on with from its newest checkpoint; its choices are those that it was started with",
    )
    add_choices(parser)
    elsewhere = parser.add_argument_group("where choices and data are")
    elsewhere.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="choices as JSON, such as the config.json of a run, all or some of them; flags override it",
    )
    add_preset(elsewhere)
    add_data_dir(elsewhere)
    add_devices(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Trains as the options say, draws what was learned and prints the test scores."""
    print_run(_resume(options) if options.resume else _start(options))


def print_run(run: Run) -> None:
    """Prints the scores of a run that has just ended, and where it is; of several processes, the first does."""
    if run.learner.rank > 0:
        return
    scores = run.fitted.scores | {"training (s)": run.fitted.seconds}
    print_scores({run.config.model: scores}, run.dataset.label_names)
    print(f"The run is in {run.folder.path}; {run.folder.report.name} there shows it.")


def scored_for_a_trial(config: TrainConfig, given: Mapping[str, Any]) -> TrainConfig:
    """The configuration; of one whose number of gradient steps is given but not how many test examples to score, that
    scores about as many as those steps see, and 100 at least: a trial should not be all scoring.
    """
    if not config.max_steps or "test_examples" in given:
        return config
    return dataclasses.replace(config, test_examples=max(100, config.max_steps * config.batch_size))


def config_of(choices: Mapping[str, Any], brought: Mapping[str, Any] = MappingProxyType({})) -> TrainConfig:
    """These choices, and for the others what a preset or a file brings, and what suits the data. What a model has of
    its own does not come with another one: a share of a Newton step is no step size of Adam, and what suits one on
    these data need not suit the other.
    """
    from sdebnn.data import is_table

    merged = {**brought, **choices}
    table = is_table(merged["data"], merged.get("layout", "auto"))
    of_data = TrainConfig.for_table if table else TrainConfig.for_data
    before, model = (of.get("model", TrainConfig.model) for of in (brought, merged))
    if model != before:
        of_before = of_data(data=merged["data"], model=before)
        own = {*of_model(before), *of_model(model)}
        own |= {name for name, value in brought.items() if name != "data" and value == getattr(of_before, name)}
        merged = {name: value for name, value in brought.items() if name not in own} | dict(choices)
    return of_data(**merged)


def _start(options: argparse.Namespace) -> Run:
    from sdebnn.frameworks import build_learner
    from sdebnn.training import start_run

    if options.config is not None and "preset" in options:
        raise InputError("--config and --preset both say every choice; name one of them, and flags for what differs.")
    kept = {} if options.config is None else _choices_in(options.config)
    brought, choices = {"data": "digits"} | preset_given(options) | kept, choices_given(options)
    devices = devices_given(options)
    if "coordinator" in devices or os.environ.get("WORLD_SIZE", "1") != "1":
        # Folds are for one process.
        brought = {"tuning": "none"} | brought
    config = config_of(choices, brought)
    return start_run(partial(build_learner, **devices), config, options.output, data_dir=options.data_dir)


def _choices_in(file: Path) -> dict[str, Any]:
    """The choices that a file of JSON has, such as a run's `config.json`."""
    record = strict_json.read(file)
    with naming_file(file):
        config, started = read_record(record)
        if started.builder not in (None, STANDARD):
            raise InputError(
                f"the network of its run was built by {started.builder}, which no command has; start such a run in "
                "Python, with start_run."
            )
    return {name: getattr(config, name) for name in record if name != KEY}


def _resume(options: argparse.Namespace) -> Run:
    from sdebnn.frameworks import build_learner
    from sdebnn.training import resume_run

    given = choices_given(options)
    # Where the data are is no choice of the run: they may have moved.
    data = given.pop("data", None)
    given |= {name: value for name in ("config", "preset") if (value := getattr(options, name, None)) is not None}
    if given:
        flag = "--" + next(iter(given)).replace("_", "-")
        raise InputError(
            f"--resume goes on with the choices in {options.resume}/config.json, so it takes no {flag}, and "
            "--data only where those have moved; leave that out, or start another run with --output."
        )
    build = partial(build_learner, **devices_given(options))
    return resume_run(build, options.resume, data_dir=options.data_dir, data=data)
