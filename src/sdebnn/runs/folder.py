"""The folder of one training run."""

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterator, Mapping
from io import FileIO
from pathlib import Path
from typing import Any

import filelock

from sdebnn import storage
from sdebnn.errors import InputError
from sdebnn.runs import strict_json

# Seconds: who finds that the folder is another's has it locked for a moment, which is not for training.
PATIENCE = 0.5


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """Where a run keeps what it writes.

    Made by `RunFolder.create` for a new run and by `RunFolder.open` for one that is there.
    """

    path: Path

    @property
    def config_file(self) -> Path:
        """The choices of the run, as JSON."""
        return self.path / "config.json"

    @property
    def metrics_file(self) -> Path:
        """The log: one JSON object a line; see `MetricsLog`."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints; see `sdebnn.runs.checkpoint`."""
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        """The folder to give to `tensorboard --logdir`."""
        return self.path / "tensorboard"

    @property
    def pictures(self) -> Path:
        """The folder of PNG pictures."""
        return self.path / "pictures"

    @property
    def lock_file(self) -> Path:
        """An empty file that is never replaced: whoever has it locked may begin a run here, or train."""
        return self.path / "lock"

    @property
    def report(self) -> Path:
        """One page of what was run and what came of it; see `sdebnn.runs.report_page`."""
        return self.path / "report.html"

    @classmethod
    def create(cls, path: str | Path) -> "RunFolder":
        """Makes the folder of a new run, with its parents.

        **Raises:** `InputError` when `path` is a file, holds files already or can't be written; nothing is left behind
        then.
        """
        run = cls._at(path)
        path = run.path
        subfolders = (run.checkpoints, run.tensorboard, run.pictures)
        made: list[Path] = []
        cls.check_new(path)
        try:
            made = [folder for folder in (*subfolders, path, *path.parents) if not folder.exists()]
            for folder in subfolders:
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            for folder in made:
                with contextlib.suppress(OSError):
                    folder.rmdir()
            raise _unusable(path, error) from None
        return run

    @classmethod
    def check_new(cls, path: str | Path) -> None:
        """**Raises:** `InputError` when a new run cannot be written to `path`: it is a file, or holds files already."""
        path = Path(path)
        try:
            if path.exists() and not path.is_dir():
                raise InputError(f"The run folder {path} is a file; choose another folder for the output.")
            if cls(path).config_file.exists():
                raise _taken(path)
            found = next((entry for entry in path.rglob("*") if _in_the_way(entry, cls(path).lock_file)), None)
            if found is not None:
                raise InputError(
                    f"The folder {path} is not empty (it holds {found.relative_to(path)}); "
                    "choose a new or empty one for the output."
                )
        except OSError as error:
            raise _unusable(path, error) from None

    @classmethod
    def open(cls, path: str | Path) -> "RunFolder":
        """The folder of a run that was started before. **Raises:** `InputError` when it has no `config.json`."""
        run = cls._at(path)
        # Unlike Path.is_file, this has an answer for names that no file can have.
        if not os.path.isfile(run.config_file):
            raise InputError(
                f"{path} is not the folder of a run: it has no config.json; give the folder that training wrote."
            )
        run.refuse_links()
        return run

    @classmethod
    def _at(cls, path: str | Path) -> "RunFolder":
        # The folder may be a link, which a person named; what is in it may not.
        path = Path(path)
        return cls(path.resolve() if os.path.islink(path) else path)

    def refuse_links(self) -> None:
        """**Raises:** `InputError` when a file or subfolder of the run is a link: what is written to it would go
        elsewhere.
        """
        try:
            names = os.listdir(self.path)
        except OSError as error:
            raise _unusable(self.path, error) from None
        for name in names:
            if os.path.islink(self.path / name):
                raise InputError(
                    f"{self.path / name} is a symbolic link; a run writes nothing through links: put the file or "
                    "folder itself in its place, or link the whole run folder."
                )

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keeps other processes from training in this folder; however a process ends, its folder is free again.

        **Raises:** `InputError` when another process trains in it.
        """
        with self._locked("trains", patience=PATIENCE):
            # What writers left that were killed.
            for file in (*self.path.glob("*.partial"), *self.pictures.glob("*.partial")):
                with contextlib.suppress(OSError):
                    file.unlink()
            yield

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Writes the choices of a new run, whole or not at all: from then on the folder is that run's. Of several
        processes that begin a run here at once, one does.

        **Raises:** `InputError` when the folder has become another run's; `StorageError` when it cannot be written.
        """
        with self._locked("begins a run"):
            if os.path.lexists(self.config_file):
                raise _taken(self.path)
            strict_json.write(self.config_file, config)

    def replace_config(self, config: Mapping[str, Any]) -> None:
        """Writes the choices of this run anew, whole or not at all, for who trains in the folder and so has it `held`.

        **Raises:** `StorageError` when it cannot be written.
        """
        strict_json.write(self.config_file, config)

    def read_config(self) -> dict[str, Any]:
        """The choices that `write_config` wrote. **Raises:** `InputError` when they are missing or no JSON object."""
        return strict_json.read(self.config_file)

    @contextlib.contextmanager
    def _locked(self, doing: str, *, patience: float = 0.0) -> Iterator[None]:
        until = time.monotonic() + patience
        with storage.open_to_append(self.lock_file) as file:
            while not _lock(file):
                if time.monotonic() >= until:
                    raise InputError(
                        f"Another process {doing} in the run folder {self.path}; wait until it has ended, or end it."
                    )
                time.sleep(0.01)
            yield


def _lock(file: FileIO) -> bool:
    # Of the open file, which `storage` has found to be none but this folder's; filelock.FileLock would open its path.
    try:
        return filelock.lock_descriptor(file.fileno(), blocking=False)
    except OSError:
        # Some network file systems have no locks.
        return True


def _in_the_way(entry: Path, lock: Path) -> bool:
    """Whether a new run cannot be written beside this. A lock is left behind by a run that did not begin."""
    return entry.is_symlink() or not (entry.is_dir() or entry == lock)


def _taken(path: Path) -> InputError:
    return InputError(
        f"The folder {path} holds a run already; choose another folder for the output, or remove this one."
    )


def _unusable(path: Path, error: OSError) -> InputError:
    return InputError(f"The run folder {path} can't be made ({error.strerror}); choose a folder that can be written.")
