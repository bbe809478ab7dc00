"""`sdebnn compare`: models side by side, trained on the same data or from finished runs."""

import argparse
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sdebnn import storage
from sdebnn.cli.flags import add_choices, add_data_dir, choices_given
from sdebnn.cli.train import config_of
from sdebnn.errors import InputError
from sdebnn.metrics.report import SCORES
from sdebnn.runs import RunFolder, TrainConfig
from sdebnn.spelling import refuse_unknown
from sdebnn.training.comparison import FORMATS, compare, written
from sdebnn.training.side_by_side import train_side_by_side

MODELS, SEEDS = ("sdebnn", "odenet"), 3
# The name of the table's file, and its suffix where that is not the format's name.
TABLE, SUFFIXES = "comparison", {"latex": "tex"}


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
        "--models",
        default=argparse.SUPPRESS,
        metavar="NAME,NAME",
        help=f"what --model takes, several (default {','.join(MODELS)})",
    )
    training.add_argument(
        "--seeds",
        type=int,
        default=argparse.SUPPRESS,
        metavar="N",
        help=f"runs of each, from --seed on (default {SEEDS})",
    )
    training.add_argument(
        "--output",
        type=Path,
        default=argparse.SUPPRESS,
        metavar="DIR",
        help="folder of their run folders; those that have ended are not trained again, those broken off go on",
    )
    add_data_dir(training)
    add_choices(parser, flags={"model": None}, defaults={"data": "none: it is asked for"})
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Trains what is to be trained, and prints the table; of runs trained here it is in their folder too."""
    refuse_unknown(options.format, FORMATS, "a format of tables")
    names, choices = _listed("--scores", options.scores), choices_given(options)
    if options.folders:
        others = [name for name in ("models", "seeds", "output") if name in options]
        others += ["data_dir"] if options.data_dir is not None else []
        for given in (*choices, *others):
            raise InputError(
                f"Finished runs are compared as they are, so --{given.replace('_', '-')} does not go with them; leave "
                "it out, or name --data and no runs to train anew."
            )
        print(written(compare(list(_runs_in(options.folders)), names), options.format), end="")
        return
    if "output" not in options or "data" not in choices:
        raise InputError("compare takes run folders, or --data and --output to train models side by side.")
    for name in names:
        # Of each class there is a recall.
        if not name.startswith("recall_"):
            refuse_unknown(name, SCORES, "a score")
    runs = _trained(options, choices)
    table = written(compare([run.path for run in runs], names), options.format)
    file = options.output.resolve() / f"{TABLE}.{SUFFIXES.get(options.format, options.format)}"
    storage.write(file, table.encode())
    print(f"\n{table}\nThe runs are in {options.output}, and this table is {file.name} there.")


def _listed(flag: str, text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise InputError(f"{flag} names {name} twice; name it once.")
    return names


def _runs_in(folders: Sequence[Path]) -> Iterator[Path]:
    """Run folders; those within a folder that is none, such as that of runs trained here, in place of it."""
    for folder in folders:
        if folder.is_file() and folder.stem == TABLE:
            continue
        within = sorted(file.parent for file in folder.glob("*/config.json"))
        yield from within if within and not (folder / "config.json").exists() else [folder]


def _trained(options: argparse.Namespace, choices: dict[str, Any]) -> list[RunFolder]:
    from sdebnn.frameworks import build_learner

    seeds = getattr(options, "seeds", SEEDS)
    if seeds < 1:
        raise InputError(f"--seeds got {seeds}; it takes 1 or more.")
    models = _listed("--models", options.models) if "models" in options else MODELS
    if not models:
        raise InputError(f"--models names no model; name one or more, such as {','.join(MODELS)}.")
    configs: dict[str, TrainConfig] = {}
    for model in models:
        config = config_of({**choices, "model": model})
        for seed in range(config.seed, config.seed + seeds):
            configs[f"{model}-{seed}"] = dataclasses.replace(config, seed=seed)
    return train_side_by_side(
        build_learner, configs, options.output, data_dir=options.data_dir,
        tell=lambda name: print(f"Training {name}.", flush=True),
    )  # fmt: skip
