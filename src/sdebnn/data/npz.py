"""One's own data: a .npz file of arrays x and y, and x_test and y_test where there is a test set."""

import io
import math
import os
import reprlib
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int, Shaped, UInt8

from sdebnn.data.dataset import Dataset, check_finite
from sdebnn.data.split import hold_out
from sdebnn.errors import InputError
from sdebnn.storage import reading

# A byte of deflate's output codes at most 1032 bytes: what says that it unpacks to more is lying.
MOST_UNPACKED = 1032
HEADER = 2**14  # bytes; numpy refuses to read a header of more than 10,000
CHUNK = 2**20
TEST_FRACTION = 1 / 3


def load_npz(path: Path) -> Dataset:
    """The data set in a .npz file, named after the file. Pickled objects in it are never read.

    - `x`: a table (n, d), grey images (n, h, w), or images (n, h, w, channels). Images of whole numbers are pixels from
      0 to 255 and become uint8, other numbers float32.
    - `y`: whole numbers (n,) are labels 0 to K-1, K being the largest label of training and test plus one, at least 2;
      floating-point numbers (n,) or (n, d_out) are targets of a regression.
    - `x_test`, `y_test`: the same for the test set. Without them a third of the examples, always the same, is held out,
      with each class in proportion.

    **Raises:** `InputError` when the file is not such a file, and for all that `Dataset` refuses.
    """
    arrays, found = read_arrays(path, ("x", "y", "x_test", "y_test"))
    missing = [key for key in ("x", "y") if key not in arrays]
    if "x_test" in arrays or "y_test" in arrays:
        missing += [key for key in ("x_test", "y_test") if key not in arrays]
    if missing:
        raise InputError(
            f"{path} has no array {missing[0]!r} (it has {_listed(found)}); it needs x and y, and "
            "either both or none of x_test and y_test."
        )
    x, y = as_inputs(arrays["x"], f"x in {path}"), _answers(arrays["y"], f"y in {path}")
    if "x_test" in arrays:
        x_test, y_test = (
            as_inputs(arrays["x_test"], f"x_test in {path}"),
            _answers(arrays["y_test"], f"y_test in {path}"),
        )
    else:
        if len(x) < 2:
            raise InputError(
                f"x in {path} has {len(x)} examples; give at least 2, so that a third can be held out, "
                "or x_test and y_test."
            )
        keep, held = hold_out(len(x), TEST_FRACTION, 0, y if y.dtype == np.int32 else None)
        x, x_test, y, y_test = x[keep], x[held], y[keep], y[held]
    if y.dtype != y_test.dtype:
        raise InputError(f"y in {path} is {y.dtype} but y_test is {y_test.dtype}; give labels or targets in both.")
    if y.dtype == np.float32:
        return Dataset(path.stem, "regression", x, y, x_test, y_test, None)
    seen = np.unique(np.concatenate([y, y_test]))
    num_classes = int(seen.max(initial=1)) + 1
    if num_classes > max(len(y) + len(y_test), 2):
        raise InputError(
            f"y in {path} has {len(y) + len(y_test)} labels for {num_classes} classes; number the classes 0 to K-1, or "
            "give floating-point numbers if they are targets of a regression."
        )
    if seen.size and (len(seen) < 2 or seen[0] != 0):
        raise InputError(
            f"y in {path} has labels from {seen[0]} to {seen[-1]}, but labels are 0 to K-1 for 2 classes or more; "
            "number them with numpy.unique(y, return_inverse=True)[1]."
        )
    return Dataset(path.stem, "classification", x, y, x_test, y_test, num_classes)


def load_inputs(path: Path) -> Float32[np.ndarray, "n ..."] | UInt8[np.ndarray, "n h w c"]:
    """The array `x` of a .npz file, as `load_npz` takes it; other arrays are left alone.

    **Raises:** `InputError` when the file is not such a file, or x holds NaN or infinity.
    """
    arrays, found = read_arrays(path, ("x",))
    if "x" not in arrays:
        raise InputError(f"{path} has no array 'x' (it has {_listed(found)}).")
    return as_inputs(arrays["x"], f"x in {path}")


def as_inputs(x: np.ndarray, what: str) -> Float32[np.ndarray, "n ..."] | UInt8[np.ndarray, "n h w c"]:
    """Examples as `Dataset` takes them, of the shapes and numbers that `load_npz` takes; `what` names them in errors.

    **Raises:** `InputError` for others, and for NaN and infinity.
    """
    if x.ndim not in (2, 3, 4) or x.dtype.kind not in "buif":
        raise InputError(
            f"{what} is {x.dtype} of shape {x.shape}, but it must hold numbers of shape (n, d), (n, h, w) or "
            "(n, h, w, channels)."
        )
    if x.ndim == 3:
        x = x[..., None]
    if x.ndim == 4 and x.dtype.kind in "ui":
        if x.size and not 0 <= int(x.min()) <= int(x.max()) <= 255:
            raise InputError(
                f"{what} has pixels from {x.min()} to {x.max()}, but whole numbers are taken as pixels from 0 to 255; "
                "scale them to floating-point numbers between 0 and 1."
            )
        return x.astype(np.uint8)
    return _to_float32(x, what)


def read_arrays(path: Path, names: tuple[str, ...]) -> tuple[dict[str, np.ndarray], list[str]]:
    """The arrays of a .npz file that have one of these names, and the names of all that it has.

    Nothing is unpickled. An array is unpacked piece by piece, once its header agrees with what the zip file says of its
    length, and that with what so many packed bytes can hold; never more than was said.

    **Raises:** `InputError` when it is no such file.
    """
    with reading(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
                if len(members) < len(archive.infolist()):
                    raise ValueError("a name comes twice in it")
                wanted = {name: members[name] for name in names if name in members}
                length = os.fstat(file.fileno()).st_size
                headers = {name: _header(archive, member, length) for name, member in wanted.items()}
                # Before anything is unpacked.
                for x, y in (("x", "y"), ("x_test", "y_test")):
                    counts = [headers[name].shape[0] for name in (x, y) if name in headers and headers[name].shape]
                    if len(set(counts)) > 1:
                        raise InputError(
                            f"{x} in {path} has {counts[0]} examples but {y} has {counts[1]}; give one answer for each "
                            "example."
                        )
                arrays = {name: _array(archive, member, headers[name]) for name, member in wanted.items()}
                return arrays, sorted(members)
        except InputError:
            raise
        except MemoryError as error:
            raise InputError(f"{path} does not fit into memory ({error}); take fewer examples.") from None
        except (
            Exception
        ) as error:  # damaged zip, header or data: zipfile, zlib, struct, ast, numpy each raise their own
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise InputError(
                f"{path} cannot be read as a .npz file of plain arrays ({reason}); write it with "
                "numpy.savez(path, x=x, y=y), with no object arrays."
            ) from error


class _Header(NamedTuple):
    """What a member says of its array, and where that begins."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]
    length: int


def _header(archive: zipfile.ZipFile, member: zipfile.ZipInfo, length: int) -> _Header:
    # The other methods of zip unpack a few bytes to gigabytes at once, whatever the size that is said.
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError("it is compressed in a way that numpy does not write")
    with archive.open(member) as file:
        start = io.BytesIO(file.read(HEADER))
    read_header = _HEADERS.get(np.lib.format.read_magic(start))
    if read_header is None:
        raise ValueError(f"{member.filename} is of a version that plain arrays do not need")
    shape, fortran_order, dtype = read_header(start)
    if dtype.hasobject:
        raise ValueError(
            f"{member.filename} holds objects, which are pickled: for numbers take its astype(float), for words "
            "numpy.unique(y, return_inverse=True)[1]"
        )
    if math.prod(shape) * dtype.itemsize != member.file_size - start.tell() or min(shape, default=0) < 0:
        raise ValueError(f"{member.filename} is not as long as its shape {shape} says")
    packed = min(member.compress_size, length)
    if member.file_size > (packed if member.compress_type == zipfile.ZIP_STORED else MOST_UNPACKED * packed):
        raise ValueError(f"{packed} bytes would unpack to {member.file_size}, which is not credible")
    return _Header(shape, fortran_order, dtype, start.tell())


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, header: _Header) -> np.ndarray:
    content = np.empty(member.file_size - header.length, np.uint8)
    with archive.open(member) as file:
        file.read(header.length)
        at = 0
        while at < len(content):
            part = file.read(CHUNK)
            if not part:
                raise ValueError(f"{member.filename} ends after {at} of {len(content)} bytes")
            content[at : at + len(part)] = np.frombuffer(part, np.uint8)
            at += len(part)
    array, shape = content.view(header.dtype), header.shape
    return array.reshape(shape[::-1]).T if header.fortran_order else array.reshape(shape)


def _listed(names: list[str]) -> str:
    # The names are whatever the file says: long ones are cut, and control characters shown as such.
    return ", ".join(reprlib.repr(name)[1:-1] for name in names[:9]) or "none"


_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def _answers(y: np.ndarray, what: str) -> Int[np.ndarray, " n"] | Float32[np.ndarray, "n d_out"]:
    if y.dtype.kind in "ui" and y.ndim == 1:
        if y.size and not 0 <= int(y.min()) <= int(y.max()) < np.iinfo(np.int32).max:
            raise InputError(f"{what} has labels from {y.min()} to {y.max()}, but labels are 0 to K-1 for K classes.")
        return y.astype(np.int32)
    if y.dtype.kind == "f" and y.ndim in (1, 2):
        return _to_float32(y.reshape(len(y), -1) if y.ndim == 1 else y, what)
    raise InputError(
        f"{what} is {y.dtype} of shape {y.shape}, but it must hold whole numbers of shape (n,), which are labels, or "
        "floating-point numbers of shape (n,) or (n, d_out), which are targets."
    )


def _to_float32(values: Shaped[np.ndarray, "*shape"], what: str) -> Float32[np.ndarray, "*shape"]:
    with np.errstate(over="ignore"):
        converted = values.astype(np.float32)
    if values.dtype.kind == "f" and (np.isinf(converted) & np.isfinite(values)).any():
        raise InputError(f"{what} has numbers beyond 3.4e38, the range of float32; scale it.")
    check_finite(what, converted)
    return converted
