"""What the answers of a table are: classes with the user's names, or targets in the user's units."""

from collections import Counter
from typing import Any, Literal, TypeAlias

import numpy as np
from jaxtyping import Float64, Int32

from sdebnn.data.answers import CHOOSE, FEW, ask_for_the_task, is_one_hot
from sdebnn.data.columns import (
    Scale,
    alike_but_for_capitals,
    are_infinite,
    number_in,
    refuse_coarse,
    refuse_fractions,
    refuse_written,
    scale_of,
    strange_among_numbers,
    stripped,
)
from sdebnn.data.frames import ColumnNames, Columns, read_columns
from sdebnn.errors import InputError
from sdebnn.spelling import nearest

Label: TypeAlias = str | int | float | bool
Task: TypeAlias = Literal["classification", "regression"]
_CLASSES = "choose task='classification' (--task) if these are names of classes"


def inputs_and_answers(table: Columns, target: ColumnNames | None, y: Any) -> tuple[Columns, Columns]:
    """The columns that are inputs, and those that are to be predicted.

    **Arguments:**

    - `table`: all columns, or those of the inputs.
    - `target`: names of columns of the table that are to be predicted.
    - `y`: in place of `target`, what is to be predicted.

    **Raises:** `InputError` for a target that is not there, or twice, and for answers of another number.
    """
    if (target is None) == (y is None):
        raise InputError("The answers are a column of the table or an array: give either target or y.")
    if target is None:
        answers = read_columns(y, "y", name="y")
        if answers.rows != table.rows:
            raise InputError(f"The table has {table.rows} rows but y has {answers.rows}; give one answer for each row.")
        return table, answers
    # Columns that have numbers for names have them as text.
    targets = [str(name) for name in ([target] if isinstance(target, str | int) else target)]
    if not targets or len(set(targets)) < len(targets):
        raise InputError(f"The targets are {targets}; name one column or more, each once.")
    for name in targets:
        if name not in table.by_name:
            known = ", ".join(table.names[:20]) + (", ..." if len(table.names) > 20 else "")
            raise InputError(
                f"The table has no column {name!r} to predict{nearest(name, table.names)}; it has {known or 'none'}."
            )
    rest = [name for name in table.names if name not in targets]
    return table.only(rest), table.only(targets)


def settled_task(answers: Columns, task: str) -> Task:
    """What is learned: with `task="auto"` text, truth values and few different whole numbers are classes, numbers that
    are not whole and several columns are targets.

    **Arguments:**

    - `answers`: of the training examples.
    - `task`: `"auto"`, or what the user says that it is.

    **Raises:** `InputError` where it is open, and where what the user says does not fit.
    """
    if not answers.names:
        raise InputError("The answers have no column; give (n,), or (n, k) with k at least 1.")
    for name, values in answers.by_name.items():
        _refuse_missing(name, values)
        if values.dtype.kind == "O" and task != "classification":
            _refuse_mistaken_numbers(name, values, task)
        if values.dtype.kind == "O" and (task == "regression" or len(answers.names) > 1):
            raise InputError(
                f"The target {name!r} holds text, such as {values[0]!r:.40}, but targets of a regression are numbers; "
                "choose task='classification' (--task) with this column alone as the target."
            )
    if task != "auto":
        return "classification" if task == "classification" else "regression"
    (name, values), *more = answers.by_name.items()
    if more:
        for several in answers.by_name.values():
            if several.dtype.kind not in "fui":
                raise InputError(
                    f"There are {len(answers.names)} targets, of which {name!r} holds truth values; {CHOOSE}."
                )
        if is_one_hot(np.stack(list(answers.by_name.values()), axis=1)):
            raise InputError(
                f"The targets {_listed(answers.names)} have one 1 in each row and 0 elsewhere: are they classes, or "
                f"targets of a regression? {CHOOSE.capitalize()}."
            )
        return "regression"
    if values.dtype.kind == "O" and (count := len(set(values))) > max(2, len(values) // 2):
        raise InputError(
            f"The target {name!r} has {count} different texts in {len(values)} rows, such as {values[0]!r:.40}, which "
            "are hardly classes; give another target, or choose task='classification' (--task) if they are."
        )
    if values.dtype.kind in "Ob":
        return "classification"
    if values.dtype.kind == "f":
        ask_for_the_task(values, f"The target {name!r}")
        return "regression"
    different = np.unique(values)
    if len(different) > min(FEW, max(2, len(values) // 2)):
        raise InputError(
            f"The target {name!r} has {len(different)} different whole numbers from {different[0]} to {different[-1]} "
            f"in {len(values)} rows: are they classes, or targets of a regression? {CHOOSE.capitalize()}."
        )
    return "classification"


def _refuse_mistaken_numbers(name: str, values: np.ndarray, task: str) -> None:
    """**Raises:** `InputError` for text that is numbers or dates, unless it is said to be names of classes."""
    what, counts = f"The target {name!r}", Counter(values.tolist())
    if (strange := strange_among_numbers(counts)) is not None:
        row = int((values == strange).argmax())
        raise InputError(
            f"{what} holds numbers, but {strange!r:.40} in row {row}, counted from 0; write a number there, or leave "
            f"that row out, or {_CLASSES}."
        )
    refuse_written(what, counts, _CLASSES)
    if task == "regression" or len(counts) > min(FEW, max(2, len(values) // 2)):
        refuse_fractions(what, counts, _CLASSES)


def label_names(answers: Columns) -> tuple[Label, ...]:
    """The names of the classes in sorted order, which is that of their numbers.

    **Raises:** `InputError` for one class alone, for several columns, and for numbers that are not whole.
    """
    name, values = _classes(answers)
    _refuse_missing(name, values)
    if values.dtype.kind == "f" and (strange := values[values != np.round(values)]).size:
        raise InputError(
            f"The target {name!r} has numbers that are not whole, such as {strange[0]:g}, but a number that names a "
            "class is whole; choose task='regression' (--task), or give names of classes."
        )
    names = tuple(sorted(str(value) if isinstance(value, str) else value for value in set(values.tolist())))
    if len(names) < 2:
        raise InputError(
            f"The target {name!r} has one class alone, {', '.join(map(repr, names))}, which leaves nothing to tell "
            "apart; give examples of another too."
        )
    return names


def remarks_of_labels(names: tuple[Label, ...]) -> list[str]:
    """What a user should know of the names of classes that are text, a sentence each."""
    texts = [name for name in names if isinstance(name, str)]
    said = [f"classes: {alike}: write them alike if they are one"] if (alike := alike_but_for_capitals(texts)) else []
    others = [text for text in texts if number_in(text) is None]
    if 0 < 2 * len(others) < len(texts):
        said.append(
            f"classes: most are numbers as text, and {others[0]!r:.40} is none: leave its rows out if it is none"
        )
    return said


def numbered(answers: Columns, names: tuple[Label, ...]) -> Int32[np.ndarray, " n"]:
    """The numbers of the classes.

    **Raises:** `InputError` for a class that is not among `names`.
    """
    name, values = _classes(answers)
    number = {label: number for number, label in enumerate(names)}
    found = [number.get(label, -1) for label in values.tolist()]
    if -1 in found:
        # Older encodings have numbers among text as Python writes them.
        found = [
            number.get(getattr(label, "plain", label), at) for label, at in zip(values.tolist(), found, strict=True)
        ]
    if -1 in found:
        row = found.index(-1)
        raise InputError(
            f"The target {name!r} is {values.tolist()[row]!r:.40} in row {row}, counted from 0, but the classes of "
            f"training are {_listed(names)}; give examples of these alone."
        )
    return np.array(found, np.int32)


def target_numbers(answers: Columns) -> Float64[np.ndarray, "n k"]:
    """Targets of a regression, in the user's units.

    **Raises:** `InputError` for text, and for missing and infinite values.
    """
    for name, values in answers.by_name.items():
        _refuse_missing(name, values)
        if values.dtype.kind == "O":
            raise InputError(f"The target {name!r} holds text, such as {values[0]!r:.40}; give numbers.")
        infinite = are_infinite(values.astype(np.float64))
        if infinite.any():
            raise InputError(
                f"The target {name!r} has {int(infinite.sum())} infinite values, the first in row "
                f"{int(infinite.argmax())}, counted from 0; replace them, or leave those rows out."
            )
    return np.stack([values.astype(np.float64) for values in answers.by_name.values()], axis=1)


def refuse_mistaken_targets(answers: Columns) -> None:
    """**Raises:** as `target_numbers`, and `InputError` for whole numbers that double precision does not tell apart."""
    target_numbers(answers)
    for name, values in answers.by_name.items():
        refuse_coarse(f"The target {name!r}", values)


def target_scales(answers: Columns, *, scale: bool) -> tuple[Scale, ...]:
    """Mean and standard deviation of each target; 0 and 1 where they are not to be standardised."""
    numbers = target_numbers(answers)
    return tuple(scale_of(column) if scale else Scale(0.0, 1.0) for column in numbers.T)


def _classes(answers: Columns) -> tuple[str, np.ndarray]:
    """The one column of classes; that of rows of 0 and one 1 is the number of the 1."""
    (name, values), *more = answers.by_name.items()
    if not more:
        return name, values
    several = np.stack(list(answers.by_name.values()), axis=1)
    if several.dtype.kind == "O" or not is_one_hot(several):
        raise InputError(
            f"There are {len(answers.names)} targets, {_listed(answers.names)}, but classes are one column; give one, "
            "or choose task='regression' (--task)."
        )
    return "classes", several.argmax(axis=1)


def refuse_empty_text(answers: Columns) -> None:
    """As of what is missing. Of a run of before it may be a class.

    **Raises:** `InputError` that says in how many rows.
    """
    for name, values in answers.by_name.items():
        if values.dtype.kind == "O":
            _refuse_rows(name, np.array([text is None for text in stripped(values)]))


def _refuse_missing(name: str, values: np.ndarray) -> None:
    _refuse_rows(name, np.array([text is None for text in values]) if values.dtype.kind == "O" else values != values)


def _refuse_rows(name: str, missing: np.ndarray) -> None:
    if missing.any():
        raise InputError(
            f"The target {name!r} has no value in {int(missing.sum())} of {len(missing)} rows, the first is row "
            f"{int(missing.argmax())}, counted from 0; leave those rows out."
        )


def _listed(names: Any) -> str:
    return ", ".join(f"{name!r:.40}" for name in names[:9]) + (", ..." if len(names) > 9 else "")
