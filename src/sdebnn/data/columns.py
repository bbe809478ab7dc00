"""What becomes of a column of a table: numbers, categories, or nothing at all."""

import dataclasses
import re
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, Float64

from sdebnn.data.frames import Name, name_of, refuse_dates
from sdebnn.errors import InputError

# Categories that get an input of their own: the most frequent, each of which comes twice at least.
MOST_CATEGORIES = 32
# Different texts of which so large a share are numbers are a column of numbers with mistakes in it. How often each
# comes is no matter: a part of the rows would be read otherwise.
NUMBERS = 0.8
# Of what nothing else is written like, half are enough.
DATES = 0.5
_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")
# With commas in it, thousands apart, a currency or a sign of per cent, in brackets or with the longer minus.
_SIGN, _GROUPS = "[-+\u2212]?", r"[1-9]\d{0,2}([\s'\u2019]\d{3})+([.,]\d+)?"
_AMOUNT = rf"({_GROUPS}|\d[\d.,]*)"
_CURRENCY = r"([A-Z]{0,2}\$|[€£¥₹₽₩₺₪]|USD|EUR|GBP|CHF|JPY|CNY|INR|SEK|NOK|DKK|PLN)"
_WRITTEN = re.compile(
    rf"\s*({_SIGN}\d[\d.]*(,\d+)+(\.\d+)?|{_SIGN}{_GROUPS}|{_SIGN}{_CURRENCY}\s*{_SIGN}{_AMOUNT}"
    rf"|{_SIGN}{_AMOUNT}\s*([%‰]|{_CURRENCY})|\({_CURRENCY}?\s*{_AMOUNT}\s*({_CURRENCY}|%)?\)"
    r"|\u2212(\d+\.?\d*|\.\d+)([eE][-+\u2212]?\d+)?)\s*"
)
_LIKE_NUMBERS = re.compile(f"{_NUMBER.pattern}|{_WRITTEN.pattern}")
# A number and its unit.
_MEASURED = re.compile(rf"\s*{_SIGN}(?P<amount>\d([\d.,]*\d)?)\s*(?P<unit>[^\W\d]\D*|[°µ\"']\D*)\s*")
# Months by number, and by name in English and German.
_DAY, _MONTH, _YEAR = r"(0?[1-9]|[12]\d|3[01])", r"(0?[1-9]|1[0-2])", r"(1[89]\d\d|2[01]\d\d|2200)"
_NAME = r"(?i:jan(uary|uar)?|feb(ruary|ruar)?|mar(ch)?|märz?|mrz|apr(il)?|may|mai|june?|juni|july?|juli|aug(ust)?"
_NAME += r"|sept?(ember)?|o[ck]t(ober)?|nov(ember)?|de[cz](ember)?)\.?"
_WEEKDAY = r"(?i:((mon|tues?|wed(nes)?|thu(rs)?|fri|sat(ur)?|sun)(day)?|mo|di|mi|do|fr|sa|so)\.?,? )?"
_DATE = rf"{_WEEKDAY}({_YEAR}[-/]{_MONTH}[-/]{_DAY}|({_DAY}[-/.]{_MONTH}|{_MONTH}[-/.]{_DAY})[-/.]{_YEAR}"
_DATE += rf"|{_DAY}[-/. ]{{1,2}}{_NAME}[-/. ]{_YEAR}|{_NAME} {_DAY},? {_YEAR})"
# Versions, sort codes and sizes are written so as well.
_SHORT = rf"({_YEAR}\.{_MONTH}\.{_DAY}|({_DAY}[-/]{_MONTH}|{_MONTH}[-/]{_DAY})[-/]\d\d"
_SHORT += rf"|{_DAY}[-/. ]{{1,2}}{_NAME}[-/. ]\d\d)"
# Without a day: months, quarters and weeks.
_DAYLESS = rf"({_YEAR}[-/]{_MONTH}|{_MONTH}[-/]{_YEAR}|{_NAME}[-/. ]{{1,2}}({_YEAR}|\d\d)"
_DAYLESS += rf"|{_YEAR}[-/ ]?Q[1-4]|Q[1-4][-/ ]?{_YEAR}|{_YEAR}[-/ ]?W\d\d)"
# And ratios.
_HOUR, _SECOND = r"([01]?\d|2[0-3]):[0-5]\d", r":[0-5]\d([.,]\d+)?"
_OF_DAY, _ZONE = r" ?[AaPp][Mm]", r" ?(Z|UTC|GMT|[+-]\d\d:?\d\d)"
_TIME = rf"{_HOUR}({_SECOND})?({_OF_DAY})?({_ZONE})?"
# An offset without seconds may be the end of a span.
_SURE_TIME = rf"({_HOUR}{_SECOND}({_OF_DAY})?({_ZONE})?|{_HOUR}({_OF_DAY}({_ZONE})?| ?(Z|UTC|GMT)))"
_SPAN = r"-?\d+:[0-5]\d(:[0-5]\d([.,]\d+)?)?"
_DATED = re.compile(rf"\s*({_DATE}([ T]{_TIME})?|{_SHORT}[ T]{_TIME}|{_SURE_TIME})\s*")
_PERHAPS_DATED = re.compile(rf"\s*(({_DATE}|{_SHORT})([ T]{_TIME})?|{_TIME}|{_DAYLESS}|{_SPAN})\s*")
# Where it is none of these its month or its day is none.
_LIKE_DATED = re.compile(rf"\s*({_YEAR}[-/.]\d+[-/.]\d+|\d+[-/.]\d+[-/.]{_YEAR})\s*")
_WRITTEN_SO = "it is written like numbers, dates or times: make them numbers unless they are names"
_LETTER = "put a letter before each if they are names"
LARGEST = 1e300
# Whole numbers lie so many times further apart than those of double precision.
COARSE = 1000
# A standard deviation of so many times the middle half of the values is that of a few far ones.
SKEWED = 10.0


Scaling: TypeAlias = bool | Literal["inputs"]
"""Whether inputs and targets are standardised, or inputs alone."""


class Scale(NamedTuple):
    """Mean and standard deviation, in the user's units; 0 and 1 where numbers stay as they are."""

    mean: float
    std: float


@dataclasses.dataclass(frozen=True)
class NumberColumn:
    """A column of numbers: one input, (value - mean) / std, and another that says where values are missing, if any
    were in training. Of a column with a few values far from the others it is arcsinh((value - median) / spread) that is
    standardised: a logarithm far away, so that those do not make the others all alike.

    **Arguments:**

    - `name`: of the column.
    - `mean`, `std`: in the user's units; 0 and 1 where it is not standardised.
    - `fill`: what stands for missing values: the median.
    - `missing`: how many values were missing in training.
    - `spread`: between the quartiles, of a column with values far from the others; else 0, and arcsinh is not taken.
    - `counts_rows`: whether it looks like a number of the row: whole numbers, all different and hardly with gaps.
    - `dated`: whether its whole numbers are all written like dates, such as 20240131. Older encodings do not say.
    """

    name: str
    mean: float
    std: float
    fill: float
    missing: int
    spread: float
    counts_rows: bool
    dated: bool = False

    @property
    def input_names(self) -> tuple[str, ...]:
        """What its inputs are called."""
        return (self.name, *([f"{self.name} is missing"] if self.missing else []))

    @property
    def remark(self) -> str | None:
        """What of it a user should know."""
        said = []
        if self.missing:
            said.append(
                f"{self.missing} missing values are filled with the median {self.fill:g}, and an input says where"
            )
        if self.spread:
            said.append("some values are far from the others, so arcsinh((value - median) / spread) is taken")
        if self.counts_rows:
            said.append("it looks like a number of the row; leave it out if it says nothing of the target")
        if self.dated:
            said.append(
                "its numbers are written like dates, 20240131, and jump where a month or a year ends; take the days "
                "since a date in their place"
            )
        return f"column {self.name!r}: {'; '.join(said)}" if said else None


@dataclasses.dataclass(frozen=True)
class CategoryColumn:
    """A column of categories: an input for each, 1 where it holds and else 0.

    **Arguments:**

    - `name`: of the column.
    - `categories`: those that have an input of their own, in sorted order.
    - `rare`: how many training examples have another; if any, these share an input.
    - `missing`: how many training examples have none; if any, these share an input.
    - `without_spaces`: whether texts are taken without the spaces around them, and what is nothing else is missing, as
      in a csv. In older encodings it is not.
    """

    name: str
    categories: tuple[str, ...]
    rare: int
    missing: int
    without_spaces: bool = False

    @property
    def input_names(self) -> tuple[str, ...]:
        """What its inputs are called."""
        shared = (("is another", self.rare), ("is missing", self.missing))
        own = [f"{self.name}={category}" for category in self.categories]
        return (*own, *(f"{self.name} {what}" for what, count in shared if count))

    @property
    def remark(self) -> str | None:
        """What of it a user should know."""
        said = [f"{self.rare} examples of rare categories share an input"] * bool(self.rare)
        said += [f"{self.missing} examples without a category share an input"] * bool(self.missing)
        numbers = sum(_NUMBER.fullmatch(category) is not None for category in self.categories)
        if numbers == len(self.categories) and (self.rare or not all(map(_is_whole, self.categories))):
            said.append("they are numbers as text: make them numbers unless they are names")
        elif len(self.categories) > numbers > len(self.categories) // 2:
            said.append("most of them are numbers as text: make them numbers, and the others missing, if they are none")
        if are_measured(self.categories) and (self.rare or any(map(_is_fraction, self.categories))):
            said.append("they are numbers with their unit: make them numbers unless they are names")
        if all(map(_PERHAPS_DATED.fullmatch, self.categories)):
            said.append("they are written like dates or times: make them numbers unless they are names")
        if alike := alike_but_for_capitals(self.categories):
            said.append(f"{alike}: write them alike if they are one")
        return f"column {self.name!r}: {' and '.join(said)}" if said else None


@dataclasses.dataclass(frozen=True)
class DroppedColumn:
    """A column that no input is made of, and why."""

    name: str
    reason: Literal["all missing", "constant", "all different", "all different numbers", "index"]

    @property
    def input_names(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def remark(self) -> str:
        """What of it a user should know."""
        why = {
            "all missing": "it has no values",
            "constant": "it has one value alone",
            "index": "it has no name and numbers the rows, as an index that pandas wrote; give it a name if it is none",
            "all different": "its text is another in every row, as that of an identifier",
            "all different numbers": f"its text is another in every row; {_WRITTEN_SO}",
        }[self.reason]
        return f"column {self.name!r} is left out: {why}"


Column = NumberColumn | CategoryColumn | DroppedColumn


def fit_column(name: str, values: np.ndarray, *, scale: bool) -> Column:
    """What is to become of a column of the training examples.

    **Arguments:**

    - `name`: of the column.
    - `values`: (n,), as those of `Columns`.
    - `scale`: whether numbers are to be standardised.

    **Raises:** `InputError` for infinite numbers.
    """
    return _of_text(name, values) if values.dtype.kind == "O" else _of_numbers(name, values, scale=scale)


def refuse_mistakes(name: str, values: np.ndarray) -> None:
    """**Raises:** `InputError` for infinite numbers, and for text that is certainly numbers or dates, in most of its
    kinds or in all, unless the column is one that is left out, of one value or hardly any.
    """
    if values.dtype.kind != "O":
        numbers_of(name, values)
        refuse_coarse(f"Column {name!r}", values)
        return
    texts = stripped(values)
    counts = Counter(text for text in texts if text is not None)
    missing = len(texts) - counts.total()
    if (len(counts) == 1 and not missing) or len(counts) == counts.total() < min(MANY, missing):
        return
    if (strange := strange_among_numbers(counts)) is not None:
        raise InputError(
            f"Column {name!r} holds numbers, but {strange!r:.40} in row {texts.index(strange)}, counted from 0; write "
            f"a number there, or leave it empty where the value is missing, or {_LETTER}."
        )
    refuse_written(f"Column {name!r}", counts, _LETTER)
    # Fewer all have an input of their own, so that nothing is lost, or are rare; that is said. Of a part of the rows
    # there are no more.
    if len(counts) > MOST_CATEGORIES:
        refuse_fractions(f"Column {name!r}", counts, _LETTER)


def refuse_coarse(what: str, values: np.ndarray) -> None:
    """**Raises:** `InputError` for whole numbers that are too large and too near each other for double precision."""
    if values.dtype.kind not in "iu" or not len(values):
        return
    low, high = int(values.min()), int(values.max())
    apart = float(np.spacing(float(max(abs(low), abs(high)))))
    if apart > 1 and 0 < high - low < COARSE * apart:
        raise InputError(
            f"{what} has whole numbers from {low} to {high}, of which double precision has one in {apart:g}; subtract "
            "the smallest of them from all."
        )


def stripped(values: np.ndarray) -> list[str | None]:
    """Text without the spaces around it, `None` where it is missing or nothing else."""
    return [without_spaces(text) for text in values.tolist()]


def without_spaces(text: str | None) -> str | None:
    """A text without the spaces around it; `None` where it is nothing else."""
    # `Name`, which has none, stays what it is.
    return text if text and not (text[0].isspace() or text[-1].isspace()) else (text or "").strip() or None


def alike_but_for_capitals(texts: Iterable[str]) -> str | None:
    """Says which texts are alike but for capitals and spaces around them, if any are."""
    seen: dict[str, str] = {}
    for text in texts:
        other = seen.setdefault(text.strip().casefold(), text)
        if other != text:
            return f"{other!r:.40} and {text!r:.40} differ in capitals or spaces alone"
    return None


def number_in(text: str) -> float | None:
    """The number that a text is; `None` where it is none."""
    return float(text) if _NUMBER.fullmatch(text) else None


def strange_among_numbers(counts: Counter[str]) -> str | None:
    """A text that is no number where the others are, by how often each comes: where few different ones are none, or
    few rows, each with a text of its own.
    """
    few, others = counts.total() - NUMBERS * counts.total(), []
    for text in counts:
        if not _NUMBER.fullmatch(text):
            others.append(text)
            # Identifiers are many, and a few of them tell.
            if len(others) > few:
                return None
    of_few_kinds = len(others) <= len(counts) - NUMBERS * len(counts)
    if others and (of_few_kinds or all(counts[text] == 1 for text in others)):
        return others[0]
    return None


def _are_most(form: re.Pattern[str], texts: Collection[str], share: float = NUMBERS) -> bool:
    """Whether so large a share of different texts are of this form."""
    others, most = 0, len(texts) - share * len(texts)
    for text in texts:
        if not form.fullmatch(text):
            others += 1
            if others > most:
                return False
    return bool(texts)


def refuse_written(what: str, counts: Counter[str], names: str) -> None:
    """**Raises:** `InputError` for texts that are numbers or dates as people write them; `names` says what to do if
    they are names. What may be dates, or be measured, is refused where it is too many categories.
    """
    if _are_dates(counts):
        refuse_dates(what, next(text for text in counts if _PERHAPS_DATED.fullmatch(text)), names)
    if _are_most(_LIKE_NUMBERS, counts) and not _are_most(_NUMBER, counts):
        text = next(text for text in counts if _WRITTEN.fullmatch(text))
        raise InputError(
            f"{what} holds text that is written like numbers, such as {text!r:.40}; write numbers with a point for "
            f"their decimals, without commas, spaces, currencies and signs of per cent, or {names}."
        )
    if len(counts) > MOST_CATEGORIES and are_measured(counts):
        fraction = next((text for text in counts if _is_fraction(text)), None)
        if fraction is not None:
            raise InputError(
                f"{what} holds numbers with their unit, such as {fraction!r:.40}; leave the unit out and make them "
                f"numbers, or {names}."
            )


def are_measured(texts: Collection[str]) -> bool:
    """Whether most of different texts are a number and a unit, which all have in common."""
    units: Counter[str] = Counter()
    others, most = 0, len(texts) - NUMBERS * len(texts)
    for text in texts:
        if found := _MEASURED.fullmatch(text):
            units[found["unit"].rstrip()] += 1
        elif (others := others + 1) > most:
            return False
    return len(texts) - max(units.values(), default=0) <= most


def _is_fraction(measured: str) -> bool:
    found = _MEASURED.fullmatch(measured)
    return found is not None and not found["amount"].isdigit()


def _are_dates(texts: Collection[str]) -> bool:
    perhaps = len(texts) > MOST_CATEGORIES and _are_most(_PERHAPS_DATED, texts)
    # One date beside one other text, such as 2099-12-31 and open, says no more than which of the two it is.
    if not perhaps and not _are_most(_DATED, texts, 1.0 if len(texts) == 2 else DATES):
        return False
    return not any(_LIKE_DATED.fullmatch(text) and not _PERHAPS_DATED.fullmatch(text) for text in texts)


def refuse_fractions(what: str, counts: Counter[str], names: str) -> None:
    """**Raises:** `InputError` for texts that are all numbers, and not whole, which no name is; `names` as for
    `refuse_written`.
    """
    if counts and all(map(_NUMBER.fullmatch, counts)):
        text = next((text for text in counts if not _is_whole(text)), None)
        if text is not None:
            raise InputError(
                f"{what} holds numbers as text, such as {text!r:.40}; make them numbers, as astype(float) does, or "
                f"{names}."
            )


def _is_whole(number: str) -> bool:
    # Of an infinite one, for its many digits, the rest is NaN.
    return not float(number) % 1 > 0


def numbers_of(name: str, values: np.ndarray) -> Float64[np.ndarray, " n"]:
    """A column as numbers, NaN where missing.

    **Raises:** `InputError` for text and for infinite numbers.
    """
    if values.dtype.kind == "O":
        row = next((row for row, value in enumerate(values) if value is not None), None)
        if row is not None:
            raise InputError(
                f"Column {name!r} holds text, such as {values[row]!r:.40} in row {row}, counted from 0, but it held "
                "numbers in training; write numbers, and leave missing ones empty."
            )
        return np.full(len(values), np.nan)
    numbers = values.astype(np.float64)
    infinite = are_infinite(numbers)
    if infinite.any():
        raise InputError(
            f"Column {name!r} has {int(infinite.sum())} infinite values, the first in row {int(infinite.argmax())}, "
            "counted from 0; replace them, or leave those rows out."
        )
    return numbers


def are_infinite(numbers: Float64[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Which numbers are infinite, or so large that sums of them are."""
    return np.abs(numbers) > LARGEST


def texts_of(values: np.ndarray) -> list[str | None]:
    """A column as text, names of what is none, `None` where missing."""
    if values.dtype.kind == "O":
        return list(values)
    return [None if value != value else Name(name_of(value)) for value in values.tolist()]


def scale_of(values: Float64[np.ndarray, " n"]) -> Scale:
    """Mean and standard deviation of numbers of any magnitude; a deviation of 1 where they are all the same."""
    # Squares of numbers above 1e154 and below 1e-162 are not those of double precision.
    size = float(np.abs(values).max()) or 1.0
    mean, std = float((values / size).mean()) * size, float((values / size).std()) * size
    return Scale(mean, std if std > 0 and values.min() < values.max() else 1.0)


def squeezed(values: Any, median: Any, spread: Any) -> Float64[np.ndarray, "..."]:
    """arcsinh((value - median) / spread) where there is a spread, and else the values."""
    return np.where(spread, np.arcsinh((values - median) / np.where(spread, spread, 1.0)), values)


def _of_numbers(name: str, values: np.ndarray, *, scale: bool) -> Column:
    numbers = numbers_of(name, values)
    there = numbers[~np.isnan(numbers)]
    missing = len(numbers) - len(there)
    if not len(there):
        return DroppedColumn(name, "all missing")
    if not missing and there.min() == there.max():
        return DroppedColumn(name, "constant")
    # Of rows that are drawn with replacement more than half are different.
    if name in _UNNAMED and values.dtype.kind in "ui" and MANY < len(values) < 2 * len(np.unique(values)):
        return DroppedColumn(name, "index")
    fill = float(np.median(there))
    spread = spread_of_skewed(there) if scale else 0.0
    mean, std = scale_of(squeezed(there, fill, spread)) if scale else Scale(0.0, 1.0)
    counts_rows = (
        values.dtype.kind in "ui"
        and len(np.unique(values)) == len(values)
        and np.ptp(there) < 2 * len(values) > 2 * MANY
    )
    return NumberColumn(name, mean, std, fill, missing, spread, bool(counts_rows), are_dated(there))


def are_dated(values: Float64[np.ndarray, " n"]) -> bool:
    """Whether numbers, of which there are a few different ones, are all written like months, days or moments of days:
    202401, 20240131, 202401311530 or 20240131153000.
    """
    low, high = values.min(), values.max()
    for digits, month, day in ((6, 1.0, 0.0), (8, 1e2, 1.0), (12, 1e6, 1e4), (14, 1e8, 1e6)):
        if 1800 * 10.0 ** (digits - 4) < low and high < 2201 * 10.0 ** (digits - 4):
            months = np.floor(values / month) % 100
            days = np.floor(values / day) % 100 if day else np.ones(len(values))
            whole = values == np.floor(values)
            dates = whole & (months >= 1) & (months <= 12) & (days >= 1) & (days <= 31)
            return bool(dates.all()) and len(np.unique(values)) >= FEW_DATES
    return False


def spread_of_skewed(values: Float64[np.ndarray, " n"]) -> float:
    """Between the quartiles, of numbers of which a few are far from the others; else 0."""
    low, high = np.quantile(values, (0.25, 0.75))
    between = float(high - low)
    return between if 0 < SKEWED * between < scale_of(values).std else 0.0


# The name of an index in a csv that pandas wrote, and in one that it read.
_UNNAMED = ("", "Unnamed: 0")
# Fewer numbers look like dates by chance: one of eight is a month.
FEW_DATES = 5
# Fewer rows are all different by chance.
MANY = 10


def _of_text(name: str, values: np.ndarray) -> Column:
    counts = Counter(text for text in stripped(values) if text is not None)
    missing = len(values) - counts.total()
    if not counts:
        return DroppedColumn(name, "all missing")
    if len(counts) == 1 and not missing:
        return DroppedColumn(name, "constant")
    frequent = sorted(counts, key=lambda category: (-counts[category], category))[:MOST_CATEGORIES]
    categories = sorted(str(category) for category in frequent if counts[category] > 1)
    if not categories:
        numbers = any(_are_most(form, counts, 1.0) for form in (_LIKE_NUMBERS, _PERHAPS_DATED)) or are_measured(counts)
        return DroppedColumn(name, "all different numbers" if numbers else "all different")
    rare = counts.total() - sum(counts[category] for category in categories)
    return CategoryColumn(name, tuple(categories), rare, missing, True)
