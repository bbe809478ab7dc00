"""Checkpoints: named arrays in safetensors, and beside them a JSON file that says what they are.

A checkpoint `folder/step-00000469` is the pair `step-00000469.safetensors` and `step-00000469.json`. The JSON file is
written last and holds the SHA-256 digest of the other, so that a checkpoint exists once its JSON does, and a torn or
altered pair is refused. Nothing is pickled.
"""

import hashlib
import importlib.metadata
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from sdebnn import storage
from sdebnn.errors import InputError
from sdebnn.runs import strict_json
from sdebnn.version import __version__


def save(folder: Path, name: str, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> Path:
    """Writes a checkpoint, whole or not at all.

    **Arguments:**

    - `folder`: where to; made if missing.
    - `name`: such as `step-00000469`. Digits are padded, so that names in order are checkpoints in order.
    - `arrays`: by name; floats (bfloat16 too), integers and booleans keep their dtype and shape.
    - `meta`: what JSON can hold. NaN and infinity come back as text; see `strict_json.text`.

    **Returns:** what `load` takes: `folder / name`, without a suffix.

    **Raises:** `InputError` for an array of another dtype, before anything is written; `StorageError` when it cannot
    be written; the checkpoints that are there stay.
    """
    path = folder / name
    tensors = safetensors.numpy.save({key: _laid_out(key, np.asarray(array)) for key, array in arrays.items()})
    record = {"meta": dict(meta), "sha256": hashlib.sha256(tensors).hexdigest(), "versions": _versions()}
    storage.write(_tensors_file(path), tensors)
    strict_json.write(_sidecar_file(path), record)
    return path


def load(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Reads the checkpoint that `save` wrote.

    **Arguments:**

    - `path`: of `save` or `latest`, without a suffix.

    **Returns:** the arrays, writable, and `meta`.

    **Raises:** `InputError`, naming the file, when one of the pair is missing, truncated or altered.
    """
    tensors_file, sidecar_file = _tensors_file(path), _sidecar_file(path)
    record = strict_json.read(sidecar_file)
    digest, meta = record.get("sha256"), record.get("meta")
    if not isinstance(digest, str) or not isinstance(meta, dict):
        raise InputError(
            f"{sidecar_file} was truncated or altered: it is not the record of a checkpoint; use another checkpoint."
        )
    with storage.reading(tensors_file) as file:
        # What is not the checkpoint never comes to lie in memory, however long it is.
        if hashlib.file_digest(file, "sha256").hexdigest() != digest:
            raise InputError(
                f"{tensors_file} is not what {sidecar_file.name} describes: it was truncated or altered; "
                "use another checkpoint."
            )
        file.seek(0)
        tensors = file.read()
    try:
        arrays = {name: _to_numpy(tensor) for name, tensor in safetensors.deserialize(tensors)}
    except (safetensors.SafetensorError, KeyError, ValueError):
        raise InputError(
            f"{tensors_file} is not a safetensors file that numpy can hold; use another checkpoint."
        ) from None
    return arrays, meta


def versions(path: Path) -> dict[str, str]:
    """The versions of Python and of the libraries that wrote the checkpoint. **Raises:** `InputError` as `load`."""
    found = strict_json.read(_sidecar_file(path)).get("versions")
    return {name: str(version) for name, version in found.items()} if isinstance(found, dict) else {}


def find(folder: Path, kind: str = "step") -> list[Path]:
    """The whole checkpoints `kind-...` in a folder, oldest first by name, as `load` takes them.

    **Raises:** `InputError` when there is a folder that cannot be read.
    """
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"The folder of checkpoints {folder} can't be read ({error.strerror}).") from None
    return [
        folder / name.removesuffix(".json")
        for name in sorted(names)
        if name.startswith(f"{kind}-") and name.endswith(".json") and name[:-5] + ".safetensors" in names
    ]


def latest(folder: Path, kind: str = "step") -> Path:
    """The last whole checkpoint `kind-...` in a folder. **Raises:** `InputError` when there is none."""
    paths = find(folder, kind)
    if not paths:
        raise InputError(f"{folder} has no checkpoint; the run did not get as far as writing one.")
    return paths[-1]


def prune(folder: Path, kind: str = "step", *, keep: int) -> None:
    """Removes the checkpoints `kind-...` of a folder but for the newest `keep` whole ones, and what a process that was
    killed has left of others.

    **Raises:** `StorageError` when one cannot be removed.
    """
    kept = {file for path in find(folder, kind)[-keep:] for file in (_sidecar_file(path), _tensors_file(path))}
    # Without its JSON a checkpoint is none, so these go first: a crash between the two leaves no torn pair.
    for suffix in (".json", ".safetensors", ".partial"):
        for file in folder.glob(f"{kind}-*{suffix}"):
            if file not in kept and not file.is_dir():
                with storage.naming(file):
                    file.unlink()


def _tensors_file(path: Path) -> Path:
    return path.with_name(path.name + ".safetensors")


def _sidecar_file(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _laid_out(name: str, array: np.ndarray) -> np.ndarray:
    """The array as safetensors copies it: memory as it lies, so without transposition and in little-endian bytes."""
    if array.dtype.name not in ("bfloat16", *(np.dtype(code).name for code in _DTYPES.values())):
        raise InputError(
            f"The array {name!r} has dtype {array.dtype}, which a checkpoint does not hold; it holds booleans, whole "
            "numbers, bfloat16 and floats of 16, 32 and 64 bits: convert it, complex numbers to two arrays."
        )
    return np.asarray(array, array.dtype.newbyteorder("<"), order="C")


def _to_numpy(tensor: Mapping[str, Any]) -> np.ndarray:
    return np.frombuffer(bytearray(tensor["data"]), dtype=_dtype(tensor["dtype"])).reshape(tensor["shape"])


def _dtype(name: str) -> np.dtype:
    if name == "BF16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(_DTYPES[name])


_DTYPES = {
    "BOOL": "?",
    "U8": "u1",
    "U16": "<u2",
    "U32": "<u4",
    "U64": "<u8",
    "I8": "i1",
    "I16": "<i2",
    "I32": "<i4",
    "I64": "<i8",
} | {
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
}


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "sdebnn": __version__}
    for package in ("numpy", "safetensors", "jax", "torch"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
