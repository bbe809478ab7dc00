"""Command-line flags read off the record of a run's choices, so that each is described once."""

import argparse
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sdebnn.errors import InputError
from sdebnn.runs.config import PRESETS, TrainConfig


def add_choices(
    parser: argparse.ArgumentParser,
    *,
    names: tuple[str, ...] | None = None,
    flags: Mapping[str, str | None] = MappingProxyType({}),
    defaults: Mapping[str, str] = MappingProxyType({}),
    separator: str = "-",
) -> None:
    """Adds a flag for every choice of `TrainConfig` (or for those in `names`). A flag that is not given leaves the
    default to `for_data`.

    **Arguments:**

    - `flags`: names for flags that differ from those of their choices; `None` adds none.
    - `defaults`: what the help says of defaults that are not those of `TrainConfig`.
    - `separator`: between the words of a flag.
    """
    for field in dataclasses.fields(TrainConfig):
        flag = flags.get(field.name, field.name.replace("_", separator))
        if flag is None or (names is not None and field.name not in names):
            continue
        default = defaults.get(field.name) or _default(field)
        help = f"{field.metadata['help']}{_allowed(field)} (default {default})"
        parser.add_argument(
            "--" + flag,
            dest=field.name,
            default=argparse.SUPPRESS,
            metavar=_METAVARS[field.type],
            help=help.replace("%", "%%"),
        )


def add_data_dir(parser: argparse.ArgumentParser) -> None:
    """Adds `--data-dir`."""
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=None,
        metavar="DIR",
        help="folder of data sets (default: SDEBNN_DATA, else the user's cache folder)",
    )


def add_devices(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that say on what a run of JAX computes; they change none of its numbers but for rounding."""
    group = parser.add_argument_group("several devices and hosts, in JAX (in PyTorch: torchrun)")
    for flag, kind, text in (
        (
            "devices",
            int,
            "devices of this process that take each gradient step together; 0 is all (default 1; of a CPU, for images, "
            "one for each core where JAX is older than 0.11)",
        ),
        (
            "coordinator",
            str,
            "join several processes: host:port of the first, or auto under Slurm, Open MPI, Kubernetes",
        ),
        ("processes", int, "how many processes there are"),
        ("process", int, "which of them this one is; the first, 0, alone writes the run folder"),
    ):
        group.add_argument(
            "--" + flag, type=kind, default=argparse.SUPPRESS, metavar="N" if kind is int else "ADDRESS", help=text
        )


def devices_given(options: argparse.Namespace) -> dict[str, Any]:
    """The flags of `add_devices` that were given. **Raises:** `InputError` when one of them is missing."""
    given = {name: value for name, value in vars(options).items() if name in _DEVICES}
    if "coordinator" not in given and given.keys() & {"processes", "process"}:
        raise InputError("--processes and --process take a --coordinator: the host:port of the first process.")
    if given.get("coordinator", "auto") != "auto" and not {"processes", "process"} <= given.keys():
        raise InputError(
            "--coordinator host:port takes --processes and --process: how many there are, and which is this."
        )
    return given


def choices_given(options: argparse.Namespace) -> dict[str, Any]:
    """The choices that were given as flags, in their own types. **Raises:** `InputError` for text that is not of the
    type.
    """
    given = vars(options)
    return {
        field.name: _parse(field, given[field.name]) for field in dataclasses.fields(TrainConfig) if field.name in given
    }


_DEVICES = ("devices", "coordinator", "processes", "process")
_METAVARS: dict[Any, str] = {int: "N", float: "X", str: "NAME", tuple[int, ...]: "N-N-N"}


def _allowed(field: dataclasses.Field[Any]) -> str:
    choices = field.metadata.get("choices")
    return f" [{', '.join(choices)}]" if choices else ""


def _default(field: dataclasses.Field[Any]) -> str:
    presets = [f"{data}: {_text(choices[field.name])}" for data, choices in PRESETS.items() if field.name in choices]
    return "; ".join([_text(field.default), *presets])


def _text(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _parse(field: dataclasses.Field[Any], text: str) -> Any:
    try:
        if field.type == tuple[int, ...]:
            return tuple(int(part) for part in text.split("-"))
        return field.type(text)  # type: ignore[operator]
    except ValueError:
        kinds = {int: "a whole number", float: "a number", tuple[int, ...]: "whole numbers joined by '-', like 2-2-2"}
        raise InputError(f"--{field.name.replace('_', '-')} got {text!r}; it takes {kinds[field.type]}.") from None  # type: ignore[index]
