import hashlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sdebnn.data import cifar, files, load, load_images
from sdebnn.data.cifar import FILES, FILES_100, URL, parse_cifar10, parse_cifar100, unpack
from sdebnn.errors import InputError


def records(seed: int, n: int = 3) -> bytes:
    random = np.random.default_rng(seed)
    return np.concatenate(
        [random.integers(0, 10, (n, 1), np.uint8), random.integers(0, 256, (n, 3072), np.uint8)], axis=1
    ).tobytes()


def archive(contents: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """A small CIFAR-10 that passes for the published one, and a network that has its archive once."""
    contents = {file.path: records(i) for i, file in enumerate(FILES)}
    packed = archive(contents | {"../outside": b"never extracted", "/etc/outside": b"never extracted"})
    md5s = {path: hashlib.md5(content).hexdigest() for path, content in contents.items()}
    monkeypatch.setattr(cifar, "FILES", tuple(replace(file, md5=md5s[file.path]) for file in FILES))
    monkeypatch.setattr(cifar, "ARCHIVE_MD5", hashlib.md5(packed).hexdigest())
    answers = [packed]
    monkeypatch.setattr(files, "fetch", lambda url: answers.pop())
    return contents


def test_planes_become_channels() -> None:
    planes = np.stack([np.full((32, 32), 10), np.arange(1024).reshape(32, 32) % 256, np.full((32, 32), 30)])
    content = bytes([7]) + planes.astype(np.uint8).tobytes()
    images, labels = parse_cifar10(content, "file")
    assert labels.tolist() == [7]
    assert images.shape == (1, 32, 32, 3)
    assert images[0, 2, 5].tolist() == [10, 2 * 32 + 5, 30]


@pytest.mark.parametrize("content", [b"", records(0)[:-1], records(0) + b"\0"])
def test_parts_of_records_are_refused_by_name(content: bytes) -> None:
    with pytest.raises(InputError, match="file is truncated or altered"):
        parse_cifar10(content, "file")


def test_a_label_above_nine_is_refused() -> None:
    with pytest.raises(InputError, match="it has a label 10"):
        parse_cifar10(b"\x0a" + bytes(3072), "file")


def test_the_archive_gives_its_six_files_and_nothing_else(tmp_path: Path, published: dict[str, bytes]) -> None:
    first = load("cifar10", tmp_path / "home")
    assert first.x_train.shape == (15, 32, 32, 3)
    np.testing.assert_array_equal(first.x_test, parse_cifar10(published[FILES[-1].path], "file")[0])
    np.testing.assert_array_equal(first.y_train[12:], parse_cifar10(published[FILES[4].path], "file")[1])
    written = {str(path.relative_to(tmp_path / "home")) for path in tmp_path.rglob("*") if path.is_file()}
    assert written == set(published)
    np.testing.assert_array_equal(load("cifar10", tmp_path / "home").x_train, first.x_train)


def test_an_altered_file_is_refused_by_name(tmp_path: Path, published: dict[str, bytes]) -> None:
    load("cifar10", tmp_path)
    (tmp_path / FILES[2].path).write_bytes(records(99))
    with pytest.raises(InputError, match=r"data_batch_3\.bin is truncated or altered"):
        load("cifar10", tmp_path)


def test_what_is_not_the_archive_is_refused() -> None:
    whole = archive({file.path: records(0) for file in FILES})
    folder = io.BytesIO()
    with tarfile.open(fileobj=folder, mode="w") as tar:
        for file in FILES:
            member = tarfile.TarInfo(file.path)
            member.type = tarfile.DIRTYPE
            tar.addfile(member)
    for content in (b"", b"not an archive", whole[: len(whole) // 2], archive({"other": b""}), folder.getvalue()):
        with pytest.raises(InputError, match=r"cifar-10-binary.tar.gz gave is not the archive of the set"):
            unpack(content, [file.path for file in FILES], URL)


def records_100(n: int) -> bytes:
    """Of the coarse labels 0, 1, 2, ..., the fine ones 99, 98, 97, ..., and pixels as many as these."""
    return b"".join(bytes([k, 99 - k]) + bytes([k]) * 3072 for k in range(n))


@pytest.fixture
def published_100(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """A small CIFAR-100, and a network that has its archive twice."""
    contents = dict(zip(FILES_100, (records_100(4), records_100(2)), strict=True))
    packed = archive(contents | {"../outside": b"never extracted"})
    monkeypatch.setattr(cifar, "FILES_100", {path: len(content) for path, content in contents.items()})
    monkeypatch.setattr(cifar, "ARCHIVE_MD5_100", hashlib.md5(packed).hexdigest())
    answers = [packed, packed]
    monkeypatch.setattr(files, "fetch", lambda url: answers.pop())
    return contents


def test_cifar100_has_its_fine_labels(tmp_path: Path, published_100: dict[str, bytes]) -> None:
    for _ in range(2):  # downloaded, and found
        dataset = load("cifar100", tmp_path)
        assert dataset.num_classes == 100
        assert dataset.y_train.tolist() == [99, 98, 97, 96]
        assert dataset.x_test[:, 31, 31].tolist() == [[0] * 3, [1] * 3]
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == set(published_100)


def test_for_strange_images_the_test_file_is_enough(
    tmp_path: Path, published: dict[str, bytes], published_100: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "fetch", lambda url: pytest.fail(url))
    for name, path, content in (
        ("cifar10", FILES[-1].path, published[FILES[-1].path]),
        ("cifar100", list(FILES_100)[1], records_100(2)),
    ):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_bytes(content)
        parse = parse_cifar10 if name == "cifar10" else parse_cifar100
        np.testing.assert_array_equal(load_images(name, tmp_path), parse(content, path)[0])


def test_a_cifar100_that_is_not_the_published_one_is_refused(tmp_path: Path, published_100: dict[str, bytes]) -> None:
    load("cifar100", tmp_path)
    test = tmp_path / list(FILES_100)[1]
    for content, sentence in (
        (records_100(1), "it has 3074 bytes, not 6148; delete it and get it again"),
        (records_100(3), "it has 9222 bytes, but no such file has more than 6148"),
        (records_100(1) + b"\x14" + bytes(3073), "it has a label 20, but labels are 0 to 19"),
        (records_100(1) + b"\0\x64" + bytes(3072), "it has a label 100, but labels are 0 to 99"),
    ):
        test.write_bytes(content)
        with pytest.raises(InputError, match=sentence):
            load_images("cifar100", tmp_path)
