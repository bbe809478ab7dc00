"""`sdebnn compare`: models side by side, trained on the same data or from finished runs."""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from sdebnn import storage
from sdebnn.cli.flags import add_choices, add_data_dir, choices_given
from sdebnn.cli.train import config_of
from sdebnn.errors import InputError
from sdebnn.runs import RunFolder, TrainConfig
from sdebnn.spelling import refuse_unknown
from sdebnn.training.comparison import FORMATS, compare, written
from sdebnn.training.side_by_side import train_side_by_side

MODELS = "sdebnn,odenet"


def add_to(subcommands: Any) -> None:
    """Adds the subcommand."""
    parser = subcommands.add_parser(
        "compare",
        help="models side by side, trained on the same data or finished runs: mean and standard error over seeds",
        usage="sdebnn compare RUN [RUN ...] | --data NAME --output DIR [--models NAME,NAME] [--seeds N] [--FLAG VALUE]",
    )
    parser.add_argument("folders", type=Path, nargs="*", metavar="RUN", help="run folder that `sdebnn train` wrote")
    table = parser.add_argument_group("the table")
    table.add_argument(
        "--scores", default="", metavar="NAME,NAME", help="scores to show (default: the usual ones of the task)"
    )
    table.add_argument("--format", default="md", metavar="NAME", help=f"[{', '.join(FORMATS)}] (default md)")
    training = parser.add_argument_group("training them here, in place of runs that there are")
    training.add_argument(
        "--models", default=MODELS, metavar="NAME,NAME", help=f"what --model takes, several (default {MODELS})"
    )
    training.add_argument("--seeds", type=int, default=3, metavar="N", help="runs of each, from --seed on (default 3)")
    training.add_argument(
        "--output",
        type=Path,
        default=None,
        metavar="DIR",
        help="folder of their run folders; those that have ended are not trained again, those broken off go on",
    )
    add_choices(parser, flags={"model": None})
    add_data_dir(training)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Trains what is to be trained, and prints the table; of runs trained here it is in their folder too."""
    refuse_unknown(options.format, FORMATS, "a format of tables")
    names = [name for name in options.scores.split(",") if name]
    choices = choices_given(options)
    if options.folders:
        given = next(iter({**choices, **({"output": 1} if options.output else {})}), None)
        if given is not None:
            raise InputError(
                f"Finished runs are compared as they are, so --{given.replace('_', '-')} does not go with them; leave "
                "it out, or name --data and no runs to train anew."
            )
        print(written(compare(options.folders, names), options.format), end="")
        return
    if options.output is None or "data" not in choices:
        raise InputError("compare takes run folders, or --data and --output to train models side by side.")
    if options.seeds < 1:
        raise InputError(f"--seeds got {options.seeds}; it takes 1 or more.")
    runs = _trained(options, choices)
    table = written(compare([run.path for run in runs], names), options.format)
    file = options.output.resolve() / f"comparison.{_SUFFIXES.get(options.format, options.format)}"
    storage.write(file, table.encode())
    print(f"\n{table}\nThe runs are in {options.output}, and this table is {file.name} there.")


_SUFFIXES = {"latex": "tex"}


def _trained(options: argparse.Namespace, choices: dict[str, Any]) -> list[RunFolder]:
    from sdebnn.frameworks import build_learner

    configs: dict[str, TrainConfig] = {}
    for model in options.models.split(","):
        config = config_of({**choices, "model": model})
        for seed in range(config.seed, config.seed + options.seeds):
            configs[f"{model}-{seed}"] = dataclasses.replace(config, seed=seed)
    return train_side_by_side(
        build_learner, configs, options.output, data_dir=options.data_dir,
        tell=lambda name: print(f"Training {name}.", flush=True),
    )  # fmt: skip
