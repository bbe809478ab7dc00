"""One's own data: a .npz file of arrays x and y, and x_test and y_test where there is a test set."""

import io
import math
import os
import reprlib
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from sdebnn.data.answers import TASKS
from sdebnn.data.columns import Scaling
from sdebnn.data.dataset import Dataset
from sdebnn.data.inputs import as_inputs
from sdebnn.data.own import are_rows, unencoded
from sdebnn.data.table_encoding import TableEncoding
from sdebnn.errors import InputError, naming_file
from sdebnn.machine import refuse_too_large
from sdebnn.spelling import refuse_unknown
from sdebnn.storage import reading

# A byte of deflate's output codes at most 1032 bytes: what says that it unpacks to more is lying.
MOST_UNPACKED = 1032
# Bytes that a number of a table takes until the network has it, measured: columns, double and single precision.
OF_NUMBER = 26
HEADER = 2**14  # bytes; numpy refuses to read a header of more than 10,000
CHUNK = 2**20


def load_npz(
    path: Path,
    *,
    task: str = "auto",
    layout: str = "auto",
    scale: Scaling = False,
    like: str | None = None,
    in_order: bool = False,
    encoding: TableEncoding | None = None,
) -> Dataset:
    """The data set in a .npz file, named after the file. Pickled objects in it are never read.

    - `x`: a table (n, d), grey images (n, h, w), or images (n, h, w, channels). Images of whole numbers are pixels from
      0 to 255 and become uint8, unless there are 0 and 1 alone, which are black and white; other numbers float32.
    - `y`: whole numbers (n,) are labels 0 to K-1, K being the largest label of training and test plus one, at least 2;
      floating-point numbers (n,) or (n, d_out) are targets of a regression.
    - `x_test`, `y_test`: the same for the test set. Without them a third of the examples, always the same, is held out,
      with each class in proportion and in mixed order: the first of a file that is sorted are of one class.

    **Arguments:**

    - `task`: `"classification"` or `"regression"`, where the numbers leave it open; see `as_answers`.
    - `layout`: `"table"`, `"images"` or `"channels_first"`, where the shape leaves it open; see `as_inputs`.
    - `scale`: whether a table is standardised, as `Dataset.from_arrays` does; `y` may then be of any type, `x` text
      too, and numbers may be missing.
    - `like`: the dtype of the images of a run that was started before, which says whether 0 and 1 are pixels;
      that they are images is not asked again.
    - `in_order`: whether examples that are held out stay in the order of the file, as version 0.1 had them.
    - `encoding`: of a table, as for `Dataset.from_frame`.

    **Raises:** `InputError` when the file is not such a file, where it is open which task or layout is meant, and for
    all that `Dataset` refuses.
    """
    refuse_unknown(task, TASKS, "a task")
    arrays, found = read_arrays(path, ("x", "y", "x_test", "y_test"))
    missing = [key for key in ("x", "y") if key not in arrays]
    if "x_test" in arrays or "y_test" in arrays:
        missing += [key for key in ("x_test", "y_test") if key not in arrays]
    if missing:
        raise InputError(
            f"{path} has no array {missing[0]!r} (it has {_listed(found)}); it needs x and y, and "
            "either both or none of x_test and y_test."
        )
    x, y = arrays["x"], arrays["y"]
    test = (arrays["x_test"], arrays["y_test"]) if "x_test" in arrays else None
    if scale and are_rows(x, layout):
        with naming_file(path):
            return Dataset.from_arrays(
                x, y, *(test or ()), task=task, layout=layout, name=path.stem, scale=scale, encoding=encoding
            )
    parts = unencoded(
        path.stem, x, y, test, of=f"{{}} in {path}", task=task, layout=layout, like=like, in_order=in_order
    )
    return Dataset(*parts)


def load_inputs(path: Path, *, layout: str = "auto") -> Float32[np.ndarray, "n ..."] | UInt8[np.ndarray, "n h w c"]:
    """The array `x` of a .npz file, as `load_npz` takes it; other arrays are left alone.

    **Raises:** `InputError` when the file is not such a file, or x holds NaN or infinity.
    """
    return as_inputs(read_array(path), f"x in {path}", layout=layout)


def read_array(path: Path) -> np.ndarray:
    """The array `x` of a .npz file as it is. **Raises:** `InputError` when the file is not such a file."""
    arrays, found = read_arrays(path, ("x",))
    if "x" not in arrays:
        raise InputError(f"{path} has no array 'x' (it has {_listed(found)}).")
    return arrays["x"]


def input_axes(path: Path) -> int:
    """How many axes the array `x` of a .npz file has; 0 where it cannot be read, which `load_npz` says why."""
    try:
        with reading(path) as file, zipfile.ZipFile(file) as archive:
            return len(_header(archive, archive.getinfo("x.npy"), os.fstat(file.fileno()).st_size).shape)
    except (InputError, zipfile.BadZipFile, KeyError, ValueError, OSError):
        return 0


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
                size = sum(member.file_size for member in wanted.values())
                refuse_too_large(path, size, size + sum(map(_bytes_to_use, headers.values())))
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


def _bytes_to_use(header: _Header) -> int:
    """What an array takes beside itself until the network has it. Of images it is copies, of parts and of rows."""
    numbers = math.prod(header.shape)
    return OF_NUMBER * numbers if len(header.shape) <= 2 else 2 * min(header.dtype.itemsize, 4) * numbers


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
