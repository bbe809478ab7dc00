"""`sdebnn demo`: an SDE-BNN beside a deterministic ODE network of the same size, on handwritten digits."""

import argparse
from pathlib import Path
from typing import Any


def add_to(subcommands: Any) -> None:
    """Adds the subcommand."""
    parser = subcommands.add_parser(
        "demo", help="train an SDE-BNN and an ODE network on digits; print their scores and draw what they know"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("runs/demo"),
        metavar="RUN",
        help="folder for the two runs (default: runs/demo)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Trains both networks, prints the table and draws the pictures into the SDE-BNN's run folder."""
