"""`sdebnn compare`: models side by side, trained on the same data or from finished runs."""

import argparse
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sdebnn import storage
from sdebnn.cli.flags import (
    add_choices,
    add_data_dir,
    add_ood,
    add_preset,
    add_shift,
    choices_given,
    listed,
    ood_given,
    preset_given,
    shifts_given,
)
from sdebnn.cli.train import config_of
from sdebnn.errors import InputError
from sdebnn.runs import RunFolder, TrainConfig
from sdebnn.runs.config import of_model
from sdebnn.spelling import refuse_unknown
from sdebnn.training.comparison import FORMATS, Kind, compare, written
from sdebnn.training.comparison_page import check_page, write_comparison
from sdebnn.training.equal_time import longer, refuse_no_equal_time
from sdebnn.training.side_by_side import train_side_by_side

MODELS, SEEDS = ("sdebnn", "odenet"), 3
EQUAL = ("steps", "time")
# The name of the files of the table and the page, and the table's suffix where that is not the format's name.
TABLE, SUFFIXES = "comparison", {"latex": "tex"}


def add_to(subcommands: Any) -> None:
    """Adds the subcommand."""
    parser = subcommands.add_parser(
        "compare",
        help="models side by side, trained on the same data or finished runs: mean and standard error over seeds",
        usage="sdebnn compare RUN [RUN ...] [--page FILE] | --data NAME --output DIR [--models NAME,NAME] [--seeds N] "
        "[--equal time] [--FLAG VALUE]",
    )
    parser.add_argument("folders", type=Path, nargs="*", metavar="RUN", help="run folder that `sdebnn train` wrote")
    table = parser.add_argument_group("the table")
    table.add_argument(
        "--scores", default="", metavar="NAME,NAME", help="scores to show (default: the usual ones of the task)"
    )
    table.add_argument("--format", default="md", metavar="NAME", help=f"[{', '.join(FORMATS)}] (default md)")
    table.add_argument(
        "--page",
        type=Path,
        default=None,
        metavar="FILE",
        help=f"of HTML: the table, calibration and errors (default: {TABLE}.html in --output; none of finished runs)",
    )
    add_ood(table)
    add_shift(table)
    add_data_dir(table)
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
    add_preset(training)
    training.add_argument(
        "--equal",
        default=argparse.SUPPRESS,
        metavar="NAME",
        help="steps: all take as many gradient steps; time: the quicker models are also trained with as many as fill "
        "the time of the slowest (default steps)",
    )
    add_choices(parser, flags={"model": None}, defaults={"data": "none: it is asked for"})
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Trains what is to be trained, and prints the table; of runs trained here it is in their folder too."""
    refuse_unknown(options.format, FORMATS, "a format of tables")
    names, choices = _listed("--scores", options.scores), choices_given(options)
    strange = ood_given(options) | {"shift": shifts_given(options)}
    if options.page is not None:
        check_page(options.page)
    if options.folders:
        # Data that have moved are named for the page.
        moved = {"data": choices.pop("data")} if options.page is not None and "data" in choices else {}
        others = [name for name in ("models", "seeds", "output", "equal", "preset") if name in options]
        for given in (*choices, *others):
            raise InputError(
                f"Finished runs are compared as they are, so --{given.replace('_', '-')} does not go with them; leave "
                "it out, or name --data and no runs to train anew."
            )
        if options.page is None and (strange["ood"] or strange["shift"] or options.data_dir is not None):
            raise InputError(
                "Finished runs are compared by the scores that they have; their predictions, which --ood, --shift "
                "and --data-dir are for, are made anew for a page alone: name one by --page FILE."
            )
        kinds = compare(list(_runs_in(options.folders)), names)
        if options.page is not None:
            # First, as it may be refused.
            _write_page(options, kinds, options.page, strange | moved)
        print(written(kinds, options.format), end="")
        return
    preset = preset_given(options)
    if "output" not in options or "data" not in {**preset, **choices}:
        raise InputError("compare takes run folders, or --data and --output to train models side by side.")
    kinds = compare([run.path for run in _trained(options, choices, preset, names, strange)], names)
    table = written(kinds, options.format)
    output = options.output.resolve()
    file = output / f"{TABLE}.{SUFFIXES.get(options.format, options.format)}"
    page = options.page or output / f"{TABLE}.html"
    storage.write(file, table.encode())
    print(f"\n{table}\nThe runs are in {options.output}, and this table is {file.name} there.", flush=True)
    _write_page(options, kinds, page, strange)
    print(f"The page of it is {page}.")


def _write_page(options: argparse.Namespace, kinds: Sequence[Kind], page: Path, given: Mapping[str, Any]) -> None:
    from sdebnn.frameworks import build_learner

    write_comparison(build_learner, kinds, page, data_dir=options.data_dir, **given)


def _listed(flag: str, text: str) -> list[str]:
    names = listed(text)
    for number, name in enumerate(names):
        if name in names[:number]:
            raise InputError(f"{flag} names {name} twice; name it once.")
    return names


def _runs_in(folders: Sequence[Path]) -> Iterator[Path]:
    """Run folders; those within a folder that is none, such as that of runs trained here, in place of it."""
    for folder in folders:
        if folder.is_file() and (folder.stem == TABLE or folder.suffix == ".html"):
            continue
        within = sorted(file.parent for file in folder.glob("*/config.json"))
        yield from within if within and not (folder / "config.json").exists() else [folder]


def _trained(
    options: argparse.Namespace,
    choices: dict[str, Any],
    preset: Mapping[str, Any],
    scores: Sequence[str],
    strange: Mapping[str, Any],
) -> list[RunFolder]:
    from sdebnn.frameworks import build_learner
    from sdebnn.training.run import check_shown

    seeds = getattr(options, "seeds", SEEDS)
    if seeds < 1:
        raise InputError(f"--seeds got {seeds}; it takes 1 or more.")
    models = _listed("--models", options.models) if "models" in options else MODELS
    if not models:
        raise InputError(f"--models names no model; name one or more, such as {','.join(MODELS)}.")
    equal = getattr(options, "equal", "steps")
    refuse_unknown(equal, EQUAL, "what models side by side have equal")
    configs: dict[str, TrainConfig] = {}
    firsts = []
    _refuse_one_step_size(models, choices)
    choices = _learned_alike(models, choices, preset, equal)
    for model in models:
        config = config_of({**choices, "model": model}, preset)
        if equal == "time":
            refuse_no_equal_time(config)
        firsts.append(f"{model}-{config.seed}")
        configs |= _of_seeds(model, config, seeds)

    folder = options.output / firsts[0]
    check_shown(configs[firsts[0]], scores, data_dir=options.data_dir, folder=folder, **strange)

    def train(configs: dict[str, TrainConfig]) -> dict[str, RunFolder]:
        runs = train_side_by_side(
            build_learner, configs, options.output, data_dir=options.data_dir,
            tell=lambda name: print(f"Training {name}.", flush=True),
        )  # fmt: skip
        return dict(zip(configs, runs, strict=True))

    runs = train(configs)
    if equal == "time":
        # Of one seed alone, so that more seeds change nothing of what is there.
        for config in longer([runs[name] for name in firsts]):
            runs |= train(_of_seeds(f"{config.model}-{config.max_steps}", config, seeds))
    return list(runs.values())


def _refuse_one_step_size(models: Sequence[str], choices: Mapping[str, Any]) -> None:
    by_newton = [model for model in models if "learning_rate" in of_model(model)]
    if "learning_rate" in choices and 0 < len(by_newton) < len(models):
        raise InputError(
            f"--learning-rate is a share of a Newton step for {', '.join(by_newton)} and a step size of Adam for the "
            "others; leave it out, or train them by themselves with sdebnn train and compare their runs."
        )


def _learned_alike(
    models: Sequence[str], choices: dict[str, Any], preset: Mapping[str, Any], equal: str
) -> dict[str, Any]:
    """The choices, by which all models are trained by folds or none is: these bring a length, a law of the noise and a
    temperature of their own, which would be compared in place of the models.
    """
    ways = {model: config_of({**choices, "model": model}, preset).tuning for model in models}
    if len(set(ways.values())) == 1 and (equal == "steps" or "tuning" in {**preset, **choices}):
        return choices
    if "folds" in ways.values():
        others = ", ".join(model for model, way in ways.items() if way != "folds")
        reason = (
            f"there are no folds for {others}" if others else "of folds each model learns as long as it gets better"
        )
        print(f"All models take as many gradient steps, without folds (--tuning none): {reason}.", flush=True)
    return {**choices, "tuning": "none"}


def _of_seeds(name: str, config: TrainConfig, seeds: int) -> dict[str, TrainConfig]:
    numbers = range(config.seed, config.seed + seeds)
    return {f"{name}-{seed}": dataclasses.replace(config, seed=seed) for seed in numbers}
