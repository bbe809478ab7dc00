"""A user's table, taken apart into columns of NumPy: a DataFrame of any library that narwhals knows, or an array."""

import dataclasses
import datetime
import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn, TypeAlias

import narwhals as nw
import numpy as np
from jaxtyping import Int

from sdebnn.data.inputs import plain_numbers
from sdebnn.errors import InputError

# A DataFrame of a library that narwhals knows, or what NumPy makes an array of.
Table: TypeAlias = Any
ColumnNames: TypeAlias = str | int | Sequence[str | int]

_DATES = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)


class Name(str):
    """The name, as a category, of a value that is no text; `plain` is another one that it may have: the value as Python
    writes it, which was its name in older encodings.
    """

    __slots__ = ("plain",)
    plain: str

    def __new__(cls, name: str, plain: str | None = None) -> "Name":
        """Without `plain` it is the name."""
        made = super().__new__(cls, name)
        made.plain = name if plain is None else plain
        return made


@dataclasses.dataclass(frozen=True)
class Columns:
    """The columns of a table by name, in order.

    Each is (n,): numbers of NumPy, in which NaN is a missing value; or objects that are text, `Name` of what was none,
    or `None` where missing.
    `named` tells whether the names are the user's, or those that the columns of an array got here.
    """

    by_name: dict[str, np.ndarray]
    rows: int
    named: bool

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(self.by_name)

    def take(self, rows: Int[np.ndarray, " _"]) -> "Columns":
        """Some of the rows."""
        return Columns({name: values[rows] for name, values in self.by_name.items()}, len(rows), self.named)

    def only(self, names: Iterable[str]) -> "Columns":
        """Some of the columns."""
        return Columns({name: self.by_name[name] for name in names}, self.rows, self.named)


def read_columns(table: Table, what: str, *, name: str = "x") -> Columns:
    """The columns of a table.

    **Arguments:**

    - `table`: a DataFrame of pandas, polars or another library that narwhals knows; or whatever NumPy makes an array of
      shape (n, d), or (n,), which is one column; or `Columns`, which are given back.
    - `what`: names it in errors.
    - `name`: what the columns of an array are called, with their number behind it.

    **Raises:** `InputError` for names that come twice, dates, and what is neither numbers nor text.
    """
    if isinstance(table, Columns):
        return table
    refuse_no_table(table, what)
    return _of_frame(table, what) if nw.dependencies.is_into_dataframe(table) else _of_array(table, what, name)


def refuse_no_table(table: Table, what: str) -> None:
    """**Raises:** `InputError` for what has the values of a table, but not as a table: a lazy or a sparse one, a
    mapping, or records; and for one that has two columns of one name.
    """
    if nw.dependencies.is_into_dataframe(table):
        # The columns of a table of pyarrow are arrays.
        refuse_twice(getattr(table, "column_names", table.columns), what)
    elif hasattr(table, "collect") or (hasattr(table, "compute") and hasattr(table, "columns")):
        method = "collect" if hasattr(table, "collect") else "compute"
        raise InputError(f"{what} is a lazy table, a {type(table).__name__}; give what its {method}() returns.")
    elif hasattr(table, "toarray"):
        raise InputError(
            f"{what} is a sparse {type(table).__name__}; give what its toarray() returns, or have scikit-learn's "
            "transformers give arrays, with sparse_output=False, or sparse_threshold=0 of a ColumnTransformer."
        )
    elif isinstance(table, Mapping):
        _refuse_of_no_shape(table, what)
    elif getattr(getattr(table, "dtype", None), "names", None) or (
        isinstance(table, list) and table and isinstance(table[0], Mapping)
    ):
        raise InputError(
            f"{what} has rows whose values have names; give the DataFrame that pandas.DataFrame makes of it."
        )


def _refuse_of_no_shape(table: Table, what: str) -> NoReturn:
    raise InputError(
        f"{what} is a {type(table).__name__}; give a DataFrame of pandas or polars, or an array (n, columns)."
    )


def rows_of(x: Table) -> Any:
    """Rows of a table, to which more dimensions of an array are flattened; anything else as it is."""
    return x.reshape(len(x), -1) if isinstance(x, np.ndarray) and x.ndim > 2 else x


def refuse_twice(names: Iterable[Any], what: str) -> None:
    """**Raises:** `InputError` when a name comes twice."""
    seen: set[str] = set()
    for name in map(str, names):
        if name in seen:
            raise InputError(f"{what} has two columns {name!r}; rename one of them, or leave it out.")
        seen.add(name)


def _of_frame(table: Table, what: str) -> Columns:
    frame = nw.from_native(table, eager_only=True)
    by_name = {str(series.name): _of_series(series, f"Column {series.name!r}") for series in frame.iter_columns()}
    return Columns(by_name, len(frame), True)


def _of_series(series: nw.Series[Any], what: str) -> np.ndarray:
    kind = series.dtype
    if kind.is_temporal():
        refuse_dates(what)
    if kind.is_numeric() or kind == nw.Boolean:
        # A cast takes as long as a prediction, and floating-point numbers hardly ever need one.
        if kind.is_float() and (values := series.to_numpy()).dtype.kind == "f":
            return np.ascontiguousarray(values, np.float64)
        whole = kind == nw.Boolean or (kind.is_integer() and kind not in (nw.Int128, nw.UInt128))
        plain = whole and not series.is_null().any()
        return np.ascontiguousarray((series if plain else series.cast(nw.Float64)).to_numpy())
    if kind in (nw.List, nw.Array, nw.Struct):
        raise InputError(f"{what} holds {kind}, but a column holds numbers or text; make columns of its parts.")
    # Categories that are numbers are none to compute with.
    return _of_objects(series.to_list(), what, as_text=kind in (nw.Categorical, nw.Enum))


def _of_array(table: Table, what: str, name: str) -> Columns:
    try:
        array = table if isinstance(table, np.ndarray) else np.asarray(table)
    except ValueError as error:
        raise InputError(f"{what} is no table: {error}; give rows that are all of one length.") from None
    if array.ndim == 0:
        _refuse_of_no_shape(table, what)
    if array.dtype.kind in "Mm":
        refuse_dates(what)
    if array.ndim not in (1, 2) or array.dtype.kind not in "buifOUST":
        raise InputError(
            f"{what} is {array.dtype} of shape {array.shape}, but a table holds numbers or text, (n, columns)."
        )
    names = [name] if array.ndim == 1 else [f"{name}{number}" for number in range(array.shape[1])]
    if array.dtype.kind in "US" and not isinstance(table, np.ndarray):
        # Where one value is text NumPy makes text of the numbers beside it.
        array = np.array(table, object)
    array = array[:, None] if array.ndim == 1 else array
    if array.dtype.kind in "buif":
        array = plain_numbers(array, what)
        columns = list(array.T)
    else:
        columns = [
            _of_objects(column.tolist(), f"Column {name!r}") for name, column in zip(names, array.T, strict=True)
        ]
    return Columns(dict(zip(names, columns, strict=True)), len(array), False)


def _of_objects(values: list[Any], what: str, *, as_text: bool = False) -> np.ndarray:
    missing = [_is_missing(value) for value in values]
    there = [value for value, absent in zip(values, missing, strict=True) if not absent]
    if any(isinstance(value, _DATES) or type(value).__name__ == "Period" for value in there):
        refuse_dates(what)
    if not as_text and all(isinstance(value, bool | np.bool_ | numbers.Number) for value in there):
        if there and not any(missing) and all(isinstance(value, bool | np.bool_) for value in there):
            return np.array(there, bool)
        whole = there and not any(missing) and all(isinstance(value, numbers.Integral) for value in there)
        if whole and max(map(abs, there)) < 2**63:
            return np.array(there, np.int64)
        if all(isinstance(value, numbers.Real) or not isinstance(value, numbers.Complex) for value in there):
            return np.array([np.nan if absent else _float(v) for v, absent in zip(values, missing, strict=True)])
    strange = next((value for value in there if not isinstance(value, str | bool | np.bool_ | numbers.Real)), None)
    if strange is not None and not as_text:
        remedy = "decode it, as .decode() does" if isinstance(strange, bytes) else "make columns of its parts"
        raise InputError(f"{what} holds objects such as {strange!r:.40}, but a column holds numbers or text; {remedy}.")
    texts = np.empty(len(values), object)
    texts[:] = [
        None if absent else value if isinstance(value, str) else Name(name_of(value), str(value))
        for value, absent in zip(values, missing, strict=True)
    ]
    return texts


def _float(value: Any) -> float:
    """A number in double precision, infinite where it is larger than any of that."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def name_of(value: object) -> str:
    """A value as the name of a category. Whole numbers have no decimals: what was a column of categories 1, 2 is read
    as 1.0, 2.0 where values are missing.
    """
    return str(int(value) if isinstance(value, float | np.floating) and value.is_integer() else value)


def _is_missing(value: object) -> bool:
    # Those of pandas are not equal to themselves, nor are they comparable.
    return (
        value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)
    )


def refuse_dates(what: str, text: str | None = None, names: str | None = None) -> NoReturn:
    """**Raises:** `InputError` for a column of dates or times, or of text that is written like them; `names` says what
    to do with text if they are names.
    """
    written = "" if text is None else f" as text, such as {text!r:.40}"
    raise InputError(
        f"{what} holds dates or times{written}, which are no numbers of themselves; take the parts that matter in its "
        "place, as columns of numbers, such as the year, the month, the day of the week or the days since a date"
        f"{f', or {names}' if names else ''}."
    )
