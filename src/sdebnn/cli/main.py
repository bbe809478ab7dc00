"""The command line: subcommands, and errors as one line with exit code 2."""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from sdebnn.errors import InputError


class _OneLineParser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, like every other error of this command."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} ({self.prog} --help lists what is allowed)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line. Returns the exit code: 0, 2 for input that cannot be used, 1 for training that broke
    down, 130 after Ctrl-C.
    """
    from sdebnn.cli import demo, evaluate, train

    parser = _OneLineParser(
        prog="sdebnn",
        description="Bayesian neural networks of infinite depth: weights follow a stochastic differential equation.",
    )
    subcommands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in (train, evaluate, demo):
        command.add_to(subcommands)
    try:
        options = parser.parse_args(arguments)
        options.run(options)
    except InputError as error:
        print(f"sdebnn: error: {error}", file=sys.stderr)
        return 2
    except FloatingPointError as error:
        print(f"sdebnn: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("sdebnn: stopped.", file=sys.stderr)
        return 130
    return 0
