"""`sdebnn evaluate`: scores of a finished run, from its checkpoint."""

import argparse
from pathlib import Path
from typing import Any

from sdebnn.cli.flags import add_choices, add_data_dir, add_ood, add_shift, choices_given, ood_given, shifts_given
from sdebnn.cli.table import print_scores

CHANGEABLE = (
    "test_samples", "test_steps", "test_method", "test_examples", "framework", "rtol", "atol", "data"
)  # fmt: skip


def add_to(subcommands: Any) -> None:
    """Adds the subcommand."""
    parser = subcommands.add_parser(
        "evaluate",
        help="score a finished run on its test data; without further flags, the numbers that training printed",
    )
    parser.add_argument("folder", type=Path, metavar="RUN", help="run folder that `sdebnn train` wrote")
    add_ood(parser)
    add_shift(parser)
    add_data_dir(parser)
    add_choices(parser, names=CHANGEABLE, defaults=dict.fromkeys(CHANGEABLE, "that of the run"))
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Prints the scores of the run's checkpoint, and of telling strange images from those of its test set."""
    from sdebnn.frameworks import build_learner
    from sdebnn.training import restore

    asked, shifts = ood_given(options), shifts_given(options)
    restored = restore(build_learner, options.folder, data_dir=options.data_dir, changes=choices_given(options))
    strange = restored.score_ood(asked["ood"], options.data_dir, resize=asked["resize"]) if asked["ood"] else {}
    shifted = restored.score_shifts(shifts) if shifts else {}
    print_scores({restored.config.model: restored.score()}, restored.dataset.label_names)
    for table in filter(None, (strange, shifted)):
        print_scores(table)
