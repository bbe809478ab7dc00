"""Command-line flags read off the record of a run's choices, so that each is described once."""

import argparse
import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sdebnn.data import OOD_SETS, SHIFTS
from sdebnn.errors import InputError
from sdebnn.runs.choices import AUTO, NumberOrAuto, allowed
from sdebnn.runs.config import PRESETS, SECTIONS, TrainConfig
from sdebnn.runs.papers import PAPERS, of_paper

FIRST = ("data", "model", "epochs", "batch_size", "learning_rate", "width", "sigma", "seed")
"""The choices that matter first; with the flags of the run folder they are ten."""


def add_choices(
    parser: argparse.ArgumentParser,
    *,
    names: tuple[str, ...] | None = None,
    flags: Mapping[str, str | None] = MappingProxyType({}),
    defaults: Mapping[str, str] = MappingProxyType({}),
    separator: str = "-",
) -> None:
    """Adds a flag for every choice of `TrainConfig` (or for those in `names`). A flag that is not given leaves the
    default to `for_data`. The help has those in `FIRST` first, and the others by what they configure.

    **Arguments:**

    - `parser`: to which they are added.
    - `names`: choices, in place of all.
    - `flags`: names for flags that differ from those of their choices; `None` adds none.
    - `defaults`: what the help says of defaults that are not those of `TrainConfig`.
    - `separator`: between the words of a flag.
    """
    fields = {field.name: field for field in dataclasses.fields(TrainConfig)}
    wanted = [name for name in names or fields if flags.get(name, name) is not None]
    sections = {"what matters first": [name for name in FIRST if name in wanted]}
    for section in SECTIONS:
        own = [field.name for field in dataclasses.fields(section)]
        sections[section.__doc__ or ""] = [name for name in own if name in wanted and name not in FIRST]
    for title, of_section in sections.items():
        # argparse does not show a group without flags.
        group = parser.add_argument_group(title.rstrip(".").lower())
        for name in of_section:
            field = fields[name]
            default = defaults.get(name) or _default(field)
            help = f"{field.metadata['help']}{_allowed(field)} (default {default})"
            group.add_argument(
                "--" + (flags.get(name) or name.replace("_", separator)),
                dest=name,
                default=argparse.SUPPRESS,
                metavar=_METAVARS.get(field.type, "NAME"),
                help=help.replace("%", "%%"),
            )


def add_data_dir(parser: argparse._ActionsContainer) -> None:
    """Adds `--data-dir`."""
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=None,
        metavar="DIR",
        help="folder of data sets (default: SDEBNN_DATA, else the user's cache folder)",
    )


def add_preset(parser: argparse._ActionsContainer) -> None:
    """Adds `--preset`."""
    parser.add_argument(
        "--preset",
        default=argparse.SUPPRESS,
        metavar="NAME",
        help=f"the choices of a published experiment; flags override them [{', '.join(PAPERS)}]",
    )


def preset_given(options: argparse.Namespace) -> dict[str, Any]:
    """The choices of `--preset`, if any. **Raises:** `InputError` for a name that is none."""
    return of_paper(options.preset) if "preset" in options else {}


def add_ood(parser: argparse._ActionsContainer) -> None:
    """Adds `--ood` and `--resize`."""
    parser.add_argument(
        "--ood",
        default=None,
        metavar="NAME,NAME",
        help=f"sets of images that the run has not learned: does it know them for strange? [{', '.join(OOD_SETS)}]",
    )
    parser.add_argument(
        "--resize",
        choices=("0", "1"),
        default="0",
        help="whether those of another shape are brought to that of the run's images (default 0)",
    )


def ood_given(options: argparse.Namespace) -> dict[str, Any]:
    """What `--ood` and `--resize` say: `ood`, the names of the sets, and `resize`.

    **Raises:** `InputError` where no set is named.
    """
    names, resize = listed(options.ood), options.resize == "1"
    if not names and (options.ood is not None or resize):
        raise InputError(f"--ood names no set of images; name one or more: {', '.join(OOD_SETS)}.")
    return {"ood": names, "resize": resize}


def add_shift(parser: argparse._ActionsContainer) -> None:
    """Adds `--shift`."""
    parser.add_argument(
        "--shift",
        default=None,
        metavar="NAME,NAME",
        help="shifts of the test images: scores at five severities; corruptions and mnist_c are means of all of them "
        f"[{', '.join(SHIFTS)}, corruptions, mnist_c]",
    )


def shifts_given(options: argparse.Namespace) -> list[str]:
    """The names that `--shift` says, if any. **Raises:** `InputError` where it names none, or no shift."""
    from sdebnn.data.shifts import refuse_unknown_shifts

    names = listed(options.shift)
    if not names and options.shift is not None:
        raise InputError(
            f"--shift names no shift of images; name one or more: {', '.join(SHIFTS)}, corruptions, mnist_c."
        )
    refuse_unknown_shifts(names)
    return names


def listed(text: str | None) -> list[str]:
    """The names in a text that separates them by commas."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


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
_METAVARS: dict[Any, str] = {int: "N", float: "X", NumberOrAuto: "X|auto", bool: "0|1", tuple[int, ...]: "N-N-N"}
_SWITCH = {"0": False, "1": True, "false": False, "true": True}


def _allowed(field: dataclasses.Field[Any]) -> str:
    choices = allowed(field)
    return f" [{', '.join(choices)}]" if choices else ""


def _default(field: dataclasses.Field[Any]) -> str:
    presets = [f"{data}: {_text(choices[field.name])}" for data, choices in PRESETS.items() if field.name in choices]
    return "; ".join([_text(field.default), *presets])


def _text(value: object) -> str:
    return "-".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _parse(field: dataclasses.Field[Any], text: str) -> Any:
    reads, kind = _KINDS.get(field.type, (str, "text"))
    try:
        return reads(text)
    except (ValueError, KeyError):
        raise InputError(f"--{field.name.replace('_', '-')} got {text!r}; it takes {kind}.") from None


_KINDS: dict[Any, tuple[Callable[[str], Any], str]] = {
    int: (int, "a whole number"),
    float: (float, "a number"),
    NumberOrAuto: (lambda text: text if text == AUTO else float(text), "a number, or auto"),
    bool: (lambda text: _SWITCH[text.lower()], "0 or 1"),
    tuple[int, ...]: (
        lambda text: tuple(int(part) for part in text.split("-")),
        "whole numbers joined by '-', like 2-2-2",
    ),
}
