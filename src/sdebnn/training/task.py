"""What a run's examples look like, kept in its folder, so that predictions need no training data."""

import hashlib
import itertools
import math
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sdebnn.data import Dataset, TableEncoding, as_inputs, describe
from sdebnn.data.frames import Table, rows_of
from sdebnn.errors import InputError, naming_file
from sdebnn.runs import RunFolder, strict_json
from sdebnn.training.unseen_features import MOST_HOLES, Seen

# More outputs than any data set has answers; a network of so many still fits into memory.
MOST_OUTPUTS = 2**20
# More numbers than an example of any data set has; two of so many still fit into memory.
MOST_INPUTS = 2**27
# Bytes: of as many columns as are encoded.
LONGEST_TABLE = 2**24
# Inputs whose ranges a record of that length has room for.
MOST_RANGES = 2**18


class Task(NamedTuple):
    """The shape and dtype of an example, what its answers are (`num_classes` labels, or `targets` real numbers), and
    the SHA-256 digests of all that is trained on, of all that is held out, for validation and for the test, and of the
    test examples alone; `held_out` and `tested` are `None` in the folders of older runs. `made` says what was made of
    the data, for people. `encoding` is that of a table, which the folder keeps beside it.
    `ranges` are the least and the largest value of each input of a table in memory, over the training examples, and
    `holes` the number of an input and the two values between which it has none; older runs do not know them.
    """

    x_shape: tuple[int, ...]
    x_dtype: str
    num_classes: int | None
    targets: int
    digest: str
    held_out: str | None
    made: str | None = None
    encoding: TableEncoding | None = None
    tested: str | None = None
    ranges: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    holes: tuple[tuple[int, float, float], ...] | None = None

    @classmethod
    def of(cls, dataset: Dataset, validation: tuple[Any, Any] | None = None) -> "Task":
        """That of a data set, and of the validation examples that were taken away from it."""
        targets = 0 if dataset.num_classes else dataset.y_train.shape[1]
        x_shape, x_dtype = tuple(dataset.x_train.shape[1:]), str(dataset.x_train.dtype)
        trained_on = _digest(dataset.x_train, dataset.y_train)
        held_out = _digest(*(validation or ()), dataset.x_test, dataset.y_test)
        tested = _digest(dataset.x_test, dataset.y_test)
        made = describe(dataset, len(validation[0]) if validation else 0)
        return cls(
            x_shape, x_dtype, dataset.num_classes, targets, trained_on, held_out, made, dataset.encoding, tested,
            *_seen(dataset),
        )  # fmt: skip

    @staticmethod
    def file(run: RunFolder) -> Path:
        """Where a run folder keeps it."""
        return run.path / "task.json"

    @staticmethod
    def table_file(run: RunFolder) -> Path:
        """Where a run folder keeps the encoding of a table."""
        return run.path / "table.json"

    def choices(self) -> dict[str, Any]:
        """The choices `task` and `layout` that it comes from."""
        return {
            "task": "classification" if self.num_classes else "regression",
            "layout": "images" if len(self.x_shape) == 3 else "table",
        }

    def write(self, run: RunFolder) -> None:
        """Keeps it in a run folder, as `task.json` and, of a table, `table.json`, unless it is there.

        **Raises:** as `confirm`; `StorageError` when it cannot be written.
        """
        file = self.file(run)
        if os.path.lexists(file):
            self.confirm(run)
        else:
            record: dict[str, Any] = {**self._asdict(), "encoding": None}
            if self.encoding is not None:
                table = self.encoding.to_json()
                strict_json.write(self.table_file(run), table, limit=LONGEST_TABLE)
                record["encoding"] = _digest_of_table(table)
            strict_json.write(file, record, limit=LONGEST_TABLE)

    def confirm(self, run: RunFolder) -> None:
        """**Raises:** `InputError` when the run folder keeps another one: the data have changed since."""
        kept = Task.read(run)
        # What a table was made of it is in the digests.
        now = self._replace(
            made=kept.made,
            held_out=self.held_out if kept.held_out else None,
            encoding=kept.encoding,
            # It is in `held_out`.
            tested=kept.tested,
            ranges=kept.ranges,
            holes=kept.holes,
        )
        if kept != now:
            raise InputError(
                f"{run.path / 'task.json'} is of other examples than the run's data; restore the one or the other."
            )

    @classmethod
    def read(cls, run: RunFolder) -> "Task":
        """The one that `write` kept. **Raises:** `InputError` when it is missing or altered."""
        file = cls.file(run)
        absent: dict[str, Any] = dict.fromkeys(("held_out", "made", "encoding", "tested", "ranges", "holes"))
        record = absent | strict_json.read(file, limit=LONGEST_TABLE)
        if not _is_task(record):
            raise InputError(f"{file} was truncated or altered; restore it or train again.")
        encoding = None if record["encoding"] is None else cls._read_encoding(run, record)
        ranges = None if record["ranges"] is None else tuple(tuple(ends) for ends in record["ranges"])
        holes = None if record["holes"] is None else tuple(tuple(hole) for hole in record["holes"])
        read = {"x_shape": tuple(record["x_shape"]), "encoding": encoding, "ranges": ranges, "holes": holes}
        return cls(**record | read)

    @classmethod
    def _read_encoding(cls, run: RunFolder, record: dict[str, Any]) -> TableEncoding:
        file = cls.table_file(run)
        table = strict_json.read(file, limit=LONGEST_TABLE)
        if _digest_of_table(table) != record["encoding"]:
            raise InputError(f"{file} is not of the run that {cls.file(run)} describes; restore it or train again.")
        with naming_file(file):
            return TableEncoding.from_json(table)

    def inputs(self, x: Table, layout: str = "auto") -> np.ndarray:
        """Inputs in the dtype of training, converted as `sdebnn.data.as_inputs` does.

        **Arguments:**

        - `x`: whatever NumPy makes an array of; where the run was trained on a table also a DataFrame, with the names
          of its columns, in the user's units.
        - `layout`: that of a run on a file, in which `x` is then too; without one `x` is as a `Dataset` has it.

        **Raises:** `InputError` for inputs unlike those of training, for none, and for NaN and infinity.
        """
        if self.encoding is not None:
            x, layout = self.encoding.inputs(rows_of(x)), "table"
        try:
            x = x if isinstance(x, np.ndarray) else np.asarray(x)
        except ValueError as error:
            raise InputError(f"The inputs are no array: {error}; give examples that are all of one shape.") from None
        # What images are was settled in training, and is not asked again.
        if layout == "auto" and len(self.x_shape) == 3 and x.ndim > 2:
            layout = "images"
        x = as_inputs(x, "The array of inputs", layout=layout, like=self.x_dtype if len(self.x_shape) == 3 else None)
        if x.shape[1:] != self.x_shape or str(x.dtype) != self.x_dtype:
            kind = "pixels, whole numbers from 0 to 255" if self.x_dtype == "uint8" else "floating-point numbers"
            raise InputError(
                f"The inputs are {x.dtype} of shape {tuple(x.shape[1:])} each, but the run was trained on {kind}, of "
                f"shape {self.x_shape} each."
            )
        if len(x) == 0:
            raise InputError("There are no inputs; give 1 or more.")
        return x

    def placeholder(self) -> Dataset:
        """A data set of this shape with nothing in it, which is what building a model needs."""
        x = np.zeros((2, *self.x_shape), self.x_dtype)
        y = np.arange(2, dtype=np.int32) if self.num_classes else np.zeros((2, self.targets), np.float32)
        task = "classification" if self.num_classes else "regression"
        return Dataset("placeholder", task, x, y, x, y, self.num_classes)  # type: ignore[arg-type]

    def seen(self) -> Seen | None:
        """Where the training examples of a table in memory were; of an older run without its holes, or not at all."""
        if self.ranges is None:
            return None
        low, high = np.array(self.ranges, np.float32)
        holes = np.array(self.holes or (), np.float64).reshape(-1, 3)
        left, right = holes[:, 1:].T.astype(np.float32)
        return Seen(low, high, holes[:, 0].astype(np.int64), left, right)


_Ranges = tuple[tuple[float, ...], tuple[float, ...]]


def _seen(dataset: Dataset) -> tuple[_Ranges | None, tuple[tuple[int, float, float], ...] | None]:
    x = dataset.x_train
    # Of a stream there is a sample alone.
    if x.ndim != 2 or len(x) != dataset.train_size or x.shape[1] > MOST_RANGES:
        return None, None
    low, high, columns, left, right = (values.tolist() for values in Seen.of(x))
    return (tuple(low), tuple(high)), tuple(zip(columns, left, right, strict=True))


def _are_ranges(value: object, x_shape: list[int]) -> bool:
    largest = float(np.finfo(np.float32).max)
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(ends, list) and [len(ends)] == x_shape for ends in value)
        and all(
            isinstance(low, float) and isinstance(high, float) and -largest <= low <= high <= largest
            for low, high in zip(*value, strict=True)
        )
    )


def _are_holes(value: object, ranges: Any) -> bool:
    """Whether holes lie within the ranges, in their order."""
    return (
        isinstance(value, list)
        and ranges is not None
        and len(value) <= MOST_HOLES
        and all(isinstance(hole, list) and [*map(type, hole)] == [int, float, float] for hole in value)
        and all(
            0 <= column < len(ranges[0]) and ranges[0][column] <= left < right <= ranges[1][column]
            for column, left, right in value
        )
        # By column; one ends where the next begins, or before.
        and all(one[::2] <= other[:2] for one, other in itertools.pairwise(value))
    )


def _digest(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _digest_of_table(table: dict[str, Any]) -> str:
    return hashlib.sha256(strict_json.text(table).encode()).hexdigest()


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _is_task(record: dict[str, Any]) -> bool:
    if record.keys() != set(Task._fields) or not isinstance(record["x_shape"], list):
        return False
    x_shape, dtype, classes, targets = record["x_shape"], record["x_dtype"], record["num_classes"], record["targets"]
    numbers = [*x_shape, targets, targets if classes is None else classes]
    return (
        all(isinstance(number, int) and not isinstance(number, bool) for number in numbers)
        and (len(x_shape), dtype) in ((1, "float32"), (3, "float32"), (3, "uint8"))
        and _is_digest(record["digest"])
        and all(record[name] is None or _is_digest(record[name]) for name in ("held_out", "tested"))
        and isinstance(record["made"], str | None)
        and (record["encoding"] is None or (len(x_shape) == 1 and _is_digest(record["encoding"])))
        and (record["ranges"] is None or _are_ranges(record["ranges"], x_shape))
        and (record["holes"] is None or _are_holes(record["holes"], record["ranges"]))
        and min(x_shape) >= 1
        and math.prod(x_shape) <= MOST_INPUTS
        and (1 <= targets <= MOST_OUTPUTS if classes is None else targets == 0 and 2 <= classes <= MOST_OUTPUTS)
    )
