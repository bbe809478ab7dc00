import os
from pathlib import Path

import pytest

from sdebnn import storage
from sdebnn.errors import InputError, StorageError


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.write(tmp_path / "file", b"old")

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(StorageError, match=r"/file can't be written \(No space left on device\): make room"):
        storage.write(tmp_path / "file", b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_write_replaces_the_old_file_and_makes_the_folder(tmp_path: Path) -> None:
    for content in (b"a longer old text", b"new"):
        storage.write(tmp_path / "folder" / "file", content)
    assert storage.read(tmp_path / "folder" / "file", limit=3) == b"new"
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["file/inside", "folder", "a" * 300])
def test_a_path_that_cannot_be_written_is_a_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match="can't be written"):
        storage.write(tmp_path / name, b"new")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder"]
    assert (tmp_path / "file").read_bytes() == b"old"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device of a full disk")
def test_appending_to_a_full_disk_is_a_sentence() -> None:
    with Path("/dev/full").open("ab", buffering=0) as file, pytest.raises(StorageError, match="No space left"):
        storage.append(file, b"line\n")


@pytest.mark.parametrize(
    "name", ["missing", "folder", "loop", "pipe", "null\0", "half\ud800", "a" * 300, "file/inside"]
)
def test_what_cannot_be_read_is_a_sentence_that_names_it(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="can't be read") as refusal:
        storage.read(tmp_path / name, limit=9)
    assert str(refusal.value).startswith(str(tmp_path / name))


def test_what_is_longer_than_its_like_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(InputError, match="no such file has more than 1000"):
        storage.read(tmp_path / "sparse", limit=1000)


def test_a_link_is_replaced_and_what_it_points_to_stays(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("text")
    (tmp_path / "file").symlink_to("precious")
    storage.write(tmp_path / "file", b"new")
    assert (tmp_path / "precious").read_text() == "text"
    assert not (tmp_path / "file").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"


def test_nothing_is_written_into_a_folder_that_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "folder").symlink_to("elsewhere")
    with pytest.raises(StorageError, match="its folder is a link"):
        storage.write(tmp_path / "folder" / "file", b"new")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_folder_that_becomes_a_link_meanwhile_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "elsewhere").mkdir()
    with storage.writing(tmp_path / "folder" / "file") as file:
        (tmp_path / "folder").rename(tmp_path / "moved")
        (tmp_path / "folder").symlink_to("elsewhere")
        file.write(b"new")
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert (tmp_path / "moved" / "file").read_bytes() == b"new"


def test_two_that_write_one_file_at_once_both_succeed_and_the_last_has_it_whole(tmp_path: Path) -> None:
    with storage.writing(tmp_path / "file") as first:
        first.write(b"first")
        storage.write(tmp_path / "file", b"second")
        assert (tmp_path / "file").read_bytes() == b"second"
    assert (tmp_path / "file").read_bytes() == b"first"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_name_of_255_bytes_is_written(tmp_path: Path) -> None:
    storage.write(tmp_path / ("ü" * 127 + "x"), b"new")
    assert [len(p.name) for p in tmp_path.iterdir()] == [128]
