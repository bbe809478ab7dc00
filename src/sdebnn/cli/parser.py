"""The parser of command lines: flags are written out in full, and what it refuses it refuses in a sentence."""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from sdebnn.errors import InputError
from sdebnn.spelling import nearest


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are `InputError`s, one line like every other error of a command. It takes what
    `argparse.ArgumentParser` takes by name; flags are not abbreviated.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **kwargs})

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As its parent's, and nothing is left over, in a subcommand's parser neither."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            name = unknown[0].partition("=")[0]
            if name.startswith("-"):
                refused = f"{name!r} is not a flag of {self.prog}{nearest(name, self._option_string_actions)}"
            else:
                refused = f"{self.prog} does not take {name!r}"
            raise InputError(f"{refused}; {self.prog} --help lists what it takes.")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message[:1].upper()}{message[1:]}; {self.prog} --help lists what it takes.")
