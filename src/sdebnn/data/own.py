"""What a data set of one's own table or arrays is made of: encoded or as they are, with a part held out where there is
no test set.
"""

from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Int

from sdebnn.data.answers import TASKS, as_answers, ask_for_the_task, count_classes
from sdebnn.data.columns import Scaling
from sdebnn.data.frames import ColumnNames, Columns, Table, read_columns, rows_of
from sdebnn.data.held_out import hold_out
from sdebnn.data.inputs import LAYOUTS, as_inputs
from sdebnn.data.table_encoding import TableEncoding, checked_task
from sdebnn.data.targets import Task, inputs_and_answers, label_names, numbered
from sdebnn.errors import InputError
from sdebnn.spelling import refuse_unknown

TEST_FRACTION = 1 / 3

Parts: TypeAlias = tuple[str, Task, np.ndarray, np.ndarray, np.ndarray, np.ndarray, int | None, TableEncoding | None]
"""The fields of a `Dataset`, in their order."""


def parts_of_frame(
    frame: Table,
    target: ColumnNames,
    *,
    test: Table,
    task: str,
    name: str,
    scale: Scaling,
    seed: int,
    encoding: TableEncoding | None,
) -> Parts:
    """See `Dataset.from_frame`."""
    refuse_unknown(task, TASKS, "a task")
    table, answers = inputs_and_answers(read_columns(frame, "The table"), target, None)
    tested = None if test is None else inputs_and_answers(read_columns(test, "The test table"), target, None)
    return _encoded(name, table, answers, tested, task=task, scale=scale, seed=seed, encoding=encoding)


def parts_of_arrays(
    x: Table,
    y: Any,
    x_test: Table,
    y_test: Any,
    *,
    task: str,
    layout: str,
    name: str,
    scale: Scaling,
    seed: int,
    encoding: TableEncoding | None,
) -> Parts:
    """See `Dataset.from_arrays`."""
    refuse_unknown(task, TASKS, "a task")
    refuse_unknown(layout, LAYOUTS, "a layout")
    if (x_test is None) != (y_test is None):
        raise InputError("There is one of x_test and y_test; give both or none.")
    if not are_rows(x, layout):
        test = None if x_test is None else (np.asarray(x_test), np.asarray(y_test))
        of = "{} of " + name
        return unencoded(name, np.asarray(x), np.asarray(y), test, of=of, task=task, layout=layout, seed=seed)
    table, answers = inputs_and_answers(read_columns(rows_of(x), "x"), None, y)
    tested = None if x_test is None else inputs_and_answers(read_columns(rows_of(x_test), "x_test"), None, y_test)
    return _encoded(name, table, answers, tested, task=task, scale=scale, seed=seed, encoding=encoding)


def are_rows(x: Table, layout: str) -> bool:
    """Whether inputs are rows of a table, and no images."""
    return layout == "table" or (layout == "auto" and np.ndim(x) == 2)


def unencoded(
    name: str,
    x: np.ndarray,
    y: np.ndarray,
    test: tuple[np.ndarray, np.ndarray] | None,
    *,
    of: str,
    task: str,
    layout: str,
    seed: int = 0,
    like: str | None = None,
    in_order: bool = False,
) -> Parts:
    """Of a data set whose numbers are as they were given.

    **Arguments:**

    - `of`: names an array in errors, its letter in place of `{}`.
    - `like`, `in_order`: as for `load_npz`; others as for `Dataset.from_arrays`.
    """
    inputs, answers = as_inputs(x, of.format("x"), layout=layout, like=like), as_answers(y, of.format("y"), task)
    if task == "auto":
        ask_for_the_task(y, of.format("y"))
    if layout == "auto" and like is None and x.ndim == 3 and x.dtype.kind == "f" and x.shape[1] != x.shape[2]:
        raise InputError(
            f"{of.format('x')} has shape {x.shape}: grey images of {x.shape[1]} x {x.shape[2]}, or rows of "
            f"{x.shape[1] * x.shape[2]} inputs, such as sequences? Choose layout='images' or layout='table' (--layout)."
        )
    if test is not None:
        x_test = as_inputs(test[0], of.format("x_test"), layout=layout, like=str(inputs.dtype))
        y_test = as_answers(test[1], of.format("y_test"), task)
    else:
        if len(inputs) < 2:
            raise InputError(
                f"{of.format('x')} has {len(inputs)} examples; give at least 2, so that a third can be held out, "
                "or x_test and y_test."
            )
        keep, held = _held_out(len(inputs), seed, answers if answers.dtype == np.int32 else None, in_order=in_order)
        inputs, x_test, answers, y_test = inputs[keep], inputs[held], answers[keep], answers[held]
    if answers.dtype != y_test.dtype:
        raise InputError(
            f"{of.format('y')} is {answers.dtype} but y_test is {y_test.dtype}; give labels or targets in both."
        )
    if answers.dtype == np.float32:
        return name, "regression", inputs, answers, x_test, y_test, None, None
    classes = count_classes(answers, y_test, of.format("y"), task)
    return name, "classification", inputs, answers, x_test, y_test, classes, None


def _encoded(
    name: str,
    table: Columns,
    answers: Columns,
    test: tuple[Columns, Columns] | None,
    *,
    task: str,
    scale: Scaling,
    seed: int,
    encoding: TableEncoding | None,
) -> Parts:
    if test is None and table.rows < 3:
        raise InputError(
            f"The table has {table.rows} row{'' if table.rows == 1 else 's'}, of which a third is to be held out; give "
            "at least 3, or a test set."
        )
    if encoding is None:
        settled = checked_task(table, answers, task)
        labels = label_names(answers) if settled == "classification" else None
    else:
        settled, labels = encoding.task, encoding.labels
    if test is None:
        # A class of one example may be in the test set alone, and is a class all the same.
        keep, held = _held_out(table.rows, seed, None if labels is None else numbered(answers, labels))
        test = table.take(held), answers.take(held)
        table, answers = table.take(keep), answers.take(keep)
    if encoding is None:
        encoding = TableEncoding.of_checked(table, answers, scale=scale, labels=labels)
    x, x_test = encoding.inputs(table), encoding.inputs(test[0])
    y, y_test = encoding.answers(answers), encoding.answers(test[1])
    return name, settled, x, y, x_test, y_test, None if labels is None else len(labels), encoding


def _held_out(
    n: int, seed: int, classes: Int[np.ndarray, " n"] | None, *, in_order: bool = False
) -> tuple[Int[np.ndarray, " _"], Int[np.ndarray, " _"]]:
    keep, held = hold_out(n, TEST_FRACTION, seed, classes)
    return keep, held if in_order else np.random.default_rng(seed).permutation(held)
