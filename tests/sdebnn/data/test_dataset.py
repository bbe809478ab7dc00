from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sdebnn.data import Dataset, to_float
from sdebnn.errors import InputError

IMAGES = np.zeros((4, 3, 3, 1), np.uint8)
LABELS = np.array([0, 1, 2, 1], np.int32)
TABLE = np.zeros((4, 2), np.float32)
TARGETS = np.ones((4, 1), np.float32)


def classification(**parts: Any) -> Dataset:
    fields: dict[str, Any] = {
        "x_train": IMAGES,
        "y_train": LABELS,
        "x_test": IMAGES,
        "y_test": LABELS,
        "num_classes": 3,
    }
    return Dataset("mine", "classification", **(fields | parts))


def regression(**parts: Any) -> Dataset:
    fields: dict[str, Any] = {
        "x_train": TABLE,
        "y_train": TARGETS,
        "x_test": TABLE,
        "y_test": TARGETS,
        "num_classes": None,
    }
    return Dataset("mine", "regression", **(fields | parts))


def with_value(array: np.ndarray, value: float) -> np.ndarray:
    array = array.copy()
    array[2, 0] = value
    return array


def test_images_and_tables_are_accepted() -> None:
    assert classification().num_classes == 3
    assert classification(x_train=TABLE, x_test=TABLE).x_train.shape == (4, 2)
    assert regression().y_train.shape == (4, 1)


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"x_train": IMAGES[..., 0]}, r"x_train of mine is uint8 of shape \(4, 3, 3\), but inputs are images"),
        ({"x_train": IMAGES.astype(np.float64)}, "float64"),
        ({"x_train": IMAGES[:0], "y_train": LABELS[:0]}, "x_train of mine is empty"),
        ({"x_train": IMAGES[:3]}, "3 examples but y_train has 4 answers"),
        ({"x_test": np.zeros((4, 3, 5, 1), np.uint8)}, "x_train of mine is .* but x_test is"),
        ({"x_test": IMAGES.astype(np.float32)}, "same shape and dtype"),
        ({"y_train": LABELS.astype(np.int64)}, "y.astype"),
        ({"y_train": LABELS[:, None]}, r"shape \(n,\)"),
        ({"y_test": LABELS + 1}, "y_test of mine has labels from 1 to 3, but with 3 classes they are 0 to 2"),
        ({"y_test": LABELS - 1}, "labels from -1 to 1"),
        ({"num_classes": None}, "num_classes of 2 or more"),
        ({"num_classes": 1}, "num_classes of 2 or more"),
        ({"x_train": IMAGES.tolist()}, r"x_train of mine is a list, .*numpy\.asarray"),
        ({"y_test": np.int32(1)}, "y_test of mine is a int32, .*one row an example"),
    ],
)
def test_unusable_classification_is_refused(parts: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        classification(**parts)


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"x_train": with_value(TABLE, np.nan)}, r"1 values that are NaN or infinite, the first at \(2, 0\)"),
        ({"y_test": with_value(TARGETS, -np.inf)}, "y_test of mine has 1 values that are NaN or infinite"),
        ({"y_train": TARGETS[:, 0]}, "y\\[:, None\\]"),
        ({"y_train": TARGETS.astype(np.float64)}, "float32"),
        ({"y_train": np.ones((4, 2), np.float32)}, "y_train of mine is .* but y_test is"),
        ({"num_classes": 3}, "Regression has no classes"),
    ],
)
def test_unusable_regression_is_refused(parts: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        regression(**parts)


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(InputError, match=r"'clasification' is not a task \(did you mean 'classification'\?\)"):
        replace(classification(), task="clasification")  # type: ignore[arg-type]


def test_a_changed_copy_is_checked_again() -> None:
    with pytest.raises(InputError, match="NaN"):
        replace(regression(), x_test=with_value(TABLE, np.nan))


def test_pixels_become_floats_in_the_unit_interval() -> None:
    np.testing.assert_array_equal(to_float(np.array([0, 51, 255], np.uint8)), np.array([0, 0.2, 1], np.float32))
    assert to_float(TABLE) is TABLE
    with pytest.raises(InputError, match="int64"):
        to_float(np.arange(3))


def test_the_order_of_bytes_does_not_matter() -> None:
    x, y = np.arange(8, dtype=">f4").reshape(4, 2), np.array([0, 1, 2, 1], ">i4")
    dataset = classification(x_train=x, x_test=x, y_train=y, y_test=y)
    assert dataset.x_train.dtype == np.dtype("=f4")
    assert dataset.y_test.dtype == np.dtype("=i4")
    np.testing.assert_array_equal(dataset.x_train, x)
    np.testing.assert_array_equal(dataset.y_train, [0, 1, 2, 1])
    assert regression(y_train=TARGETS.astype(">f4")).y_train.dtype == np.dtype("=f4")


def test_masked_values_are_refused_and_a_mask_of_none_is_taken_off() -> None:
    with pytest.raises(InputError, match=r"x_train of mine has 2 masked values; .*filled"):
        regression(x_train=np.ma.masked_array(TABLE, [[True, False]] * 2 + [[False, False]] * 2))
    assert type(regression(x_train=np.ma.masked_array(TABLE)).x_train) is np.ndarray


@pytest.mark.parametrize(
    ("parts", "remedy", "follow"),
    [
        ({"x_train": TABLE.astype(np.float16)}, "x.astype(numpy.float32)", lambda x: x.astype(np.float32)),
        ({"x_train": TABLE.astype(int)}, "x.astype(numpy.float32)", lambda x: x.astype(np.float32)),
        ({"x_train": TABLE.astype(object)}, "x.astype(numpy.float32)", lambda x: x.astype(np.float32)),
        ({"x_train": TABLE.tolist()}, "numpy.asarray(..., numpy.float32)", lambda x: np.asarray(x, np.float32)),
        ({"y_train": LABELS.astype(float)}, "y.astype(np.int32)", lambda y: y.astype(np.int32)),
        ({"y_train": LABELS[:, None]}, "y[:, 0].astype(numpy.int32)", lambda y: y[:, 0].astype(np.int32)),
        ({"y_train": np.eye(3)[LABELS]}, "y.argmax(axis=1).astype(", lambda y: y.argmax(axis=1).astype(np.int32)),
        (
            {"y_train": np.array(["a", "b", "c"])[LABELS]},
            "numpy.unique(y, return_inverse=True)[1].astype(numpy.int32)",
            lambda y: np.unique(y, return_inverse=True)[1].astype(np.int32),
        ),
    ],
)
def test_the_remedies_work_when_they_are_followed(parts: dict[str, Any], remedy: str, follow: Any) -> None:
    kept = {"x_train": TABLE, "x_test": TABLE}
    with pytest.raises(InputError) as refused:
        classification(**kept | parts)
    assert remedy in str(refused.value)
    classification(**kept | {name: follow(value) for name, value in parts.items()})
