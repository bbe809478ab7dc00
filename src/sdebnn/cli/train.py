"""`sdebnn train`: one training run, from data to a run folder."""

import argparse
from pathlib import Path
from typing import Any

from sdebnn.cli.flags import add_choices, add_data_dir, choices_given
from sdebnn.cli.table import print_scores
from sdebnn.runs import TrainConfig


def add_to(subcommands: Any) -> None:
    """Adds the subcommand."""
    parser = subcommands.add_parser("train", help="train a network and write a run folder")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="RUN", help="run folder to make; it must be new or empty"
    )
    add_data_dir(parser)
    add_choices(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Trains as the options say, draws what was learned and prints the test scores."""
    from sdebnn.brax.run import start_run

    choices = choices_given(options)
    data = choices.pop("data", "digits")
    if data.endswith(".npz"):
        # The run is evaluated from wherever a person happens to be.
        data = str(Path(data).expanduser().absolute())
    config = TrainConfig.for_data(data, **choices)
    run = start_run(config, options.output, data_dir=options.data_dir)
    print_scores({config.model: run.trained.scores | {"training (s)": run.trained.seconds}})
    print(f"The run is in {options.output}")
