import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from sdebnn.errors import InputError
from sdebnn.runs import checkpoint

ARRAYS = {
    "float32": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3),
    "float64/nested": np.array([np.pi, np.nan, -0.0]),
    "float16": np.array([1.5], np.float16),
    "bfloat16": np.array([1.5, -3.0], ml_dtypes.bfloat16),
    "uint32": np.array([0, 2**32 - 1], np.uint32),
    "uint8": np.arange(3, dtype=np.uint8),
    "int64": np.array([-(2**63)], np.int64),
    "int32 scalar": np.array(7, np.int32),
    "bool": np.array([True, False]),
    "empty": np.zeros((0, 3), np.float32),
    "transposed": np.arange(6.0).reshape(2, 3).T,
    "strided": np.arange(10)[::3],
}


def test_arrays_and_meta_come_back_to_the_bit(tmp_path: Path) -> None:
    meta = {"step": 469, "config": {"sigma": 0.1}, "scores": [1.0, 2.0]}
    path = checkpoint.save(tmp_path / "new", "step-00000469", ARRAYS, meta)
    arrays, read_meta = checkpoint.load(path)
    assert read_meta == meta
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype, name
        assert arrays[name].shape == array.shape, name
        assert arrays[name].tobytes() == array.tobytes(), name
        assert arrays[name].flags.writeable
    assert sorted(p.name for p in path.parent.iterdir()) == ["step-00000469.json", "step-00000469.safetensors"]


def test_the_record_says_what_wrote_it(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, "step-1", {}, {})
    versions = json.loads((tmp_path / "step-1.json").read_text())["versions"]
    assert versions["numpy"] == np.__version__
    assert {"python", "sdebnn", "safetensors"} <= versions.keys()
    assert checkpoint.load(path) == ({}, {})


def test_not_a_number_in_meta_costs_no_checkpoint(tmp_path: Path) -> None:
    _, meta = checkpoint.load(checkpoint.save(tmp_path, "step-1", {}, {"scores": {"nll": float("nan")}}))
    assert meta == {"scores": {"nll": "nan"}}


def test_latest_is_the_last_whole_pair(tmp_path: Path) -> None:
    for step in (9, 100, 20):
        checkpoint.save(tmp_path, f"step-{step:08d}", {}, {"step": step})
    (tmp_path / "step-00000300.safetensors").write_bytes(b"killed before the record was written")
    (tmp_path / "step-00000400.json").write_bytes(b"arrays removed by hand")
    assert checkpoint.load(checkpoint.latest(tmp_path))[1] == {"step": 100}


def test_latest_refuses_a_folder_without_checkpoints(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(InputError, match="has no checkpoint"):
            checkpoint.latest(folder)


@pytest.mark.parametrize("suffix", [".safetensors", ".json"])
def test_refuses_a_missing_file_by_name(tmp_path: Path, suffix: str) -> None:
    path = checkpoint.save(tmp_path, "step-1", {"w": np.ones(3)}, {})
    (tmp_path / f"step-1{suffix}").unlink()
    with pytest.raises(InputError, match=f"step-1{suffix} can't be read"):
        checkpoint.load(path)


@pytest.mark.parametrize("suffix", [".safetensors", ".json"])
def test_refuses_every_truncation_by_name(tmp_path: Path, suffix: str) -> None:
    path = checkpoint.save(tmp_path, "step-1", {"w": np.ones(3)}, {})
    file = tmp_path / f"step-1{suffix}"
    whole = file.read_bytes().rstrip()
    for length in np.linspace(0, len(whole) - 1, 50).astype(int):
        file.write_bytes(whole[:length])
        with pytest.raises(InputError, match=f"step-1{suffix} (is not what|was truncated).* altered"):
            checkpoint.load(path)


def test_refuses_every_flipped_byte_of_the_arrays(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, "step-1", {"w": np.ones(3)}, {})
    file = tmp_path / "step-1.safetensors"
    whole = file.read_bytes()
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(InputError, match="truncated or altered"):
            checkpoint.load(path)


@pytest.mark.parametrize(
    "record", ["[]", "null", '{"sha256": 3, "meta": {}}', '{"sha256": "", "meta": []}', '{"meta": {}}']
)
def test_refuses_a_record_of_something_else(tmp_path: Path, record: str) -> None:
    path = checkpoint.save(tmp_path, "step-1", {}, {})
    (tmp_path / "step-1.json").write_text(record)
    with pytest.raises(InputError, match=r"step-1\.json was truncated or altered"):
        checkpoint.load(path)


def test_refuses_a_pair_that_was_torn(tmp_path: Path) -> None:
    old = checkpoint.save(tmp_path, "old", {"w": np.zeros(3)}, {})
    new = checkpoint.save(tmp_path, "new", {"w": np.ones(3)}, {})
    new.with_suffix(".safetensors").rename(old.with_suffix(".safetensors"))
    with pytest.raises(InputError, match=r"old\.safetensors is not what old\.json describes"):
        checkpoint.load(old)


@pytest.mark.parametrize("dtype", [np.complex64, ml_dtypes.float8_e4m3fn, np.dtype("U3"), np.longdouble])
def test_what_could_not_be_read_is_not_written(tmp_path: Path, dtype: Any) -> None:
    with pytest.raises(InputError, match=r"'a' has dtype .*which a checkpoint does not hold.*convert it"):
        checkpoint.save(tmp_path, "step-00000001", {"a": np.ones(3).astype(dtype)}, {})
    assert list(tmp_path.iterdir()) == []


def test_big_endian_numbers_come_back(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, "step-00000001", {"a": np.array([1.5, -2.0], ">f4")}, {})
    np.testing.assert_array_equal(checkpoint.load(path)[0]["a"], [1.5, -2.0])
