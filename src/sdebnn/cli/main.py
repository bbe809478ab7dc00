"""The command line: subcommands, and errors as one line with exit code 2."""

from collections.abc import Sequence

from sdebnn import __version__
from sdebnn.cli.outcome import outcome
from sdebnn.cli.parser import Parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line. Returns the exit code; see `outcome`."""

    def act() -> None:
        # Imports take a second or two, which a person may also break off.
        from sdebnn.cli import compare, demo, evaluate, predict, train

        parser = Parser(
            prog="sdebnn",
            description="Bayesian neural networks of infinite depth: weights follow a stochastic differential "
            "equation.",
        )
        parser.add_argument("--version", action="version", version=f"sdebnn {__version__}")
        subcommands = parser.add_subparsers(metavar="COMMAND", required=True)
        for command in (train, evaluate, compare, predict, demo):
            command.add_to(subcommands)
        options = parser.parse_args(arguments)
        options.run(options)

    return outcome("sdebnn", act)
