"""What a run's examples look like, kept in its folder, so that predictions need no training data."""

import json
from typing import NamedTuple

import numpy as np

from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.runs import RunFolder, atomic


class Task(NamedTuple):
    """The shape and dtype of an example, and what its answers are: `num_classes` labels, or `targets` real numbers."""

    x_shape: tuple[int, ...]
    x_dtype: str
    num_classes: int | None
    targets: int

    @classmethod
    def of(cls, dataset: Dataset) -> "Task":
        """That of a data set."""
        targets = 0 if dataset.num_classes else dataset.y_train.shape[1]
        return cls(tuple(dataset.x_train.shape[1:]), str(dataset.x_train.dtype), dataset.num_classes, targets)

    def write(self, run: RunFolder) -> None:
        """Keeps it in a run folder, as `task.json`."""
        atomic.write(run.path / "task.json", (atomic.json_text(self._asdict(), indent=2) + "\n").encode())

    @classmethod
    def read(cls, run: RunFolder) -> "Task":
        """The one that `write` kept. **Raises:** `InputError` when it is missing or altered."""
        file = run.path / "task.json"
        try:
            record = json.loads(file.read_bytes())
            task = cls(tuple(record["x_shape"]), record["x_dtype"], record["num_classes"], record["targets"])
            task.placeholder()
        except OSError as error:
            raise InputError(f"{file} can't be read ({error.strerror}); it says what the examples were.") from None
        except (ValueError, KeyError, TypeError, RecursionError, MemoryError):
            raise InputError(f"{file} was truncated or altered; restore it or train again.") from None
        return task

    def check(self, x: np.ndarray) -> None:
        """**Raises:** `InputError` for inputs unlike those of training."""
        if x.shape[1:] != self.x_shape or str(x.dtype) != self.x_dtype:
            kind = "pixels, whole numbers from 0 to 255" if self.x_dtype == "uint8" else "floating-point numbers"
            raise InputError(
                f"The inputs are {x.dtype} of shape {tuple(x.shape[1:])} each, but the run was trained on {kind}, of "
                f"shape {self.x_shape} each."
            )
        if len(x) == 0:
            raise InputError("There are no inputs; give 1 or more.")

    def placeholder(self) -> Dataset:
        """A data set of this shape with nothing in it, which is what building a model needs."""
        x = np.zeros((2, *self.x_shape), self.x_dtype)
        y = np.arange(2, dtype=np.int32) if self.num_classes else np.zeros((2, self.targets), np.float32)
        task = "classification" if self.num_classes else "regression"
        return Dataset("placeholder", task, x, y, x, y, self.num_classes)  # type: ignore[arg-type]
