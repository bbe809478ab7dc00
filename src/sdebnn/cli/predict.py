"""`sdebnn predict`: what a finished run says of new inputs."""

import argparse
from pathlib import Path
from typing import Any

from sdebnn.cli.flags import add_choices, choices_given
from sdebnn.errors import InputError

CHANGEABLE = ("test_samples", "test_steps", "test_method", "framework", "rtol", "atol", "data")


def add_to(subcommands: Any) -> None:
    """Adds the subcommand."""
    parser = subcommands.add_parser(
        "predict", help="probabilities, or means and standard deviations, for inputs that a run has never seen"
    )
    parser.add_argument("folder", type=Path, metavar="RUN", help="run folder that `sdebnn train` wrote")
    parser.add_argument(
        "inputs",
        type=Path,
        metavar="INPUT",
        help="file of inputs: .npz with an array x, or a table as in training: .csv, .tsv, .parquet",
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="OUT",
        help="file to write: .npz for arrays, .csv or .parquet for a table",
    )
    add_choices(parser, names=CHANGEABLE, defaults=dict.fromkeys(CHANGEABLE, "that of the run"))
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Reads the inputs, predicts and writes."""
    from sdebnn.data import read_inputs
    from sdebnn.frameworks import build_learner
    from sdebnn.training import prediction_file

    prediction_file.check_output(options.output)
    if options.output.exists() and options.inputs.exists() and options.output.samefile(options.inputs):
        raise InputError(f"The output {options.output} is the file of the inputs; give another, which is overwritten.")
    x = read_inputs(options.inputs)
    parts = prediction_file.predict_in_parts(build_learner, options.folder, x, changes=choices_given(options))
    names = prediction_file.write_in_parts(parts, options.output)
    print(f"{len(x)} predictions are in {options.output}: {', '.join(names)}.")
