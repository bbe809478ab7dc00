"""Tables in files: csv and tsv, whose first line names the columns, and parquet.

They are read by polars, which is one library for all three, takes the type of a column from all of its rows, and needs
no other one for parquet.
"""

import codecs
import contextlib
import csv
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

from sdebnn.data.columns import MOST_CATEGORIES
from sdebnn.data.frames import refuse_twice
from sdebnn.errors import InputError
from sdebnn.extras import require
from sdebnn.machine import refuse_too_large
from sdebnn.storage import reading

if TYPE_CHECKING:
    import polars as pl

SUFFIXES = (".csv", ".tsv", ".parquet")
# What stands for a missing value in the files of other programs.
MISSING = ["", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "#N/A", "?"]
HEADER = 2**20  # bytes
# Bytes that a value takes until the network has it, measured: the table, columns, numbers in double and in single
# precision. One of text is an object besides, and has an input for each category.
OF_NUMBER, OF_TEXT, OF_INPUT = 44, 160, 16
# The rows by which a parquet file is judged.
SAMPLE = 1000


def is_table_file(path: Path) -> bool:
    """Whether a file is a table by its name, in small letters or in capital ones."""
    return path.suffix.lower() in SUFFIXES


def read_table(path: Path) -> "pl.DataFrame":
    """The table in a file that ends in .csv, .tsv or .parquet.

    In a csv values are separated by commas, semicolons or tabs, whichever its first line has most, or by `|` if it has
    none of them; between semicolons numbers may have a comma for their decimals. Empty fields and `NA`, `NaN`, `NULL`,
    `None`, `?` and their like are missing values. Columns that have neither a name nor values are left out.

    **Raises:** `InputError` when polars is not installed; when the file is missing or no such table, has two columns of
    one name, or takes more memory to be used than is at hand, of which its first rows tell how much.
    """
    require(f"Reading {path.suffix} files", "tables")
    import polars as pl

    with reading(path) as file:
        start = file.read(HEADER)
        size = file.seek(0, io.SEEK_END)
    refuse_too_large(path, size, size)
    try:
        if path.suffix.lower() == ".parquet":
            lazy = pl.scan_parquet(path, glob=False, hive_partitioning=False)
            rows = lazy.select(pl.len()).collect().item()
            refuse_too_large(path, size, rows * _bytes_of_row(lazy.head(SAMPLE).collect()))
            table = pl.read_parquet(path, glob=False, hive_partitioning=False)
        else:
            separator, header = _header(path, start)

            def read(source: Path | io.BytesIO) -> pl.DataFrame:
                found = pl.read_csv(
                    source,
                    separator=separator,
                    decimal_comma=separator == ";" and _has_decimal_commas(start),
                    null_values=MISSING,
                    infer_schema_length=None,
                    glob=False,
                )
                # Of several columns without a name all but the first have one of the reader's.
                names = header if len(header) == found.width else found.columns
                columns = [
                    (series.name.strip() if name else "", _without_spaces(series))
                    for series, name in zip(found.iter_columns(), names, strict=True)
                    # Programs of tables write such for cells that were used once.
                    if name or series.null_count() < len(series)
                ]
                refuse_twice((name for name, _ in columns), str(path))
                return pl.DataFrame(dict(columns))

            if size > len(start):
                # Where they are no table by themselves, the whole may be one.
                with contextlib.suppress(pl.exceptions.PolarsError, pl.exceptions.PanicException):
                    first = _whole_rows(start)
                    needed = _bytes_of_row(found := read(io.BytesIO(first))) * found.height
                    refuse_too_large(path, size, size * needed // len(first))
            table = read(path)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        if path.suffix.lower() != ".parquet":
            _refuse_odd_line(path, separator)
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise InputError(
            f"{path} cannot be read as a table of type {path.suffix} ({reason}); write it again, with the names of the "
            "columns in the first line and as many values in each other one."
        ) from None
    if not table.height:
        raise InputError(f"{path} has no rows; give at least one below the names of the columns.")
    return table


def without_empty_end(table: "pl.DataFrame") -> "pl.DataFrame":
    """A table without the rows at its end that have no values, which programs of tables write."""
    import polars as pl

    there = table.select(pl.any_horizontal(pl.all().is_not_null())).to_series().arg_true()
    return table.head(there[-1] + 1 if len(there) else 0)


def _header(path: Path, start: bytes) -> tuple[str, list[str]]:
    """What separates the values of a csv, and the names of its columns. **Raises:** `InputError` where its first line
    names none.
    """
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(f"{path} is text in UTF-16; save it again in UTF-8.")
    line = start.lstrip(codecs.BOM_UTF8).partition(b"\n")[0]
    if not line.strip() or b"\0" in start:
        what = "is not text" if line.strip() else "begins with an empty line" if start.strip() else "is empty"
        raise InputError(f"{path} {what}; give a csv that begins with a line of names.")
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text in UTF-8; save it again in that encoding.") from None
    separators = ",;\t" if any(sign in text for sign in ",;\t") else ",|"
    separator = "\t" if path.suffix.lower() == ".tsv" else max(separators, key=text.count)
    if "\r" in text.rstrip("\r"):
        raise InputError(f"{path} has lines that end in a carriage return alone; save it again with a line feed.")
    names = [name.strip() for name in next(csv.reader([text], delimiter=separator))]
    refuse_twice(filter(None, names), str(path))
    return separator, names


def _refuse_odd_line(path: Path, separator: str) -> None:
    """**Raises:** `InputError` where a line of a csv has too many values, or is not UTF-8."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, delimiter=separator)
            # Names in quotes may have lines of their own.
            columns = len(next(lines))
            odd = next((len(line) for line in lines if len(line) > columns), None)
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text in UTF-8; save it again in that encoding.") from None
    except csv.Error:
        return
    if odd is not None:
        raise InputError(
            f"{path} cannot be read as a table: line {lines.line_num} has {odd} values, and the first line names "
            f"{columns} columns; write as many values in each line, in quotes where they have a {separator!r} in them."
        )


def _without_spaces(series: "pl.Series") -> "pl.Series":
    """A column without the spaces around its text, which hide numbers and missing values from the reader."""
    import polars as pl

    if series.dtype != pl.String or (series == series.str.strip_chars()).all():
        return series
    texts = series.str.strip_chars()
    texts = texts.set(texts.is_in(MISSING), None)
    for kind in (pl.Int64, pl.Float64):
        numbers = texts.cast(kind, strict=False)
        if numbers.null_count() == texts.null_count():
            return numbers
    return texts


def _has_decimal_commas(start: bytes) -> bool:
    return re.search(rb"\d,\d", start) is not None and re.search(rb"\d\.\d", start) is None


def _whole_rows(start: bytes) -> bytes:
    """Those that end in the start of a file; text in quotes may have lines of its own."""
    end = start.rfind(b"\n") + 1
    while end and start.count(b'"', 0, end) % 2:
        end = start.rfind(b"\n", 0, end - 1) + 1
    return start[:end] if end else start


def _bytes_of_row(first: "pl.DataFrame") -> int:
    """What a row takes until the network has it, by the first rows of a table."""
    texts = [series for series in first.iter_columns() if not series.dtype.is_numeric()]
    # What is all the same, or all different, is left out.
    kinds = [series.n_unique() for series in texts]
    inputs = sum(min(kind, MOST_CATEGORIES) for kind in kinds if 1 < kind < first.height)
    return OF_NUMBER * (first.width - len(texts)) + OF_TEXT * len(texts) + OF_INPUT * inputs
