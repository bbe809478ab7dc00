"""The command line: subcommands, and errors as one line with exit code 2."""

import argparse
from collections.abc import Sequence
from typing import NoReturn

from sdebnn.cli.outcome import outcome
from sdebnn.errors import InputError


class _OneLineParser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, like every other error of this command."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} ({self.prog} --help lists what is allowed)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line. Returns the exit code; see `outcome`."""

    def act() -> None:
        # Imports take a second or two, which a person may also break off.
        from sdebnn.cli import demo, evaluate, predict, train

        parser = _OneLineParser(
            prog="sdebnn",
            description="Bayesian neural networks of infinite depth: weights follow a stochastic differential "
            "equation.",
        )
        subcommands = parser.add_subparsers(metavar="COMMAND", required=True)
        for command in (train, evaluate, predict, demo):
            command.add_to(subcommands)
        options = parser.parse_args(arguments)
        options.run(options)

    return outcome("sdebnn", act)
