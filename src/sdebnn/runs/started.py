"""How a run was started, which its choices do not tell: kept beside them in `config.json`."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from sdebnn.errors import InputError, naming_file
from sdebnn.runs.choices import AUTO
from sdebnn.runs.config import TrainConfig
from sdebnn.runs.folder import RunFolder
from sdebnn.version import __version__

KEY = "started"
STANDARD = "sdebnn"


class Started(NamedTuple):
    """`builder` is what made the network: `STANDARD`, or the name of a function of the user's own, `module:name`;
    `in_memory` tells whether the data were arrays and no file. Both are `None` in the folders of older runs. `sigma` is
    what training has found for `sigma="auto"`, `None` before; `version` that of this package, `None` in older folders.
    """

    builder: str | None = None
    in_memory: bool | None = None
    sigma: float | None = None
    version: str | None = None

    def record(self, config: TrainConfig) -> dict[str, Any]:
        """What `config.json` holds."""
        return config.to_json() | {KEY: self._asdict()}

    def settled(self, config: TrainConfig) -> TrainConfig:
        """The choices by which the network is built: with the sigma that was found, or, before, the first candidate."""
        if self.sigma is None or config.sigma != AUTO:
            return config.candidates()[0]
        return dataclasses.replace(config, sigma=self.sigma)

    @property
    def by_command(self) -> bool:
        """Whether the command line has all that it takes to go on with the run."""
        return self.builder in (None, STANDARD) and not self.in_memory

    def call(self, function: str, *arguments: str, data: bool = True) -> str:
        """A call in Python of what the builder is given to, as code; `data` tells whether it takes the data, where they
        were in memory.
        """
        build = "build_learner" if self.builder in (None, STANDARD) else "build"
        named = ["dataset=dataset"] if self.in_memory and data else []
        return f"{function}({', '.join([build, *arguments, *named])})"

    def how_to_resume(self, run: RunFolder) -> str:
        """What takes the run up again after an interruption: a command, or a call in Python where none can."""
        by_hand = self.call("resume_run", repr(str(run.path)))
        return f"`sdebnn train --resume {run.path}`" if self.by_command else f"`{by_hand}`"


def read_record(record: Mapping[str, Any]) -> tuple[TrainConfig, Started]:
    """The choices of a run and how it was started, as `config.json` holds them.

    **Raises:** `InputError` for what `Started.record` does not write, which says so where another version did.
    """
    kept = record.get(KEY, {})
    choices = {name: value for name, value in record.items() if name != KEY}
    version = kept.get("version") if isinstance(kept, Mapping) else None
    try:
        if not _is_started(kept):
            raise InputError(f"its part {KEY!r} was altered; restore it.")
        return TrainConfig.from_json(choices), Started(**kept)
    except InputError as error:
        if version == __version__ or not isinstance(version, str):
            raise
        raise InputError(
            f"the run is of sdebnn {version}, and this is sdebnn {__version__}: read it with that version. "
            f"What this one does not take of it: {error}"
        ) from None


def _is_started(kept: Any) -> bool:
    return (
        isinstance(kept, Mapping)
        and not kept.keys() - set(Started._fields)
        and isinstance(kept.get("builder"), str | None)
        and isinstance(kept.get("in_memory"), bool | None)
        and _is_sigma(kept.get("sigma"))
        and isinstance(kept.get("version"), str | None)
    )


def _is_sigma(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and value > 0)


def read_start(run: RunFolder, changes: Mapping[str, Any] | None = None) -> tuple[TrainConfig, Started]:
    """The choices of a run, with `changes` in place of them where given, and how it was started.

    **Arguments:**

    - `run`: the folder of a run.
    - `changes`: choices by name.

    **Raises:** `InputError`, naming the file, when the choices are missing or not allowed; and for changes that are not
    choices, or not allowed.
    """
    # Older runs took the numbers of a file as they are.
    record = {"scale": False, **run.read_config()}
    with naming_file(run.config_file):
        config, started = read_record(record)
    return TrainConfig.from_json(config.to_json() | dict(changes or {})), started


def how_to_resume(run: RunFolder) -> str:
    """`Started.how_to_resume` of a folder, which need not be a run's yet."""
    started = read_start(run)[1] if os.path.lexists(run.config_file) else Started()
    return started.how_to_resume(run)
