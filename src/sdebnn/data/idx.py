"""The idx format of the MNIST family: four magic bytes, the sizes as big-endian uint32, then the values."""

import math
import struct
import zlib

import numpy as np
from jaxtyping import UInt8

from sdebnn.errors import InputError

UNSIGNED_BYTE = 0x08
GZIP = 31  # zlib's name for the format
LONGEST = 3 * 2**24  # bytes; the 60,000 images of MNIST are 47 million


def gunzip(content: bytes, name: str) -> bytes:
    """The bytes inside a gzip file's bytes; `name` is for the error. **Raises:** `InputError` when it is damaged."""
    # The last four bytes say how long the content is.
    size, unpacking = int.from_bytes(content[-4:], "little"), zlib.decompressobj(wbits=GZIP)
    if size > LONGEST:
        raise InputError(
            f"{name} is not a whole gzip file, or one of {size} bytes, which no set of images has; get the file again."
        )
    try:
        unpacked = unpacking.decompress(content, size + 1)
    except zlib.error as error:
        raise InputError(f"{name} is not a whole gzip file ({error}); get the file again.") from error
    if not unpacking.eof or unpacking.unused_data:
        raise InputError(f"{name} is not a whole gzip file (it is cut short, or more follows); get the file again.")
    return unpacked


def parse_idx(content: bytes, name: str) -> UInt8[np.ndarray, "..."]:
    """The array in an uncompressed idx file.

    **Arguments:**

    - `content`: of the file.
    - `name`: of the file, for the error.

    **Returns:** an array of one dimension (labels) or three (images).

    **Raises:** `InputError` when the content is not idx, is not of unsigned bytes, or is not as long as its header
    says. Nothing is allocated on the header's word.
    """
    if len(content) < 4 or content[:2] != b"\0\0":
        raise InputError(f"{name} is not an idx file: it starts with {content[:4].hex() or 'nothing'}, not with 0000.")
    code, ndim = content[2], content[3]
    if code != UNSIGNED_BYTE or ndim not in (1, 3):
        raise InputError(
            f"{name} has values of idx type 0x{code:02x} in {ndim} dimensions, but images are 0x08 (unsigned bytes) "
            "in 3 dimensions and labels 0x08 in 1."
        )
    start = 4 + 4 * ndim
    if len(content) < start:
        raise InputError(f"{name} is truncated: it has {len(content)} bytes, but its header alone takes {start}.")
    shape = struct.unpack(f">{ndim}I", content[4:start])
    if math.prod(shape) != len(content) - start:
        raise InputError(
            f"{name} is truncated or altered: its header says {'x'.join(map(str, shape))} values, "
            f"but {len(content) - start} follow."
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
