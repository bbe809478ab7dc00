import io
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdebnn.data import load, load_inputs, load_npz
from sdebnn.errors import InputError

quick = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
X = np.arange(18, dtype=np.float64).reshape(9, 2)
LABELS = np.repeat(np.arange(3), 3)
TARGETS = np.linspace(0, 1, 9)


def saved(folder: Path, **arrays: Any) -> Path:
    path = folder / "mine.npz"
    np.savez(path, **arrays)
    return path


def test_whole_numbers_are_labels_and_a_third_is_held_out_class_by_class(tmp_path: Path) -> None:
    path = saved(tmp_path, x=X, y=LABELS)
    dataset = load(str(path))
    assert (dataset.name, dataset.task, dataset.num_classes) == ("mine", "classification", 3)
    assert dataset.x_train.dtype == np.float32
    assert np.bincount(dataset.y_train).tolist() == [2, 2, 2]
    assert np.bincount(dataset.y_test).tolist() == [1, 1, 1]
    rows = np.concatenate([dataset.x_train, dataset.x_test])
    np.testing.assert_array_equal(rows[np.argsort(rows[:, 0])], X)
    np.testing.assert_array_equal(load_npz(path).x_test, dataset.x_test)
    np.testing.assert_array_equal(load(path).x_test, dataset.x_test)


def test_floating_point_answers_are_targets(tmp_path: Path) -> None:
    dataset = load_npz(saved(tmp_path, x=X, y=TARGETS))
    assert (dataset.task, dataset.num_classes) == ("regression", None)
    assert dataset.y_train.shape == (6, 1)
    np.testing.assert_allclose(dataset.y_test[:, 0], dataset.x_test[:, 0] / 16, rtol=1e-6)
    assert load_npz(saved(tmp_path, x=X, y=np.ones((9, 4)))).y_test.shape == (3, 4)


def test_a_test_set_is_taken_as_given_and_its_classes_count(tmp_path: Path) -> None:
    dataset = load_npz(saved(tmp_path, x=X, y=LABELS, x_test=X[:2], y_test=np.array([0, 5])))
    assert dataset.num_classes == 6
    np.testing.assert_array_equal(dataset.x_train, X)
    np.testing.assert_array_equal(dataset.y_test, [0, 5])


@pytest.mark.parametrize("shape", [(9, 4, 5), (9, 4, 5, 1)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_images_are_height_width_channels(tmp_path: Path, shape: tuple[int, ...], dtype: type) -> None:
    dataset = load_npz(saved(tmp_path, x=np.full(shape, 200, dtype), y=LABELS), layout="images")
    assert dataset.x_train.shape == (6, 4, 5, 1)
    assert dataset.x_train.dtype == (np.uint8 if dtype is np.uint8 else np.float32)


@pytest.mark.parametrize("dtype", [np.int64, np.uint16])
def test_whole_numbers_in_images_are_pixels_whatever_their_type(tmp_path: Path, dtype: type[np.generic]) -> None:
    x = np.arange(9 * 4).reshape(9, 2, 2) * 7
    dataset = load_npz(saved(tmp_path, x=x.astype(dtype), y=LABELS))
    same = load_npz(saved(tmp_path, x=x.astype(np.uint8), y=LABELS))
    assert dataset.x_train.dtype == np.uint8
    np.testing.assert_array_equal(dataset.x_train, same.x_train)


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"x": X}, "no array 'y' \\(it has x\\)"),
        ({"a": X}, "no array 'x'"),
        ({"x": X, "y": LABELS, "x_test": X}, "no array 'y_test'"),
        ({"x": X, "y": LABELS[:8]}, "has 9 examples but y has 8"),
        ({"x": X[:, 0], "y": LABELS}, r"float64 of shape \(9,\)"),
        ({"x": X.astype(str), "y": LABELS}, "must hold numbers"),
        ({"x": X + 1j, "y": LABELS}, "complex128"),
        ({"x": X * 1e300, "y": LABELS}, "beyond 3.4e38"),
        (
            {"x": np.where(X == 4, np.nan, X), "y": LABELS},
            r"x in .*1 values that are NaN or infinite, the first at \(2, 0\)",
        ),
        ({"x": X, "y": np.where(TARGETS > 0.9, np.inf, TARGETS)}, "NaN or infinite"),
        ({"x": X, "y": LABELS - 1}, "labels from -1 to 1"),
        ({"x": X, "y": LABELS.astype(np.uint64) + np.uint64(2**40)}, "labels are 0 to K-1"),
        ({"x": X, "y": LABELS + 1990}, "9 labels for 1993 classes; .* floating-point"),
        ({"x": X, "y": LABELS[:, None]}, "whole numbers of shape"),
        ({"x": X, "y": LABELS.astype(bool)}, "bool of shape"),
        ({"x": X, "y": LABELS, "x_test": X, "y_test": TARGETS}, "labels or targets in both"),
        ({"x": X, "y": LABELS, "x_test": X[:, :1], "y_test": LABELS}, "same shape and dtype"),
        ({"x": X, "y": LABELS + 1}, r"labels from 1 to 3, .*numpy\.unique"),
        ({"x": X, "y": 0 * LABELS}, r"labels from 0 to 0, .*2 classes or more"),
        ({"x": X[:0], "y": LABELS[:0]}, "x in .* has 0 examples; give at least 2"),
        ({"x": X[:1], "y": LABELS[:1]}, "x in .* has 1 examples; give at least 2"),
        ({"x": X, "y": LABELS[:0], "x_test": X, "y_test": LABELS[:0]}, "has 9 examples but y has 0"),
        ({"x": np.full((9, 2, 2), 256), "y": LABELS}, "pixels from 256 to 256, .*0 to 255"),
        ({"x": np.full((9, 2, 2, 3), -1), "y": LABELS}, "pixels from -1 to -1"),
        ({"x": X, "y": LABELS, "x_test": X[:0], "y_test": LABELS[:0]}, "x_test of mine is empty"),
        ({"x": X[:0], "y": LABELS[:0], "x_test": X, "y_test": LABELS}, "x_train of mine is empty"),
    ],
)
def test_unusable_arrays_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        load_npz(saved(tmp_path, **arrays))


class Trap:
    """Unpickling it writes a file: the sign that a pickle was read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_no_pickle_is_ever_read(tmp_path: Path) -> None:
    sign = tmp_path / "a pickle was read"
    path = saved(tmp_path, x=np.array([Trap(sign)] * 9, object), y=LABELS)
    with pytest.raises(InputError, match="plain arrays"):
        load_npz(path)
    np.array([Trap(sign)], object).dump(path)
    with pytest.raises(InputError, match="plain arrays"):
        load_npz(path)
    assert not sign.exists()
    np.load(path, allow_pickle=True)
    assert sign.exists()  # the trap works


def test_what_is_not_a_npz_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.npz can't be read"):
        load(str(tmp_path / "none.npz"))
    with pytest.raises(InputError, match=r"can't be read \(it is not a file\)"):
        load_npz(tmp_path)
    single = io.BytesIO()
    np.save(single, X)
    (tmp_path / "single.npz").write_bytes(single.getvalue())
    with pytest.raises(InputError, match="not a zip file"):
        load_npz(tmp_path / "single.npz")
    (tmp_path / "text.npz").write_text("x,y\n1,2\n")
    with pytest.raises(InputError, match="not a zip file") as refusal:
        load_npz(tmp_path / "text.npz")
    assert "pickle" not in str(refusal.value)
    with pytest.raises(InputError, match=r"mine\.txt is not a file of data: .*\.npz, \.csv, .* arrays x and y"):
        load(str(tmp_path / "mine.txt"))


@quick
@given(st.data())
def test_any_bytes_and_any_damage_give_a_data_set_or_a_refusal(tmp_path: Path, data: st.DataObject) -> None:
    whole = saved(tmp_path, x=X, y=LABELS).read_bytes()
    kind = data.draw(st.sampled_from(["any", "cut", "flip"]))
    if kind == "any":
        content = data.draw(st.binary(max_size=60))
    elif kind == "cut":
        content = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        at, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
        content = whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :]
    path = tmp_path / "damaged.npz"
    path.write_bytes(content)
    try:
        dataset = load_npz(path)
    except InputError as error:
        [sentence] = str(error).splitlines()
        assert "damaged" in sentence
        return
    # The checksums of zip hold: what is read from a flipped file is what was written.
    np.testing.assert_array_equal(np.sort(np.concatenate([dataset.x_train, dataset.x_test]), axis=0), X)


def rezipped(path: Path, name: str, content: bytes, **said: int) -> None:
    """A .npz file of one member, of which the zip's directory says other sizes than it has."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    info = zipfile.ZipFile(path).infolist()[0]
    whole = bytearray(path.read_bytes())
    for field, value in said.items():
        kept = struct.pack("<I", getattr(info, field))
        for record in (whole.index(b"PK\x03\x04"), whole.index(b"PK\x01\x02")):
            at = whole.index(kept, record + 14)
            whole[at : at + 4] = struct.pack("<I", value)
    path.write_bytes(whole)


def npy_of(shape: tuple[int, ...], content: bytes) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return buffer.getvalue() + content


def test_a_sparse_table_is_taken_however_well_it_was_compressed(tmp_path: Path) -> None:
    category = np.random.default_rng(0).integers(0, 400, 4000)
    x = np.zeros((4000, 400))
    x[np.arange(4000), category] = 1
    path = tmp_path / "sparse.npz"
    np.savez_compressed(path, x=x, y=category % 2)
    assert x.nbytes > 100 * path.stat().st_size
    dataset = load_npz(path)
    rows = np.concatenate([dataset.x_train, dataset.x_test])
    np.testing.assert_array_equal(np.bincount(rows.argmax(axis=1), minlength=400), np.bincount(category, minlength=400))


@pytest.mark.parametrize(
    ("shape", "size", "said", "sentence"),
    [
        ((2, 2), 2**26, {}, r"not as long as its shape \(2, 2\)"),
        ((2**24,), 16, {}, "not as long as its shape"),
        ((2**24,), 16, {"file_size": 2**26 + 128}, "would unpack to .*not credible"),
        ((2**14,), 2**10, {"file_size": 2**16 + 128}, "ends after"),
        ((2**14,), 2**26, {"file_size": 2**16 + 128}, "CRC"),
    ],
)
def test_a_member_that_lies_about_its_length_is_refused_before_it_is_unpacked(
    tmp_path: Path, shape: tuple[int, ...], size: int, said: dict[str, int], sentence: str
) -> None:
    path = tmp_path / "lying.npz"
    rezipped(
        path, "x.npy", npy_of(shape, bytes(size) if size != 2**10 else np.random.default_rng(0).bytes(size)), **said
    )
    tracemalloc.start()
    with pytest.raises(InputError, match=sentence):
        load_inputs(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**22


def test_other_numbers_of_answers_are_refused_before_the_examples_are_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "long.npz"
    np.savez_compressed(path, x=np.zeros((2**20, 16)), y=LABELS)
    tracemalloc.start()
    with pytest.raises(InputError, match=r"x in .* has 1048576 examples but y has 9"):
        load_npz(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**22


COUNTS = np.random.default_rng(0).integers(0, 12, 60)
ONE_HOT = np.eye(3)[LABELS]


@pytest.mark.parametrize(
    ("arrays", "task", "sentence"),
    [
        ({"x": X, "y": ONE_HOT}, "auto", r"3 classes, or targets .*argmax.*--task"),
        ({"x": X, "y": LABELS.astype(float)}, "auto", r"3 different numbers, all of them whole \(0, 1, 2\)"),
        ({"x": X, "y": 2.0 * (LABELS > 0) - 1}, "auto", r"whole \(-1, 1\)"),
        ({"x": np.ones((60, 2)), "y": COUNTS}, "auto", "whole numbers from 0 to 11 for 60 examples.*Choose task="),
        ({"x": X, "y": TARGETS}, "classification", "not whole, such as 0.125"),
        ({"x": X, "y": ONE_HOT * 0.5}, "classification", "not whole, such as 0.5"),
        ({"x": X, "y": np.where(TARGETS > 0.9, np.nan, 1.0)}, "classification", "NaN"),
        ({"x": X, "y": LABELS.astype(str)}, "regression", "holds words"),
        ({"x": X, "y": LABELS}, "regresion", "did you mean 'regression'"),
    ],
)
def test_the_task_is_asked_for_where_the_answers_leave_it_open(
    tmp_path: Path, arrays: dict[str, np.ndarray], task: str, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        load_npz(saved(tmp_path, **arrays), task=task)


@pytest.mark.parametrize("y", [ONE_HOT, ONE_HOT.astype(int), LABELS.astype(float), LABELS[:, None], LABELS])
def test_a_task_that_is_chosen_settles_what_answers_are(tmp_path: Path, y: np.ndarray) -> None:
    path = saved(tmp_path, x=X, y=y)
    labels = load_npz(path, task="classification")
    assert (labels.task, labels.num_classes, labels.y_train.dtype) == ("classification", 3, np.int32)
    np.testing.assert_array_equal(labels.y_train, labels.x_train[:, 0] // 6)
    targets = load_npz(path, task="regression")
    assert targets.task == "regression"
    np.testing.assert_array_equal(
        targets.y_train, y.reshape(9, -1).astype(np.float32)[targets.x_train[:, 0].astype(int) // 2]
    )


def test_booleans_are_classes_and_counts_targets_where_that_is_chosen(tmp_path: Path) -> None:
    booleans = load_npz(saved(tmp_path, x=X, y=LABELS > 0), task="classification")
    np.testing.assert_array_equal(booleans.y_test, booleans.x_test[:, 0] > 5)
    x = np.ones((60, 2))
    assert load_npz(saved(tmp_path, x=x, y=COUNTS), task="regression").y_train.shape == (40, 1)
    assert load_npz(saved(tmp_path, x=x, y=COUNTS), task="classification").num_classes == 12


LABEL_KINDS = {
    "from 1": LABELS + 1,
    "around 0": LABELS - 1,
    "with gaps": 1000 * LABELS,
    "booleans": LABELS > 0,
    "words": np.array(["a", "b", "c"])[LABELS],
    "a column": LABELS[:, None],
    "one-hot": np.eye(3, dtype=int)[LABELS],
    "one-hot floats": ONE_HOT,
}


@pytest.mark.parametrize("kind", LABEL_KINDS)
def test_the_remedy_for_labels_works_when_it_is_followed(tmp_path: Path, kind: str) -> None:
    y = LABEL_KINDS[kind]
    with pytest.raises(InputError) as refused:
        load_npz(saved(tmp_path, x=X, y=y))
    remedies = {
        "classes, y = numpy.unique(y, return_inverse=True)": lambda: np.unique(y, return_inverse=True)[1],
        "number them with numpy.unique(y, return_inverse=True)[1]": lambda: np.unique(y, return_inverse=True)[1],
        "number the classes 0 to K-1": lambda: np.unique(y, return_inverse=True)[1],
        "write y.astype(int)": lambda: y.astype(int),
        "write y[:, 0]": lambda: y[:, 0],
        "write y.argmax(axis=1)": lambda: y.argmax(axis=1),
    }
    [follow] = [act for words, act in remedies.items() if words in str(refused.value)]
    dataset = load_npz(saved(tmp_path, x=X, y=follow()))
    assert dataset.num_classes == (2 if kind == "booleans" else 3)


def test_one_class_alone_is_not_to_be_numbered(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one class alone leaves nothing to tell apart") as refused:
        load_npz(saved(tmp_path, x=X, y=0 * LABELS))
    assert "unique" not in str(refused.value)


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int64])
def test_images_of_0_and_1_are_black_and_white_whatever_their_type(tmp_path: Path, dtype: type[np.generic]) -> None:
    x = np.random.default_rng(0).random((9, 4, 4)) > 0.5
    dark = np.zeros((3, 4, 4), dtype)
    dataset = load_npz(saved(tmp_path, x=x.astype(dtype), y=LABELS, x_test=dark, y_test=LABELS[::3]))
    np.testing.assert_array_equal(dataset.x_train, x[..., None].astype(np.float32))
    assert dataset.x_test.dtype == np.float32
    pixels = load_npz(saved(tmp_path, x=9 * x.astype(np.uint8), y=LABELS, x_test=dark.astype(int), y_test=LABELS[::3]))
    assert pixels.x_train.dtype == pixels.x_test.dtype == np.uint8


@pytest.mark.parametrize("shape", [(9, 3, 8, 8), (9, 1, 6, 5), (9, 8, 16, 16)])
def test_channels_in_front_are_asked_for_and_moved(tmp_path: Path, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).random(shape).astype(np.float32)
    path = saved(tmp_path, x=x, y=LABELS, x_test=x, y_test=LABELS)
    with pytest.raises(InputError, match=rf"{shape[1]} channels in front, or of {shape[3]} channels.*--layout"):
        load_npz(path)
    np.testing.assert_array_equal(load_npz(path, layout="channels_first").x_train, x.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(load_npz(path, layout="images").x_train, x)
    np.testing.assert_array_equal(load_npz(path, layout="table").x_test, x.reshape(9, -1))


def test_sequences_are_not_taken_for_grey_images(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((9, 7, 2))
    path = saved(tmp_path, x=x, y=LABELS)
    with pytest.raises(InputError, match=r"grey images of 7 x 2, or rows of 14 inputs.*layout='table' \(--layout\)"):
        load_npz(path)
    assert load_npz(path, layout="images").x_train.shape == (6, 7, 2, 1)
    # A run that was started before has settled it.
    assert load_npz(path, like="float32").x_train.shape == (6, 7, 2, 1)
    assert load_npz(path, layout="table").x_train.shape == (6, 14)
    with pytest.raises(InputError, match="layout='channels_first' does not fit"):
        load_npz(path, layout="channels_first")


def test_what_is_held_out_of_a_sorted_file_is_in_mixed_order(tmp_path: Path) -> None:
    x, y = np.arange(60.0)[:, None], np.repeat(np.arange(3), 20)
    np.savez(tmp_path / "mine.npz", x=x, y=y)
    mixed, ordered = load_npz(tmp_path / "mine.npz"), load_npz(tmp_path / "mine.npz", in_order=True)
    assert len(np.unique(mixed.y_test[:10])) == 3
    assert (np.diff(ordered.x_test[:, 0]) > 0).all()
    order = np.argsort(mixed.x_test[:, 0])
    np.testing.assert_array_equal(mixed.x_test[order], ordered.x_test)
    np.testing.assert_array_equal(mixed.y_test[order], ordered.y_test)
    np.testing.assert_array_equal(mixed.x_train, ordered.x_train)
