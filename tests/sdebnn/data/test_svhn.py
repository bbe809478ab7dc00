import hashlib
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from sdebnn.data import files, load, load_images, svhn
from sdebnn.data.svhn import FILES, parse_mat
from sdebnn.errors import InputError


def mat(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    savemat(buffer, arrays, do_compression=True)
    return buffer.getvalue()


def digits(n: int, seed: int) -> dict[str, np.ndarray]:
    images = np.random.default_rng(seed).integers(0, 256, (32, 32, 3, n), np.uint8)
    return {"X": images, "y": np.arange(1, n + 1, dtype=np.uint8)[:, None]}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small SVHN that passes for the published one, and no network."""
    (tmp_path / "svhn").mkdir()
    found = {}
    for part, n in (("train", 12), ("test", 10)):
        content = mat(**digits(n, n) | {"y": np.arange(n, dtype=np.uint8)[:, None] % 10 + 1})
        (tmp_path / FILES[part].path).write_bytes(content)
        found[part] = replace(FILES[part], md5=hashlib.md5(content).hexdigest())
    monkeypatch.setattr(svhn, "FILES", found)
    monkeypatch.setattr(files, "fetch", lambda url: pytest.fail(url))
    return tmp_path


def test_the_label_of_a_digit_is_the_digit(home: Path) -> None:
    dataset = load("svhn", home)
    assert (dataset.num_classes, dataset.x_train.shape) == (10, (12, 32, 32, 3))
    assert dataset.y_test.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    images = digits(10, 10)["X"]
    assert dataset.x_test[4, 2, 5].tolist() == images[2, 5, :, 4].tolist()


def test_for_strange_images_the_test_file_is_enough(home: Path) -> None:
    (home / FILES["train"].path).unlink()
    assert load_images("svhn", home).shape == (10, 32, 32, 3)


def test_an_altered_file_is_refused_by_name(home: Path) -> None:
    (home / FILES["test"].path).write_bytes(mat(**digits(9, 0)))
    with pytest.raises(InputError, match=r"test_32x32\.mat is truncated or altered"):
        load_images("svhn", home)


def test_what_are_no_such_images_is_refused() -> None:
    whole = mat(**digits(3, 0))
    for content in (b"", b"no file", whole[: len(whole) // 2], mat(X=np.zeros(3))):
        with pytest.raises(InputError, match="file is not a file of MATLAB with arrays X and y"):
            parse_mat(content, "file")
    for changed in (
        {"X": np.zeros((32, 32, 3, 3))},
        {"y": np.ones((2, 1), np.uint8)},
        {"X": np.zeros((3, 3), np.uint8)},
    ):
        with pytest.raises(InputError, match=r"but they are uint8, \(32, 32, 3, n\), and \(n, 1\)"):
            parse_mat(mat(**digits(3, 0) | changed), "file")
    with pytest.raises(InputError, match="file has labels from 0 to 2, but they are 1 to 10"):
        parse_mat(mat(**digits(3, 0) | {"y": np.arange(3, dtype=np.uint8)[:, None]}), "file")
