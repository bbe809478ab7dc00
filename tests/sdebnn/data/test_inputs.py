from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from sdebnn.data import as_inputs
from sdebnn.errors import InputError

ROWS = [[0.5, -1.0], [2.0, 0.25]]


@pytest.mark.parametrize("like", [">f8", "<f2", ">f4", object, np.longdouble])
def test_numbers_of_every_type_and_byte_order_become_float32(like: Any) -> None:
    x = as_inputs(np.array(ROWS, like), "x")
    assert x.dtype == np.dtype("=f4")
    np.testing.assert_array_equal(x, ROWS)


def test_objects_that_are_numbers_are_taken_and_others_refused() -> None:
    mixed = np.array([[1, 2.5], [np.float16(3), True], [Decimal("0.5"), np.int8(4)]], object)
    np.testing.assert_array_equal(as_inputs(mixed, "x"), [[1, 2.5], [3, 1], [0.5, 4]])
    assert as_inputs(np.full((2, 3, 3, 1), 9, object), "x").dtype == np.uint8
    for value in ("a", None, [1]):
        strange = np.empty((1, 2), object)
        strange[0] = 1.0, value
        with pytest.raises(InputError, match="objects such as"):
            as_inputs(strange, "x")


def test_masked_values_are_refused() -> None:
    with pytest.raises(InputError, match="1 masked values"):
        as_inputs(np.ma.masked_equal(ROWS, 2.0), "x")
    np.testing.assert_array_equal(as_inputs(np.ma.masked_equal(ROWS, 7.0), "x"), ROWS)


def test_new_images_are_taken_as_those_of_training_were() -> None:
    dark = np.zeros((2, 3, 3, 1), np.uint8)
    assert as_inputs(dark, "x", like="uint8").dtype == np.uint8
    assert as_inputs(dark + 1, "x", like="uint8").dtype == np.uint8
    assert as_inputs(dark, "x", like="float32").dtype == np.float32
    np.testing.assert_array_equal(as_inputs(dark + 1, "x", like="float32"), np.ones((2, 3, 3, 1)))


def test_one_example_or_one_column_is_refused_with_a_remedy() -> None:
    with pytest.raises(InputError, match=r"for one example write x\[None\], for one column x\[:, None\]"):
        as_inputs(np.ones(3), "x")
    with pytest.raises(InputError, match="did you mean 'table'"):
        as_inputs(np.ones((3, 2)), "x", layout="tabel")
