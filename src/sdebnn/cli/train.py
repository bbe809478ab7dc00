"""`sdebnn train`: one training run, from data to a run folder."""

import argparse
from pathlib import Path
from typing import Any

from sdebnn.cli.flags import add_choices, choices_given
from sdebnn.cli.table import print_scores


def add_to(subcommands: Any) -> None:
    """Adds the subcommand."""
    parser = subcommands.add_parser("train", help="train a network and write a run folder")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="RUN", help="run folder to make; it must be new or empty"
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=None,
        metavar="DIR",
        help="folder of data sets (default: SDEBNN_DATA, else the user's cache folder)",
    )
    add_choices(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Trains as the options say and prints the test scores."""
    from sdebnn import data
    from sdebnn.brax.model import build_model
    from sdebnn.brax.training import train
    from sdebnn.runs import RunFolder, TrainConfig

    choices = choices_given(options)
    config = TrainConfig.for_data(choices.pop("data", "digits"), **choices)
    dataset = data.load(config.data, options.data_dir)
    model = build_model(config, dataset)
    folder = RunFolder.create(options.output)
    folder.write_config(config.to_json())
    trained = train(config, dataset, folder, model)
    print_scores({config.model: trained.scores | {"training time (s)": trained.seconds}})
    print(f"The run is in {options.output}")
