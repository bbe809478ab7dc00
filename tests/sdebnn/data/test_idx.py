import gzip
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdebnn.data.idx import gunzip, parse_idx
from sdebnn.errors import InputError

quick = settings(max_examples=60, deadline=None, derandomize=True, database=None)


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


@pytest.mark.parametrize("array", [IMAGES, IMAGES.ravel(), IMAGES[:0]])
def test_an_idx_file_is_read_as_it_was_written(array: np.ndarray) -> None:
    np.testing.assert_array_equal(parse_idx(idx(array), "file"), array)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "file is not an idx file: it starts with nothing"),
        (b"\x1f\x8b\x08\x00\x00", "it starts with 1f8b0800"),
        (b"\0\0\x0d\x03" + bytes(12), "idx type 0x0d in 3 dimensions"),
        (b"\0\0\x08\x02" + bytes(8), "in 2 dimensions"),
        (b"\0\0\x08\x03\0\0", "it has 6 bytes, but its header alone takes 16"),
        (idx(IMAGES)[:-1], "its header says 2x3x4 values, but 23 follow"),
        (idx(IMAGES) + b"\0", "but 25 follow"),
        # 2^96 values: a reader that trusted the header would ask for them.
        (b"\0\0\x08\x03" + b"\xff" * 12, "4294967295x4294967295x4294967295 values, but 0 follow"),
    ],
)
def test_a_file_that_is_not_whole_idx_is_refused_by_name(content: bytes, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        parse_idx(content, "file")


@quick
@given(st.binary(max_size=40) | st.binary(max_size=40).map(lambda tail: b"\0\0\x08\x01\0\0\0" + tail))
def test_any_bytes_are_an_array_or_refused(content: bytes) -> None:
    try:
        array = parse_idx(content, "file")
    except InputError:
        return
    assert idx(array) == content


@quick
@given(st.data())
def test_a_damaged_gzip_file_is_the_same_array_or_refused(data: st.DataObject) -> None:
    content = gzip.compress(idx(IMAGES), mtime=0)
    if data.draw(st.booleans()):
        damaged = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        at, bit = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(0, 7))
        damaged = content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]
    try:
        array = parse_idx(gunzip(damaged, "file"), "file")
    except InputError as error:
        assert str(error).startswith("file is ")  # noqa: PT017 - a refusal is one of the two right answers
        return
    np.testing.assert_array_equal(array, IMAGES)
