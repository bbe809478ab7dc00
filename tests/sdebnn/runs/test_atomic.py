import json
import math
import os
from pathlib import Path

import pytest

from sdebnn.runs import atomic


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    atomic.write(tmp_path / "file", b"old")

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        atomic.write(tmp_path / "file", b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_write_replaces_the_old_file(tmp_path: Path) -> None:
    atomic.write(tmp_path / "file", b"a longer old text")
    atomic.write(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


def test_json_has_no_nan_and_keeps_every_finite_number() -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    text = atomic.json_text({"a": [math.nan, 0.1], "b": {"c": (math.inf, -math.inf)}, "d": 3, "e": "nan"})
    assert json.loads(text, parse_constant=refuse) == {
        "a": ["nan", 0.1],
        "b": {"c": ["inf", "-inf"]},
        "d": 3,
        "e": "nan",
    }
    assert float("-inf") == float(json.loads(text)["b"]["c"][1])
