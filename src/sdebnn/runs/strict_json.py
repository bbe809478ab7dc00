"""JSON that every reader accepts, and nothing else."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from sdebnn import storage
from sdebnn.errors import InputError

# Records of a run are a few thousand bytes. What Python makes of JSON can take thirty times its length.
LIMIT = 2**20


def text(record: object, *, indent: int | None = None) -> str:
    """A record of dictionaries, lists, text and numbers as strict JSON.

    JSON has no NaN and no infinity: they are written as the text `"nan"`, `"inf"` and `"-inf"`, which `float` reads.
    """
    return json.dumps(_finite(record), indent=indent, allow_nan=False)


def parse(content: bytes) -> Any:
    """What JSON in UTF-8 says.

    **Raises:** `ValueError` for what is no JSON: NaN and infinity are none; and for names that come twice, whole
    numbers beyond 64 bits and more nesting than Python can follow.
    """
    try:
        return json.loads(
            content.decode(), object_pairs_hook=_unique, parse_constant=_refuse, parse_int=_whole, parse_float=_real
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def write(path: Path, record: Mapping[str, Any], *, limit: int = LIMIT) -> None:
    """Writes a record for people to read too, whole or not at all.

    **Raises:** `StorageError`; `ValueError` for a record that is longer than `read` takes.
    """
    content = (text(record, indent=2) + "\n").encode()
    if len(content) > limit:
        raise ValueError(f"The record {path} would have {len(content)} bytes; it may have {limit}.")
    storage.write(path, content)


def read(path: Path, *, limit: int = LIMIT) -> dict[str, Any]:
    """The record in a file of at most `limit` bytes.

    **Raises:** `InputError`, naming the file, when it cannot be read or holds no record.
    """
    content = storage.read(path, limit=limit)
    try:
        record = parse(content)
        if not isinstance(record, dict):
            raise ValueError(f"a JSON {type(record).__name__} instead of names and values")
    except ValueError as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"{path} was truncated or altered: it is not JSON of a run ({reason}); restore it or train again."
        ) from None
    return record


def _finite(value: object) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(float(value))
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        raise ValueError("a name comes twice")
    return record


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _whole(digits: str) -> int:
    number = int(digits)
    if not -(2**63) <= number < 2**64:
        raise ValueError("a whole number is beyond 64 bits")
    return number


def _real(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number is beyond the range of floats")
    return number
