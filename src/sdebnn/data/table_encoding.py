"""How a user's table becomes what a network takes, and how the network's answers become the user's."""

import dataclasses
import functools
import math
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard, get_args, get_type_hints, no_type_check

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int32

from sdebnn.data.columns import (
    CategoryColumn,
    Column,
    DroppedColumn,
    NumberColumn,
    Scale,
    Scaling,
    fit_column,
    number_in,
    numbers_of,
    refuse_mistakes,
    squeezed,
    texts_of,
    without_spaces,
)
from sdebnn.data.frames import ColumnNames, Columns, Name, Table, read_columns
from sdebnn.data.inputs import to_float32
from sdebnn.data.targets import (
    Label,
    Task,
    inputs_and_answers,
    label_names,
    numbered,
    refuse_empty_text,
    refuse_mistaken_targets,
    remarks_of_labels,
    settled_task,
    target_numbers,
    target_scales,
)
from sdebnn.errors import InputError
from sdebnn.spelling import nearest

# What is kept of so many is read in a moment.
MOST_COLUMNS = 50_000
# Of more columns that are left out for one reason these are named.
SEVERAL = 5


# Tables come from a user's own code: the checks answer for their types, in sentences.
@no_type_check
@dataclasses.dataclass(frozen=True)
class TableEncoding:
    """What became of each column of the training examples, the names of the classes, and the units of the targets.

    `TableEncoding.fit` makes one. It is a value: `to_json` and `from_json` keep all of it.

    **Arguments:**

    - `columns`: in the order of the table, each with what becomes of it.
    - `named`: whether the table had names for its columns, by which those of other tables are found.
    - `target_names`: the names of the targets.
    - `labels`: the user's names of the classes, in the order of their numbers; `None` for targets of a regression.
    - `target_scales`: mean and standard deviation of each target; `None` for classes.
    """

    columns: tuple[Column, ...]
    named: bool
    target_names: tuple[str, ...]
    labels: tuple[Label, ...] | None
    target_scales: tuple[Scale, ...] | None

    @classmethod
    def fit(
        cls,
        frame: Table,
        target: ColumnNames | None = None,
        y: Any = None,
        *,
        task: str = "auto",
        scale: Scaling = True,
        labels: Sequence[Label] | None = None,
    ) -> "TableEncoding":
        """That of the training examples, whose statistics it takes.

        Numbers are standardised in double precision, missing ones filled with the median; text and categories get an
        input for each category that is not rare; constant columns and text that is another in every row are left out.

        **Arguments:**

        - `frame`: a DataFrame of pandas, polars or another library that narwhals knows, or an array (n, columns).
        - `target`: the column of `frame` that is to be predicted, or several.
        - `y`: in place of `target`, the answers: (n,), or (n, k), or a DataFrame.
        - `task`: `"classification"`, `"regression"`, or `"auto"`: by what the answers are.
        - `scale`: whether numbers and targets are standardised; with `"inputs"` targets stay as they are, as counts.
        - `labels`: all classes in sorted order, where the training examples may not have each of them.

        **Raises:** `InputError` for a target that is not there, answers that leave the task open or do not fit it,
        fewer than 2 rows, one class alone, infinite numbers, dates, and where no column is left.
        """
        if scale not in (True, False, "inputs"):
            raise InputError(f"scale={scale!r} is not allowed: it takes True, False, or 'inputs' for the inputs alone.")
        table = read_columns(frame, "The table")
        table, answers = inputs_and_answers(table, target, y)
        settled = checked_task(table, answers, task)
        if settled == "classification" and labels is None:
            labels = label_names(answers)
        return cls.of_checked(table, answers, scale=scale, labels=labels if settled == "classification" else None)

    @classmethod
    def of_checked(
        cls, table: Columns, answers: Columns, *, scale: Scaling, labels: Sequence[Label] | None
    ) -> "TableEncoding":
        """That of columns, or of some of their rows, that `checked_task` has not refused.

        **Arguments:** as for `fit`; without `labels` the answers are targets.

        **Raises:** `InputError` where no column is left.
        """
        classes = None if labels is None else tuple(labels)
        scales = target_scales(answers, scale=scale is True) if labels is None else None
        columns = tuple(fit_column(name, values, scale=bool(scale)) for name, values in table.by_name.items())
        encoding = cls(columns, table.named, answers.names, classes, scales)
        if not encoding.input_names:
            why = "; ".join(encoding.remarks)
            raise InputError(f"No column of the table is left to learn from{': ' if why else ''}{why}; give others.")
        return encoding

    @property
    def task(self) -> Task:
        """What is learned."""
        return "regression" if self.labels is None else "classification"

    @functools.cached_property
    def input_names(self) -> tuple[str, ...]:
        """What the inputs of the network are called: numbers first, then where they were missing, then categories."""
        indicators = [name for column in self._numbers for name in column.input_names[1:]]
        categories = [name for column in self._categories for name in column.input_names]
        return (*(column.name for column in self._numbers), *indicators, *categories)

    @property
    def target_mean(self) -> Float64[np.ndarray, " k"] | None:
        """The mean of each target: an answer in the user's units is `target_mean + target_std` times the network's."""
        return (
            None if self.target_scales is None else np.array([scale.mean for scale in self.target_scales], np.float64)
        )

    @property
    def target_std(self) -> Float64[np.ndarray, " k"] | None:
        """The standard deviation of each target, in the user's units."""
        return None if self.target_scales is None else np.array([scale.std for scale in self.target_scales], np.float64)

    def in_user_units(self, values: Float[np.ndarray, "... k"]) -> Float64[np.ndarray, "... k"]:
        """Targets of the network in the user's units."""
        mean, std = np.array(self.target_scales, np.float64).T
        return mean + std * values.astype(np.float64)

    @property
    def remarks(self) -> list[str]:
        """What a user should know of the columns and the names of the classes, a sentence each."""
        dropped: dict[str, list[str]] = {}
        for column in self.columns:
            if isinstance(column, DroppedColumn):
                dropped.setdefault(column.reason, []).append(column.name)
        said = []
        for column in self.columns:
            alike = dropped[column.reason] if isinstance(column, DroppedColumn) else []
            if len(alike) <= SEVERAL:
                said += [column.remark] if column.remark else []
            elif column.name == alike[0]:
                more = f"and {len(alike) - SEVERAL} more are left out as this is"
                said.append(f"{column.remark}; {', '.join(map(repr, alike[1:SEVERAL]))} {more}")
        return said + ([] if self.labels is None else remarks_of_labels(self.labels))

    def inputs(self, table: Table) -> Float32[np.ndarray, "n d"]:
        """A table as the network takes it. A category that training has not seen is none of those that it has, and
        missing numbers are the median; a warning says so.

        **Arguments:**

        - `table`: a DataFrame, whose columns are found by their names, in any order; those of the targets and those
          that were left out of training need not be there. Or an array (n, columns), in the order of training.

        **Raises:** `InputError` for columns that are missing or were not there in training, text in place of numbers,
        and infinite numbers.
        """
        columns = self._found(read_columns(table, "The table"))
        numbers = np.empty((columns.rows, len(self._numbers)), np.float64)
        for place, column in enumerate(self._numbers):
            numbers[:, place] = numbers_of(column.name, columns.by_name[column.name])
        absent = np.isnan(numbers)
        mean, std, fill, spread, had_missing = self._statistics
        self._warn_of_missing(absent & ~had_missing)
        # In place: tables are large.
        np.copyto(numbers, fill, where=absent)
        if spread.any():
            numbers = squeezed(numbers, fill, spread)
        with np.errstate(over="ignore"):
            numbers -= mean
            numbers /= std
        self._refuse_farthest(numbers, columns)
        parts = [numbers, absent[:, had_missing].astype(np.float64)]
        parts += [_one_hot(column, columns.by_name[column.name]) for column in self._categories]
        return to_float32(np.concatenate(parts, axis=1), "The table")

    def answers(self, answers: Any) -> Int32[np.ndarray, " n"] | Float32[np.ndarray, "n k"]:
        """The numbers of classes, or standardised targets.

        **Arguments:**

        - `answers`: a DataFrame with the columns of the targets, or an array (n,) or (n, k).

        **Raises:** `InputError` for targets that are not there, missing or infinite, and for classes that training had
        not.
        """
        columns = read_columns(answers, "y", name="y")
        if columns.named and set(self.target_names) <= set(columns.names):
            columns = columns.only(self.target_names)
        if self.labels is not None:
            return numbered(columns, self.labels)
        targets = target_numbers(columns)
        if targets.shape[1] != len(self.target_names):
            raise InputError(
                f"There are {targets.shape[1]} targets, but training had {len(self.target_names)}; give those."
            )
        return to_float32((targets - self.target_mean) / self.target_std, "The targets")

    def to_json(self) -> dict[str, Any]:
        """The record as JSON-ready values."""
        return {
            "columns": [_record(column) for column in self.columns],
            "named": self.named,
            "target_names": list(self.target_names),
            "labels": None if self.labels is None else list(self.labels),
            "target_scales": None if self.target_scales is None else [list(scale) for scale in self.target_scales],
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "TableEncoding":
        """The record that `to_json` wrote. **Raises:** `InputError` for another."""
        if not _is_record(record):
            raise InputError("The record of a table's encoding was truncated or altered; restore it or train again.")
        labels, scales = record["labels"], record["target_scales"]
        return cls(
            tuple(_column(column) for column in record["columns"]),
            record["named"],
            tuple(record["target_names"]),
            None if labels is None else tuple(labels),
            None if scales is None else tuple(Scale(float(mean), float(std)) for mean, std in scales),
        )

    @functools.cached_property
    def _numbers(self) -> tuple[NumberColumn, ...]:
        return tuple(column for column in self.columns if isinstance(column, NumberColumn))

    @functools.cached_property
    def _categories(self) -> tuple[CategoryColumn, ...]:
        return tuple(column for column in self.columns if isinstance(column, CategoryColumn))

    @functools.cached_property
    def _statistics(
        self,
    ) -> tuple[
        Float64[np.ndarray, " k"],
        Float64[np.ndarray, " k"],
        Float64[np.ndarray, " k"],
        Float64[np.ndarray, " k"],
        Bool[np.ndarray, " k"],
    ]:
        """Means, deviations, fills and spreads of the columns of numbers, and which of them had missing values."""
        of = [(column.mean, column.std, column.fill, column.spread) for column in self._numbers]
        mean, std, fill, spread = np.array(of, np.float64).reshape(-1, 4).T
        return mean, std, fill, spread, np.array([column.missing > 0 for column in self._numbers], bool)

    def _found(self, table: Columns) -> Columns:
        """The columns of a table under the names of training."""
        names = tuple(column.name for column in self.columns)
        if not (self.named and table.named):
            if len(table.names) != len(names):
                raise InputError(
                    f"The table has {len(table.names)} columns, but training had {len(names)}; give those, in the same "
                    "order."
                )
            return Columns(dict(zip(names, table.by_name.values(), strict=True)), table.rows, self.named)
        needed = [column.name for column in self.columns if not isinstance(column, DroppedColumn)]
        missing = [name for name in needed if name not in table.by_name]
        if missing:
            raise InputError(
                f"The table has no column {missing[0]!r}{nearest(missing[0], table.names)}, which training had; "
                f"{len(missing)} of {len(needed)} columns are missing: give all of them."
            )
        other = [name for name in table.names if name not in names and name not in self.target_names]
        if other:
            raise InputError(
                f"The table has a column {other[0]!r}{nearest(other[0], names)}, which training had not; leave it out"
                f"{f', and {len(other) - 1} more' if len(other) > 1 else ''}."
            )
        return table

    def _refuse_farthest(self, numbers: Float64[np.ndarray, "n k"], columns: Columns) -> None:
        far = np.abs(numbers) > np.finfo(np.float32).max
        if far.any():
            row, place = (int(index) for index in np.argwhere(far)[0])
            name = self._numbers[place].name
            raise InputError(
                f"Column {name!r} is {float(columns.by_name[name][row]):g} in row {row}, counted from 0, which is so "
                "far from the training examples that single precision has no number for it; correct it, or leave that "
                "row out."
            )

    def _warn_of_missing(self, absent: Bool[np.ndarray, "n k"]) -> None:
        for place in np.flatnonzero(absent.any(axis=0)):
            column = self._numbers[place]
            warnings.warn(
                f"Column {column.name!r} has {int(absent[:, place].sum())} missing values, and had none in training: "
                f"they are filled with the median {column.fill:g}.",
                stacklevel=4,
            )


def checked_task(table: Columns, answers: Columns, task: str) -> Task:
    """What a new training on these columns learns. It is asked once, of all rows: a part of them may look otherwise.

    **Raises:** as `settled_task`, and `InputError` for fewer than 2 rows, too many columns, and mistakes in them.
    """
    if table.rows < 2:
        raise InputError(f"The table has {table.rows} row{'' if table.rows == 1 else 's'}; give at least 2.")
    if len(table.names) > MOST_COLUMNS:
        raise InputError(
            f"The table has {len(table.names)} columns, and at most {MOST_COLUMNS} are encoded; leave some out, or "
            "give numbers that are standardised already in an .npz file with scale=False (--scale 0)."
        )
    refuse_empty_text(answers)
    settled = settled_task(answers, task)
    if settled == "regression":
        refuse_mistaken_targets(answers)
    for name, values in table.by_name.items():
        refuse_mistakes(name, values)
    return settled


def _one_hot(column: CategoryColumn, values: np.ndarray) -> Float64[np.ndarray, "n inputs"]:
    texts = texts_of(values)
    if column.without_spaces:
        texts = [without_spaces(text) for text in texts]
    place = {category: place for place, category in enumerate(column.categories)}
    width = len(place)
    rare = width if column.rare else None
    missing = width + bool(column.rare) if column.missing else None
    as_read = _as_read(place)
    places = [missing if text is None else _place(text, place, as_read, rare) for text in texts]
    _warn_of_unseen(column, texts, places)
    made = np.zeros((len(texts), len(column.input_names)), np.float64)
    rows = [row for row, at in enumerate(places) if at is not None]
    made[rows, [at for at in places if at is not None]] = 1.0
    return made


def _place(text: str, place: dict[str, int], as_read: dict[str | float, int], otherwise: int | None) -> int | None:
    if not isinstance(text, Name):
        return place.get(text, otherwise)
    # Older encodings have numbers as Python writes them.
    for name in (text.plain, text):
        if name in place:
            return place[name]
    value = _value_in(text)
    same = _TRUTH.get(value) if value is not None else None
    return next((as_read[key] for key in (value, same) if key is not None and key in as_read), otherwise)


# Truth values are read as numbers where some are missing.
_TRUTH: dict[str | float, str | float] = {"true": 1.0, "false": 0.0, 1.0: "true", 0.0: "false"}


def _as_read(place: dict[str, int]) -> dict[str | float, int]:
    """The places of categories by the value that each is, where no other is the same one: a column of codes 01, 02, or
    of true, false and maybe, may hold nothing but numbers or truth values elsewhere, and is read as such.
    """
    of_value = [(value, at) for category, at in place.items() if (value := _value_in(category)) is not None]
    times = Counter(value for value, _ in of_value)
    return {value: at for value, at in of_value if times[value] == 1}


def _value_in(text: str) -> str | float | None:
    """The truth value or the number that a text is; `None` for others, and for a number of too many digits."""
    if (truth := text.lower()) in ("true", "false"):
        return truth
    number = number_in(text)
    return number if number is not None and abs(number) < 2**53 else None


def _warn_of_unseen(column: CategoryColumn, texts: list[str | None], places: list[int | None]) -> None:
    unseen = [text for text, at in zip(texts, places, strict=True) if at is None]
    if unseen:
        what = "no category" if unseen[0] is None else f"a category such as {unseen[0]!r:.40}"
        warnings.warn(
            f"Column {column.name!r} has {what}, which training had not, in {len(unseen)} rows: there it is none of "
            "those that training had.",
            stacklevel=5,
        )


_KINDS: dict[str, type[Column]] = {"number": NumberColumn, "category": CategoryColumn, "dropped": DroppedColumn}
_NAMES: dict[type[Column], str] = {kind: name for name, kind in _KINDS.items()}


def _record(column: Column) -> dict[str, Any]:
    values = {name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(column).items()}
    return {"kind": _NAMES[type(column)], **values}


def _column(record: Mapping[str, Any]) -> Column:
    values = {name: value for name, value in record.items() if name != "kind"}
    if record["kind"] == "number":
        values |= {name: float(values[name]) for name in ("mean", "std", "fill", "spread")}
    if record["kind"] == "category":
        values["categories"] = tuple(values["categories"])
    return _KINDS[record["kind"]](**values)


def _is_record(record: Mapping[str, Any]) -> bool:
    fields = {field.name for field in dataclasses.fields(TableEncoding)}
    if record.keys() != fields or not isinstance(record["columns"], list) or not isinstance(record["named"], bool):
        return False
    targets, labels, scales = record["target_names"], record["labels"], record["target_scales"]
    return (
        all(_is_column(column) for column in record["columns"])
        and len({column["name"] for column in record["columns"]}) == len(record["columns"])
        and _are(targets, str)
        and len(targets) > 0
        and (labels is None) != (scales is None)
        and (labels is None or (_are(labels, str | int | float) and len(set(labels)) == len(labels) > 1))
        and (
            scales is None or (isinstance(scales, list) and len(scales) == len(targets) and all(map(_is_scale, scales)))
        )
    )


def _is_column(record: object) -> TypeGuard[dict[str, Any]]:
    if not isinstance(record, dict) or not isinstance(record.get("kind"), str) or record["kind"] not in _KINDS:
        return False
    fields = {field.name: field.default for field in dataclasses.fields(_KINDS[record["kind"]])}
    # What older encodings do not say is false.
    added = {name for name, default in fields.items() if default is False}
    if not fields.keys() - added <= record.keys() - {"kind"} <= fields.keys() or not isinstance(record["name"], str):
        return False
    if not all(isinstance(record.get(name, False), bool) for name in added):
        return False
    if record["kind"] == "dropped":
        return record["reason"] in get_args(get_type_hints(DroppedColumn)["reason"])
    if not _is_count(record["missing"]):
        return False
    if record["kind"] == "number":
        return (
            _is_scale([record["mean"], record["std"]])
            and _is_real(record["fill"])
            and _is_real(record["spread"])
            and record["spread"] >= 0
            and isinstance(record["counts_rows"], bool)
        )
    categories = record["categories"]
    return _are(categories, str) and len(set(categories)) == len(categories) > 0 and _is_count(record["rare"])


def _are(values: Any, kind: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, kind) for value in values)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_real(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_scale(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_real, value)) and value[1] > 0
