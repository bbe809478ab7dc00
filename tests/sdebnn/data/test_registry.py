import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sdebnn.data import IMAGE_SETS, NAMES, Dataset, files, load, load_images, mnist, registry
from sdebnn.errors import InputError


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(url: str) -> bytes:
        raise ConnectionError

    monkeypatch.setattr(files, "fetch", fetch)


def test_digits_need_no_file_and_hold_out_a_third_of_each_class() -> None:
    dataset = load("digits")
    assert dataset.x_train.shape == (1198, 8, 8, 1)
    assert dataset.x_test.shape == (599, 8, 8, 1)
    assert (dataset.x_train.min(), dataset.x_train.max()) == (0, 1)
    held = np.bincount(dataset.y_test)
    assert np.abs(held - (held + np.bincount(dataset.y_train)) / 3).max() < 1
    np.testing.assert_array_equal(load("digits").x_test, dataset.x_test)


@pytest.mark.parametrize(("name", "means"), [("mnist", (33.318, 33.791)), ("fashion_mnist", (72.940, 73.147))])
def test_mnist_and_fashion_mnist_are_the_published_ones(data_dir: Path, name: str, means: tuple[float, float]) -> None:
    dataset = load(name, data_dir)
    assert dataset.x_train.shape == (60_000, 28, 28, 1)
    assert dataset.x_test.shape == (10_000, 28, 28, 1)
    assert dataset.x_train.dtype == np.uint8
    assert set(dataset.y_train) == set(range(10))
    assert dataset.x_train.mean() == pytest.approx(means[0], abs=1e-3)
    assert dataset.x_test.mean() == pytest.approx(means[1], abs=1e-3)


def test_cifar10_is_the_published_one(data_dir: Path) -> None:
    dataset = load("cifar10", data_dir)
    assert dataset.x_train.shape == (50_000, 32, 32, 3)
    assert dataset.x_test.shape == (10_000, 32, 32, 3)
    # The channel means that the literature standardises with.
    np.testing.assert_allclose(dataset.x_train.mean(axis=(0, 1, 2)) / 255, [0.4914, 0.4822, 0.4465], atol=1e-4)
    assert np.bincount(dataset.y_train).tolist() == [5000] * 10


@pytest.mark.parametrize("name", ["kmnist", "notmnist_test", "mnist"])
def test_image_sets_are_the_published_ones(data_dir: Path, name: str) -> None:
    images = load_images(name, data_dir)
    assert images.shape == (10_000, 28, 28, 1)
    assert images.dtype == np.uint8


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10", "cifar100", "svhn"])
def test_an_empty_folder_is_one_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="is missing and could not be downloaded") as refusal:
        load(name, tmp_path)
    assert str(tmp_path) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_a_truncated_file_of_a_set_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"short"))
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte\.gz is truncated or altered"):
        load("mnist", tmp_path)


def test_images_of_another_size_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = {"images": b"\0\0\x08\x03\0\0\0\1\0\0\0\1\0\0\0\1\0", "labels": b"\0\0\x08\x01\0\0\0\1\0"}

    def read(file: files.PublishedFile, home: Path) -> bytes:
        return gzip.compress(contents["images" if "images" in file.path else "labels"])

    monkeypatch.setattr(mnist, "read_published", read)
    with pytest.raises(InputError, match=r"images of shape \(1, 1\)"):
        load("mnist", tmp_path)


@pytest.mark.parametrize(
    ("name", "meant"), [("minst", "mnist"), ("fashion-mnist", "fashion_mnist"), ("b40gaps", "b40gap")]
)
def test_an_unknown_name_lists_what_is_allowed(name: str, meant: str) -> None:
    with pytest.raises(InputError, match=f"did you mean '{meant}'") as refusal:
        load(name)
    assert all(allowed in str(refusal.value) for allowed in (*NAMES, ".npz"))


def test_an_unknown_set_of_images_lists_what_is_allowed() -> None:
    with pytest.raises(InputError, match="did you mean 'kmnist'") as refusal:
        load_images("kmnists")
    assert all(allowed in str(refusal.value) for allowed in IMAGE_SETS)


def test_what_has_test_images_alone_says_what_they_are_for() -> None:
    with pytest.raises(
        InputError, match=r"kmnist has test images alone, .* sdebnn evaluate RUN --ood kmnist asks that"
    ):
        load("kmnist")


def test_importing_brings_nothing_heavy() -> None:
    code = "import sys, sdebnn.data; print(*({'pooch', 'requests', 'scipy', 'sklearn'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert out.strip() == ""


def test_a_data_set_is_offered_by_its_row_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def of_today(data_dir: Path) -> Dataset:
        asked.append(data_dir)
        return load("cos")

    monkeypatch.setitem(registry.LOADERS, "of_today", of_today)
    np.testing.assert_array_equal(load("of_today", tmp_path).x_train, load("cos").x_train)
    assert asked == [tmp_path]
    with pytest.raises(InputError, match="did you mean 'of_today'"):
        load("of_todya")
