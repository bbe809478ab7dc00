import hashlib
import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sdebnn.data import data_home, files
from sdebnn.data.files import PublishedFile, read_published
from sdebnn.errors import InputError

CONTENT = b"what was published"
FILE = PublishedFile("set/file.bin", hashlib.md5(CONTENT).hexdigest(), "https://example.org/file.bin")


def gives(content: bytes, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Puts a network in place that answers with `content`; the list fills with the addresses that were asked for."""
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        return content

    monkeypatch.setattr(files, "fetch", fetch)
    return asked


def left_in(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


def test_the_folder_is_the_argument_then_the_environment_then_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDEBNN_DATA", str(tmp_path / "environment"))
    assert data_home(tmp_path / "argument") == tmp_path / "argument"
    assert data_home() == tmp_path / "environment"
    assert data_home("~/sets") == Path.home() / "sets"
    monkeypatch.delenv("SDEBNN_DATA")
    assert data_home().name == "sdebnn"


def test_a_missing_file_is_downloaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = gives(CONTENT, monkeypatch)
    assert read_published(FILE, tmp_path) == read_published(FILE, tmp_path) == CONTENT
    assert asked == [FILE.url]
    assert left_in(tmp_path) == ["file.bin"]


def test_a_missing_file_without_a_network_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(url: str) -> bytes:
        raise OSError("Name or service not known\nand more lines")

    monkeypatch.setattr(files, "fetch", no_network)
    with pytest.raises(InputError) as refusal:
        read_published(FILE, tmp_path / "home")
    sentence = str(refusal.value)
    assert "\n" not in sentence
    for part in (str(tmp_path / "home" / "set" / "file.bin"), FILE.url, "--data-dir", "SDEBNN_DATA"):
        assert part in sentence
    assert not (tmp_path / "home").exists()


def test_a_download_of_something_else_is_refused_and_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gives(b"<html>moved</html>", monkeypatch)
    with pytest.raises(InputError, match="is not the published file: its 18 bytes have md5"):
        read_published(FILE, tmp_path)
    assert not left_in(tmp_path)


@pytest.mark.parametrize("content", [CONTENT[:-1], b"", b"What was published"])
def test_a_truncated_or_altered_file_is_refused_by_name_and_kept(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = gives(CONTENT, monkeypatch)
    path = tmp_path / FILE.path
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"file\.bin is truncated or altered") as refusal:
        read_published(FILE, tmp_path)
    assert FILE.md5 in str(refusal.value)
    assert hashlib.md5(content).hexdigest() in str(refusal.value)
    assert path.read_bytes() == content
    assert not asked


def test_a_failed_write_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gives(CONTENT, monkeypatch)

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(InputError, match=r"can't be written \(No space left on device\).* --data-dir"):
        read_published(FILE, tmp_path)
    assert not left_in(tmp_path)


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gives(CONTENT, monkeypatch)
    (tmp_path / "set").write_bytes(b"")
    with pytest.raises(InputError, match="can't be written"):
        read_published(FILE, tmp_path)


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    os.makedirs(tmp_path / FILE.path)
    with pytest.raises(InputError, match="can't be read"):
        read_published(FILE, tmp_path)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a web server on this machine that has file.bin."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "file.bin").write_bytes(CONTENT)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "mirror"))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_a_download_brings_what_the_server_has(tmp_path: Path, mirror: str) -> None:
    assert read_published(PublishedFile(FILE.path, FILE.md5, mirror + "file.bin"), tmp_path / "home") == CONTENT
    with pytest.raises(InputError, match="could not be downloaded"):
        read_published(PublishedFile("other", FILE.md5, mirror + "other"), tmp_path / "home")
    assert left_in(tmp_path / "home") == ["file.bin"]
