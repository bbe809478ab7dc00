"""Callbacks: a user's own code that looks on while a run trains, and may ask it to stop."""

import dataclasses
import reprlib
from collections.abc import Mapping
from pathlib import Path

from sdebnn.errors import InputError
from sdebnn.runs import RunFolder, TrainConfig


@dataclasses.dataclass
class Training:
    """A run that trains, as its callbacks see it.

    **Arguments:**

    - `run`: its folder.
    - `config`: its choices.
    - `total_steps`: gradient steps of the whole run.
    - `step`: gradient steps taken so far, those before an interruption among them.
    """

    run: RunFolder
    config: TrainConfig
    total_steps: int
    step: int = 0
    stop_asked: bool = dataclasses.field(default=False, init=False)

    def ask_to_stop(self) -> None:
        """Ends the run with the gradient step that is under way, or the next: a checkpoint is written and the test data
        are scored; what is held out for validation is not, but where an epoch ends. Several processes end within ten
        steps. Such a run can be resumed; it goes on to its last step then, unless a callback asks again.
        """
        self.stop_asked = True


def check_callbacks(callbacks: object) -> None:
    """**Raises:** `InputError` for anything but a sequence of callbacks."""
    given = callbacks if isinstance(callbacks, list | tuple) else [callbacks]
    if given is not callbacks or not all(isinstance(callback, Callback) for callback in given):
        raise InputError(
            f"callbacks={reprlib.repr(callbacks)} is not allowed: it takes a list of objects whose class inherits "
            "sdebnn.training.Callback."
        )


class Callback:
    """Does nothing; a class of one's own has those of the methods that it needs. They are called while the run waits,
    in the first of several processes alone, and what one raises ends the run.
    """

    def on_start(self, training: Training) -> None:
        """Before the first gradient step, whenever the run is started or taken up again: `training.step` is where."""

    def on_metrics(self, training: Training, split: str, values: Mapping[str, float]) -> None:
        """After a line of the log: numbers by name.

        **Arguments:**

        - `split`: what they are of: `"train"`, `"validation"`, `"test"`, or `"system"` for pace and memory.
        """

    def on_checkpoint(self, training: Training, path: Path) -> None:
        """After a checkpoint was written.

        **Arguments:**

        - `path`: what `sdebnn.runs.checkpoint.load` takes. Names of the best so far by validation begin with `best-`,
          of the others, which a run is taken up again from, with `step-`.
        """

    def on_end(self, training: Training, error: BaseException | None) -> None:
        """After the last scores, and however else the loop ends once `on_start` has returned.

        **Arguments:**

        - `error`: what broke it off: `Stopped` after SIGTERM or Ctrl-C; `None` where it has come to its end.
        """
