import json
import math
from pathlib import Path

import pytest

from sdebnn.errors import InputError
from sdebnn.runs import strict_json


def test_json_has_no_nan_and_keeps_every_finite_number() -> None:
    record = {"a": [math.nan, 0.1], "b": {"c": (math.inf, -math.inf)}, "d": 3, "e": "nan"}
    parsed = strict_json.parse(strict_json.text(record).encode())
    assert parsed == {"a": ["nan", 0.1], "b": {"c": ["inf", "-inf"]}, "d": 3, "e": "nan"}
    assert float("-inf") == float(parsed["b"]["c"][1])


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"\xff\xfe{}", '{"a": 1}'.encode("utf-16"), b"\xef\xbb\xbf{}", b'{"a": 1}{}', b'{"a": "\n"}'),
        *(b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1e999}', b'{"a": 1, "a": 1}', b'{"b": {"a": 1, "a": 2}}'),
        *(b'{"a": %d}' % 2**64, b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}", b"[]", b"null", b'"text"', b"3"),
    ],
)
def test_what_is_no_record_in_json_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.json was truncated or altered") as refusal:
        strict_json.read(tmp_path / "a.json")
    assert "\n" not in str(refusal.value)


def test_what_json_allows_is_read(tmp_path: Path) -> None:
    record = {"a": [1, -(2**63), 2**64 - 1, 1e308, True, None, "\ud800 ü"], "": {}}
    strict_json.write(tmp_path / "a.json", record)
    assert strict_json.read(tmp_path / "a.json") == record == json.loads((tmp_path / "a.json").read_text())


def test_a_record_that_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="it may have"):
        strict_json.write(tmp_path / "a.json", {"a": "x" * strict_json.LIMIT})
    assert not list(tmp_path.iterdir())
