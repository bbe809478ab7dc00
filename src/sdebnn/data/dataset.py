"""What a data set is, and the one check that every data set passes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, no_type_check

import numpy as np
from jaxtyping import Float32, Shaped

from sdebnn.data.batches import batch_stream
from sdebnn.data.columns import Scaling
from sdebnn.data.frames import ColumnNames, Table
from sdebnn.data.inputs import check_finite
from sdebnn.data.own import parts_of_arrays, parts_of_frame
from sdebnn.data.table_encoding import TableEncoding
from sdebnn.data.targets import Label
from sdebnn.errors import InputError
from sdebnn.spelling import refuse_unknown


# Arrays come from a user's own code: the checks below answer for their types, in sentences.
@no_type_check
@dataclass(frozen=True)
class Dataset:
    """Examples to learn from and examples to be judged by. It checks itself when it is made.

    **Arguments:**

    - `name`: what to call it.
    - `task`: `"classification"` or `"regression"`.
    - `x_train`, `x_test`: images (n, height, width, channels), uint8 or float32, or tables (n, d), float32; both alike.
    - `y_train`, `y_test`: labels (n,), int32, in 0..num_classes-1; or targets (n, d_out), float32.
    - `num_classes`: how many classes there are; `None` for regression.
    - `encoding`: of the table that the arrays were made of, where they are encoded; see `TableEncoding`.

    **Raises:** `InputError` for another task, for what is no array or one of another shape or dtype, different numbers
    of examples and answers, no examples, NaN or infinity, labels out of range, and an encoding of other arrays.
    """

    name: str
    task: Literal["classification", "regression"]
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    num_classes: int | None
    encoding: TableEncoding | None = None

    @classmethod
    def from_frame(
        cls,
        frame: Table,
        target: ColumnNames,
        *,
        test: Table = None,
        task: str = "auto",
        name: str = "table",
        scale: Scaling = True,
        seed: int = 0,
        encoding: TableEncoding | None = None,
    ) -> "Dataset":
        """That of a DataFrame: encoded by the training examples, with the encoding beside it.

        **Arguments:**

        - `frame`: of pandas, polars or another library that narwhals knows: numbers, truth values, text, categories.
        - `target`: the column that is to be predicted, or several.
        - `test`: examples to be judged by. Without them a third of the rows is held out, with each class in proportion.
        - `task`: `"classification"`, `"regression"`, or `"auto"`: by what the target is.
        - `name`: what to call it.
        - `scale`: whether numbers are standardised; with `"inputs"` targets stay as they are, such as counts for a
          likelihood of one's own. See `TableEncoding`.
        - `seed`: the same one holds out the same rows.
        - `encoding`: that of a run that was started before, `load(run).task.encoding`, in place of one of these
          examples: the table is read as it was then, also where a new run would refuse it.

        **Raises:** `InputError` as `TableEncoding.fit` does, and for test examples that are other than those.
        """
        parts = parts_of_frame(
            frame, target, test=test, task=task, name=name, scale=scale, seed=seed, encoding=encoding
        )
        return Dataset(*parts)

    @classmethod
    def from_arrays(
        cls,
        x: Table,
        y: Any,
        x_test: Table = None,
        y_test: Any = None,
        *,
        task: str = "auto",
        layout: str = "auto",
        name: str = "arrays",
        scale: Scaling = True,
        seed: int = 0,
        encoding: TableEncoding | None = None,
    ) -> "Dataset":
        """That of arrays: a table is encoded as by `from_frame`, images stay as they are.

        **Arguments:**

        - `x`: rows (n, d); or images, (n, h, w) or (n, h, w, channels), whole numbers from 0 to 255 being pixels.
        - `y`: labels (n,), for rows of any type, for images whole numbers from 0; or targets (n,) or (n, k).
        - `x_test`, `y_test`: the same for the examples to be judged by; without them a third is held out.
        - `layout`: `"table"`, `"images"` or `"channels_first"`, where the shape leaves it open; see `as_inputs`.
        - `task`, `name`, `scale`, `seed`, `encoding`: as for `from_frame`.

        **Raises:** `InputError` as `from_frame` does, and for images as `as_inputs` and `as_answers` do.
        """
        parts = parts_of_arrays(
            x, y, x_test, y_test, task=task, layout=layout, name=name, scale=scale, seed=seed, encoding=encoding
        )
        return Dataset(*parts)

    def __post_init__(self) -> None:
        refuse_unknown(self.task, ("classification", "regression"), "a task")
        for part in ("train", "test"):
            for letter in ("x", "y"):
                _normalise(self, f"{letter}_{part}")
            x, y = getattr(self, f"x_{part}"), getattr(self, f"y_{part}")
            for letter, array in (("x", x), ("y", y)):
                if not isinstance(array, np.ndarray) or array.ndim == 0:
                    raise InputError(
                        f"{letter}_{part} of {self.name} is a {type(array).__name__}, but it must be a NumPy array of "
                        "one row an example; write numpy.asarray(..., numpy.float32), or numpy.int32 for labels."
                    )
            _check_inputs(f"x_{part} of {self.name}", x)
            if len(x) != len(y):
                raise InputError(
                    f"x_{part} of {self.name} has {len(x)} examples but y_{part} has {len(y)} answers; "
                    "give one answer for each example."
                )
            if self.task == "classification":
                check_labels(f"y_{part} of {self.name}", y, self.num_classes)
            else:
                _check_targets(f"y_{part} of {self.name}", y, self.num_classes)
        if self.x_train.shape[1:] != self.x_test.shape[1:] or self.x_train.dtype != self.x_test.dtype:
            raise _unlike(self.name, "x", self.x_train, self.x_test)
        if self.y_train.shape[1:] != self.y_test.shape[1:]:
            raise _unlike(self.name, "y", self.y_train, self.y_test)
        if self.encoding is not None:
            _check_encoding(self, self.encoding)

    @property
    def label_names(self) -> tuple[Label, ...] | None:
        """The user's names of the classes, in the order of their numbers; `None` where they have none."""
        return None if self.encoding is None else self.encoding.labels

    @property
    def train_size(self) -> int:
        """How many training examples there are."""
        return len(self.x_train)

    def training_batches(
        self, batch_size: int, *, seed: int, start: int = 0
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Training batches (x, y) without end, in the order of `batch_stream`, whose arguments these are."""
        order = batch_stream(len(self.x_train), batch_size, seed=seed, start=start)
        return ((self.x_train[indices], self.y_train[indices]) for indices in order)


def to_float(x: Shaped[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape"]:
    """Inputs as a network takes them: uint8 pixels divided by 255, in [0, 1]; float32 as they are.

    **Raises:** `InputError` for another dtype.
    """
    if x.dtype == np.uint8:
        return x.astype(np.float32) / np.float32(255)
    if x.dtype == np.float32:
        return x
    raise InputError(f"Inputs are uint8 pixels or float32, but these are {x.dtype}; write x.astype(np.float32).")


def _check_inputs(what: str, x: np.ndarray) -> None:
    image = x.ndim == 4 and x.dtype in (np.uint8, np.float32)
    table = x.ndim == 2 and x.dtype == np.float32
    if not (image or table):
        raise InputError(
            f"{what} is {_kind(x)}, but inputs are images (n, height, width, channels) of uint8 or float32, "
            f"or tables (n, d) of float32{_remedy(x, np.float32) if x.ndim in (2, 4) else ''}."
        )
    if x.size == 0:
        raise InputError(f"{what} is empty, of shape {x.shape}; give at least one example with at least one number.")
    check_finite(what, x)


def _normalise(dataset: Dataset, name: str) -> None:
    """An array without a mask and in the machine's order of bytes; what it says is the same."""
    array = getattr(dataset, name)
    if not isinstance(array, np.ndarray):
        return
    if np.ma.isMaskedArray(array) and np.ma.getmaskarray(array).any():
        raise InputError(
            f"{name} of {dataset.name} has {int(np.ma.count_masked(array))} masked values; leave those examples out, "
            f"or write {name}.filled(...) with what stands for them."
        )
    array = np.asarray(array)
    object.__setattr__(dataset, name, array.astype(array.dtype.newbyteorder("="), copy=False))


def _remedy(array: np.ndarray, dtype: type) -> str:
    return f"; write x.astype(numpy.{dtype.__name__})" if array.dtype.kind in "buifO" else ""


def check_labels(what: str, y: np.ndarray, num_classes: int | None) -> None:
    """**Raises:** `InputError` for what are no labels, int32 (n,), of so many classes."""
    if num_classes is None or num_classes < 2:
        raise InputError(f"Classification needs num_classes of 2 or more, but for {what} it is {num_classes}.")
    if y.ndim != 1 or y.dtype != np.int32:
        raise InputError(f"{what} is {_kind(y)}, but labels are int32 of shape (n,); {_label_remedy(y)}.")
    low, high = int(y.min()), int(y.max())
    if low < 0 or high >= num_classes:
        raise InputError(
            f"{what} has labels from {low} to {high}, but with {num_classes} classes they are 0 to {num_classes - 1}; "
            "number them with numpy.unique(y, return_inverse=True)[1], those of training and test together."
        )


def _label_remedy(y: np.ndarray) -> str:
    if y.dtype.kind in "OUS":
        return "number them with numpy.unique(y, return_inverse=True)[1].astype(numpy.int32)"
    if y.ndim == 2 and y.shape[1] == 1:
        return "write y[:, 0].astype(numpy.int32)"
    if y.ndim == 2:
        return "for one-hot rows write y.argmax(axis=1).astype(numpy.int32)"
    return "write y.astype(np.int32)"


def _check_targets(what: str, y: np.ndarray, num_classes: int | None) -> None:
    if num_classes is not None:
        raise InputError(f"Regression has no classes, but for {what} num_classes is {num_classes}; give None.")
    if y.ndim != 2 or y.dtype != np.float32 or y.shape[1] == 0:
        raise InputError(
            f"{what} is {_kind(y)}, but targets are float32 of shape (n, d_out), d_out at least 1; "
            f"{'for one target write y[:, None]' if y.ndim == 1 else 'write y'}.astype(numpy.float32)."
        )
    check_finite(what, y)


def _check_encoding(dataset: Dataset, encoding: TableEncoding) -> None:
    inputs, labels = len(encoding.input_names), encoding.labels
    outputs = len(encoding.target_names) if labels is None else len(labels)
    of_arrays = dataset.y_train.shape[1] if dataset.num_classes is None else dataset.num_classes
    if (
        dataset.x_train.shape[1:] != (inputs,)
        or (labels is None) != (dataset.num_classes is None)
        or outputs != of_arrays
    ):
        raise InputError(
            f"The encoding of {dataset.name} is of {inputs} inputs and {outputs} "
            f"{'targets' if labels is None else 'classes'}, but x_train is {_kind(dataset.x_train)} and the task is "
            f"{dataset.task} of {of_arrays}; give arrays that the encoding made."
        )


def _unlike(name: str, letter: str, train: np.ndarray, test: np.ndarray) -> InputError:
    return InputError(
        f"{letter}_train of {name} is {_kind(train)} but {letter}_test is {_kind(test)}; "
        "an example must have the same shape and dtype in both."
    )


def _kind(array: np.ndarray) -> str:
    return f"{array.dtype} of shape {array.shape}"
