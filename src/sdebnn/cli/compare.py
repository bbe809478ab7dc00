"""`sdebnn compare`: finished runs side by side."""

import argparse
from pathlib import Path
from typing import Any

from sdebnn import storage
from sdebnn.training.comparison import FORMATS, compare, written


def add_to(subcommands: Any) -> None:
    """Adds the subcommand."""
    parser = subcommands.add_parser(
        "compare", help="finished runs on the same data side by side, mean and standard error over those of other seeds"
    )
    parser.add_argument("folders", type=Path, nargs="+", metavar="RUN", help="run folder that `sdebnn train` wrote")
    parser.add_argument(
        "--scores", default="", metavar="NAME,NAME", help="scores to show (default: the usual ones of the task)"
    )
    parser.add_argument("--format", default="md", metavar="NAME", help=f"[{', '.join(FORMATS)}] (default md)")
    parser.add_argument("--output", type=Path, default=None, metavar="FILE", help="file to write, in place of printing")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Prints the table, or writes it."""
    names = [name for name in options.scores.split(",") if name]
    table = written(compare(options.folders, names), options.format)
    if options.output is None:
        print(table, end="")
    else:
        storage.write(options.output.parent.resolve() / options.output.name, table.encode())
