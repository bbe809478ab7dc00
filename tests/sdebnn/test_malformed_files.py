"""Files that are not what they should be are refused, each in one sentence that names it, and nothing is changed by it.

Run as a program, this file goes through the list and prints how much memory that took.
"""

import functools
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from sdebnn.data import load, load_inputs, load_npz, load_uci
from sdebnn.data.cifar import parse_cifar10
from sdebnn.data.files import PublishedFile, read_published
from sdebnn.data.idx import gunzip, parse_idx
from sdebnn.errors import InputError
from sdebnn.frameworks import build_learner
from sdebnn.runs import MetricsLog, RunFolder, TrainConfig, checkpoint
from sdebnn.training import prediction_file, resume_run, start_run

X = np.linspace(-1, 1, 24, dtype=np.float32).reshape(8, 3)
LABELS = np.arange(8) % 2
LARGE = 2**28
ZEROS = bytes(2**20)
STATUS = Path("/proc/self/status")
DEEP = b"[" * 100_000
JSON = {
    "empty": b"",
    "binary": b"\x93NUMPY\x01\x00",
    "latin-1": '{"é": 1}'.encode("latin-1"),
    "utf-16": '{"a": 1}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf{}",
    "a list": b"[]",
    "a number": b"1",
    "nested": DEEP,
    "nested in an object": b'{"meta": ' * 50_000,
    "twice a name": b'{"a": 1, "a": 1}',
    "NaN": b'{"a": NaN}',
    "infinity": b'{"a": 1e999}',
    "beyond 64 bits": b'{"a": %d}' % 2**70,
    "beyond all bits": b'{"a": ' + b"9" * 5000 + b"}",
    "two objects": b"{}{}",
    "long": b'{"a": "' + b"x" * 2**22 + b'"}',
}


class Case(NamedTuple):
    """`spoil` changes a whole run folder, or adds files; `read` must then refuse, and name `culprit`."""

    spoil: Callable[[Path], Any]
    read: Callable[[Path], Any]
    culprit: str


def load_checkpoint(run: Path) -> None:
    checkpoint.load(checkpoint.latest(run / "checkpoints"))


def resume(run: Path) -> None:
    resume_run(build_learner, run)


def predict(run: Path) -> None:
    prediction_file.write(prediction_file.predict(build_learner, run, X), run / "out.npz")


def a_run(folder: Path) -> Path:
    """A finished run of the smallest network, in PyTorch, and its data."""
    np.savez(folder / "mine.npz", x=X, y=LABELS)
    choices: dict[str, Any] = {"width": 2, "steps": 2, "drift_widths": (2,), "test_samples": 2, "augment": 1}
    config = TrainConfig(
        data=str(folder / "mine.npz"), framework="torch", epochs=1, max_steps=2, batch_size=4, **choices
    )
    start_run(build_learner, config, folder / "run")
    shutil.rmtree(folder / "run" / "pictures")
    return folder / "run"


def sidecar(run: Path) -> Path:
    return checkpoint.latest(run / "checkpoints").with_suffix(".json")


def tensors(run: Path) -> Path:
    return checkpoint.latest(run / "checkpoints").with_suffix(".safetensors")


def reseal(run: Path, content: bytes) -> None:
    """Puts a tensors file in place that its record vouches for, so that nothing but the parser stands before it."""
    file, record = tensors(run), json.loads(sidecar(run).read_text())
    file.write_bytes(content)
    sidecar(run).write_text(json.dumps(record | {"sha256": hashlib.sha256(content).hexdigest()}))


def with_header(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """Changes the header of the tensors file."""

    def spoil(run: Path) -> None:
        content = tensors(run).read_bytes()
        end = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:end])
        change(header)
        text = json.dumps(header).encode()
        reseal(run, struct.pack("<Q", len(text)) + text + content[end:])

    return spoil


def with_arrays(change: Callable[[dict[str, np.ndarray]], Any]) -> Callable[[Path], None]:
    """Changes the arrays of the checkpoint."""

    def spoil(run: Path) -> None:
        path = checkpoint.latest(run / "checkpoints")
        arrays, meta = checkpoint.load(path)
        change(arrays)
        checkpoint.save(path.parent, path.name, arrays, meta)

    return spoil


def with_record(file: Callable[[Path], Path], **changes: Any) -> Callable[[Path], None]:
    """Changes a JSON file; `...` removes an entry."""

    def spoil(run: Path) -> None:
        record = json.loads(file(run).read_text()) | changes
        file(run).write_text(json.dumps({name: value for name, value in record.items() if value is not ...}))

    return spoil


def with_meta(**changes: Any) -> Callable[[Path], None]:
    def spoil(run: Path) -> None:
        record = json.loads(sidecar(run).read_text())
        meta = {name: value for name, value in (record["meta"] | changes).items() if value is not ...}
        sidecar(run).write_text(json.dumps(record | {"meta": meta}))

    return spoil


def with_bytes(file: Callable[[Path], Path], change: Callable[[bytes], bytes]) -> Callable[[Path], Any]:
    return lambda run: file(run).write_bytes(change(file(run).read_bytes()))


def resealed(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Changes the tensors file, and its record with it."""
    return lambda run: reseal(run, change(tensors(run).read_bytes()))


def always(new: bytes) -> Callable[[bytes], bytes]:
    return lambda _: new


def parsed(parse: Callable[[bytes, str], Any], content: bytes, name: str) -> Callable[[Path], Any]:
    return lambda _: parse(content, name)


def instead(file: Callable[[Path], Path], make: Callable[[Path], Any]) -> Callable[[Path], None]:
    """Puts what `make` makes in the file's place."""

    def spoil(run: Path) -> None:
        path = file(run)
        path.unlink(missing_ok=True)
        make(path)

    return spoil


def not_for_us(path: Path) -> None:
    path.write_bytes(b"{}")
    path.chmod(0)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(LARGE)


NO_FILES: dict[str, Callable[[Path], Any]] = {
    "missing": lambda path: None,
    "a folder": Path.mkdir,
    "a loop": lambda path: path.symlink_to(path.name),
    "a pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "huge": sparse,
}
if os.geteuid() != 0:
    NO_FILES["not for us"] = not_for_us


def cut(content: bytes, part: int) -> bytes:
    return content[: len(content) * part // 50]


def flip(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 0x11]) + content[place + 1 :]


def flip_at(content: bytes, part: int) -> bytes:
    return flip(content, len(content) * part // 20)


def config_file(run: Path) -> Path:
    return run / "config.json"


def task_file(run: Path) -> Path:
    return run / "task.json"


def log_file(run: Path) -> Path:
    return run / "metrics.jsonl"


def each(name: str, *values: Any) -> list[dict[str, Any]]:
    return [{name: value} for value in values]


def checkpoint_cases() -> Iterator[tuple[str, Case]]:
    for part in range(50):
        change = functools.partial(cut, part=part)
        yield f"cut at {part}/50", Case(with_bytes(tensors, change), load_checkpoint, ".safetensors")
        yield f"record cut at {part}/50", Case(with_bytes(sidecar, change), load_checkpoint, ".json")
        yield (
            f"cut at {part}/50, resealed",
            Case(resealed(change), resume, ".safetensors"),
        )
    for part in range(20):
        yield (
            f"byte flipped at {part}/20",
            Case(with_bytes(tensors, functools.partial(flip_at, part=part)), predict, ".safetensors"),
        )
        yield (
            f"byte {7 * part} flipped, resealed",
            Case(resealed(functools.partial(flip, place=7 * part)), resume, "step-0"),
        )
    for name, make in NO_FILES.items():
        if name != "missing":
            yield f"tensors: {name}", Case(instead(tensors, make), load_checkpoint, ".safetensors")
            yield f"record: {name}", Case(instead(sidecar, make), load_checkpoint, ".json")
    for name, content in JSON.items():
        yield f"record: {name}", Case(with_bytes(sidecar, always(content)), resume, ".json")

    headers: dict[str, bytes] = {
        "of 2^63 bytes": struct.pack("<Q", 2**63) + b"{}",
        "of 2^64-1 bytes": struct.pack("<Q", 2**64 - 1) + b"{}",
        "of no bytes": struct.pack("<Q", 0),
        "missing": b"",
        "that is nested": struct.pack("<Q", len(DEEP)) + DEEP,
        "that is a list": struct.pack("<Q", 2) + b"[]",
        "that is not UTF-8": struct.pack("<Q", 2) + b"\xff\xfe",
        "of a pickle": b"\x80\x04\x95" + bytes(40),
    }
    for name, content in headers.items():
        yield f"header {name}", Case(resealed(always(content)), resume, ".safetensors")
    first = "params/"

    def entry(header: dict[str, Any]) -> dict[str, Any]:
        return next(value for name, value in header.items() if name.startswith(first))

    headers_changed: dict[str, Callable[[dict[str, Any]], Any]] = {
        "shape beyond 64 bits": lambda header: entry(header).update(shape=[2**40, 2**40]),
        "shape 2^63": lambda header: entry(header).update(shape=[2**63]),
        "shape that multiplies to the same, modulo 2^64": lambda header: entry(header)["shape"].append(2**64 // 4 + 1),
        "shape below zero": lambda header: entry(header).update(shape=[-1]),
        "shape of fractions": lambda header: entry(header).update(shape=[1.5]),
        "no shape": lambda header: entry(header).pop("shape"),
        "offsets in reverse": lambda header: entry(header)["data_offsets"].reverse(),
        "offsets beyond the end": lambda header: entry(header).update(data_offsets=[0, 2**40]),
        "offsets of text": lambda header: entry(header).update(data_offsets=["0", "4"]),
        "dtype that is none": lambda header: entry(header).update(dtype="F33"),
        "dtype that numpy has not": lambda header: entry(header).update(dtype="F8_E4M3"),
        "dtype of another size": lambda header: entry(header).update(dtype="F64"),
        "dtype of the same size": lambda header: entry(header).update(dtype="I32"),
        "name that leads out": lambda header: header.update({"../../x": header.pop(next(iter(header)))}),
        "name of the root": lambda header: header.update({"/etc/passwd": header.pop(next(iter(header)))}),
        "empty name": lambda header: header.update({"": header.pop(next(iter(header)))}),
        "name of 100,000 letters": lambda header: header.update({"x" * 100_000: header.pop(next(iter(header)))}),
        "name of two lines": lambda header: header.update({"a\nb\0": header.pop(next(iter(header)))}),
    }
    for name, alter in headers_changed.items():
        yield f"header with a {name}", Case(with_header(alter), resume, "step-0")

    def one(arrays: dict[str, np.ndarray], change: Callable[[np.ndarray], np.ndarray]) -> None:
        name = next(name for name in arrays if name.startswith("average/") and arrays[name].ndim == 2)
        arrays[name] = change(arrays[name])

    arrays_changed: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "transposed": lambda array: array.T[:, :1],
        "of no dimensions": lambda array: np.asarray(array[0, 0]),
        "empty": lambda array: array[:0],
        "of float64": lambda array: array.astype(np.float64),
        "of float16": lambda array: array.astype(np.float16),
        "of whole numbers": lambda array: array.astype(np.int32),
        "of truths": lambda array: array > 0,
        "of NaN": lambda array: array * np.float32(np.nan),
        "of infinity": lambda array: array + np.float32(np.inf),
    }
    for name, of_array in arrays_changed.items():
        spoil = with_arrays(functools.partial(one, change=of_array))
        yield f"an array {name}, predict", Case(spoil, predict, "step-0")
        yield f"an array {name}, resume", Case(spoil, resume, "step-0")
    for name, spoil in {
        "without an array": with_arrays(lambda arrays: arrays.pop(next(iter(arrays)))),
        "with an array more": with_arrays(lambda arrays: arrays.update({"../../x": np.zeros(1)})),
        "without arrays": with_arrays(dict.clear),
    }.items():
        yield f"checkpoint {name}", Case(spoil, resume, "step-0")

    bad_meta: list[dict[str, Any]] = [
        *each("step", ..., None, -1, "2", 1.5, True, [], 3, 2**63),
        *each("seconds", ..., None, "1", [], True),
        *each("log_size", ..., None, -1, "all", 1.5, True),
    ]
    for meta in bad_meta:
        yield f"record of {meta}", Case(with_meta(**meta), resume, "step-0")
    for size in (1, 2**40):
        yield f"log of {size} bytes", Case(with_meta(log_size=size), resume, "metrics.jsonl")
    bad_records: tuple[dict[str, Any], ...] = (
        {"meta": []},
        {"meta": ...},
        {"sha256": 3},
        {"sha256": ...},
        {"sha256": ""},
    )
    for changes in bad_records:
        yield f"record with {changes}", Case(with_record(sidecar, **changes), load_checkpoint, "step-0")

    def a_file(run: Path) -> None:
        shutil.rmtree(run / "checkpoints")
        (run / "checkpoints").touch()

    yield "checkpoints that are a file", Case(a_file, resume, "checkpoints")
    yield "no checkpoints", Case(lambda run: shutil.rmtree(run / "checkpoints"), predict, "checkpoints")


def run_cases() -> Iterator[tuple[str, Case]]:
    for name, content in JSON.items():
        yield f"config: {name}", Case(with_bytes(config_file, always(content)), resume, "config.json")
        yield f"task: {name}", Case(with_bytes(task_file, always(content)), predict, "task.json")
    for name, make in NO_FILES.items():
        yield f"config: {name}", Case(instead(config_file, make), resume, "config.json")
        yield f"task: {name}", Case(instead(task_file, make), predict, "task.json")
    choices: list[dict[str, Any]] = [
        *each("epochs", "1", 1.5, True, None, [1], {}, 0, 2**40),
        *each("sigma", "0.1", None, [0.1], 0, -1, True),
        *each("blocks", 1, "1", [], [[1]], [1.0], [0], None, [True], [2**40]),
        *each("model", 1, None, "sdebn", "x" * 100_000, "a\nb", "../../x"),
        *({name: 1} for name in ("epoch", "", "../../x", "x" * 100_000, "__class__", "a\nb", "\ud800")),
        {"framework": "tensorflow"},
    ]
    for choice in choices:
        yield f"config with {choice!s:.60}", Case(with_record(config_file, **choice), resume, "config.json")
    for data, culprit in {
        "": "",
        ".": ".",
        "..": "..",
        "../../etc/passwd": "../../etc/passwd",
        "/dev/zero": "/dev/zero",
        "/etc/passwd": "/etc/passwd",
        "/dev/zero.npz": "/dev/zero.npz",
        "null\0.npz": "null",
        "half\ud800.npz": "half",
        "two\nlines.npz": "two\nlines.npz",
        "a" * 5000 + ".npz": "a" * 5000,
        "~nobody-of-that-name/x.npz": "~nobody-of-that-name",
        ".npz": ".npz",
        "mine.npz/": "mine.npz",
    }.items():
        yield f"config with data {data!a:.40}", Case(with_record(config_file, data=data), resume, culprit)
    tasks: list[dict[str, Any]] = [
        *each("x_shape", 3, [], [0], [-3], ["3"], [3.0], [True], [[3]], None, [2, 2], "3", ...),
        *each("x_dtype", "uint8", "object", "float64", ">f4", 3, None, [], ...),
        *each("num_classes", 0, 1, -1, 2**60, 2.0, "2", True, [], ...),
        *each("targets", 1, -1, None, 0.0, True, ...),
        *({"num_classes": None, "targets": value} for value in (0, 2**60, "1")),
        *each("held_out", "", 3, [], "g" * 64),
        {"more": 1},
    ]
    for task in tasks:
        yield f"task with {task}", Case(with_record(task_file, **task), predict, "task.json")
        yield f"task with {task}, resume", Case(with_record(task_file, **task), resume, "task.json")
    for task, culprit in (({"x_shape": [2**40]}, ""), ({"num_classes": 7}, "step-0"), ({"x_shape": [4]}, "")):
        yield f"another task: {task}", Case(with_record(task_file, **task), predict, culprit)

    good = b'{"step": 1, "split": "train"}\n'
    for name, line in {
        "cut short": b'{"step": 1, "spl',
        "that is none": b"",
        "of zeros": bytes(40),
        "of a list": b"[1]",
        "nested": DEEP[:60_000],
        "of 100,000 letters": b"x" * 100_000,
        "not in UTF-8": b'{"step": 1, "split": "\xff"}',
        "with NaN": b'{"step": 1, "split": "train", "loss": NaN}',
        "with a list": b'{"step": 1, "split": "train", "loss": [1]}',
        "with text": b'{"step": 1, "split": "train", "loss": "low"}',
        "twice a name": b'{"step": 1, "step": 1, "split": "train"}',
        "without a step": b'{"split": "train"}',
        "of a step below zero": b'{"step": -1, "split": "train"}',
        "of a step of text": b'{"step": "1", "split": "train"}',
        "without a split": b'{"step": 1}',
        "of a split of numbers": b'{"step": 1, "split": 1}',
    }.items():
        change = functools.partial(lambda line, content: good + line + b"\n" + content, line)
        yield (
            f"log with a line {name}",
            Case(with_bytes(log_file, change), lambda run: MetricsLog.read(RunFolder(run)), "metrics.jsonl"),
        )
        yield f"log with a line {name}, resume", Case(with_bytes(log_file, change), resume, "metrics.jsonl")
    for name in ("a folder", "a loop", "a pipe", "huge"):
        yield f"log: {name}", Case(instead(log_file, NO_FILES[name]), resume, "metrics.jsonl")
    yield "log that is empty", Case(with_bytes(log_file, lambda _: b""), resume, "metrics.jsonl")


def npy(array: np.ndarray, **header: Any) -> bytes:
    """A .npy file whose header says something else than the array."""
    said = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape} | header
    text = repr(said).encode() if "text" not in header else header["text"]
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + array.tobytes()


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        for name, member in members:
            archive.writestr(name, member)
    return content.getvalue()


def zip_bomb(path: Path, method: int) -> None:
    """An honest archive, but for what it takes to unpack: the zeros were never in memory."""
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("y.npy", npy(LABELS))
        with archive.open("x.npy", "w") as member:
            member.write(npy(np.zeros(0, np.float32), shape=(LARGE // 4, 1)))
            for _ in range(LARGE // len(ZEROS)):
                member.write(ZEROS)


def gzip_bomb() -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(ZEROS) for _ in range(LARGE // len(ZEROS))) + packer.flush()


class Trap:
    """Unpickling it ends the program."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (66,)


def objects() -> bytes:
    content = io.BytesIO()
    np.savez(content, x=np.array([Trap()] * 8, object), y=LABELS)
    return content.getvalue()


def npz_cases() -> Iterator[tuple[str, Case]]:
    good_x, good_y = npy(X), npy(LABELS)
    whole = zipped(("x.npy", good_x), ("y.npy", good_y))
    contents: dict[str, bytes] = {
        "empty": b"",
        "text": b"x,y\n1,2\n",
        "one array": good_x,
        "a pickle": b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00.",
        "objects": objects(),
        "twice a name": zipped(("x.npy", good_x), ("x", good_x), ("y.npy", good_y)),
        "raw bytes": zipped(("x", b"raw"), ("y.npy", good_y)),
        "names that lead out": zipped(("../x.npy", good_x), ("../y.npy", good_y)),
        "names of the root": zipped(("/x.npy", good_x), ("/y.npy", good_y)),
        "names of two lines": zipped(("x\ny.npy", good_x), ("\x1b[31m" * 9999, good_y)),
        "10,000 names": zipped(*((f"{number}.npy", b"") for number in range(10_000))),
        "a later version": zipped(("x.npy", good_x.replace(b"NUMPY\x01", b"NUMPY\x09")), ("y.npy", good_y)),
        "arrays of text": zipped(("x.npy", npy(X.astype("U9"))), ("y.npy", good_y)),
        "arrays of dates": zipped(("x.npy", npy(X.astype("M8[D]"))), ("y.npy", good_y)),
        "arrays of records": zipped(("x.npy", npy(X, descr=[("a", "<f4")])), ("y.npy", good_y)),
        "no dimensions": zipped(("x.npy", npy(X[0, 0])), ("y.npy", good_y)),
        "one dimension": zipped(("x.npy", npy(X[:, 0])), ("y.npy", good_y)),
        "five dimensions": zipped(("x.npy", npy(X.reshape(8, 3, 1, 1, 1))), ("y.npy", good_y)),
        "no columns": zipped(("x.npy", npy(X[:, :0])), ("y.npy", good_y)),
        "NaN": zipped(("x.npy", npy(X * np.float32(np.nan))), ("y.npy", good_y)),
        "infinity": zipped(("x.npy", npy(X + np.float32(np.inf))), ("y.npy", good_y)),
        "labels below zero": zipped(("x.npy", good_x), ("y.npy", npy(LABELS - 1))),
        "a label of 2^62": zipped(("x.npy", good_x), ("y.npy", npy(LABELS * 2**62))),
        "labels of text": zipped(("x.npy", good_x), ("y.npy", npy(LABELS.astype("U1")))),
        "too few labels": zipped(("x.npy", good_x), ("y.npy", npy(LABELS[:7]))),
        "no labels": zipped(("x.npy", good_x)),
    }
    headers: dict[str, dict[str, Any]] = {
        "10^12": {"shape": (10**12,)},
        "10^40": {"shape": (10**40, 0)},
        "beyond 64 bits": {"shape": (2**62, 4)},
        "below zero": {"shape": (-8, -3)},
        "of text": {"shape": ("8", 3)},
        "of a list": {"shape": [8, 3]},
        "of truths": {"shape": (True, True)},
        "missing": {"text": b"{'descr': '<f4'}"},
        "in code": {"text": b"__import__('os')._exit(66)"},
        "nested": {"text": b"(" * 9000},
        "beyond the file": {"shape": (9, 3)},
        "within the file": {"shape": (7, 3)},
        "of no bytes": {"descr": "V0"},
        "of an unknown type": {"descr": "<f3"},
        "of pickles": {"descr": "|O"},
        "of complex numbers": {"descr": "<c8", "shape": (4, 3)},
    }
    for name, header in headers.items():
        contents[f"header {name}"] = zipped(("x.npy", npy(X, **header)), ("y.npy", good_y))
    contents |= {f"cut at {part}/50": cut(whole, part) for part in range(50)}

    def mine(folder: Path) -> Path:
        return folder / "mine.npz"

    for name, content in contents.items():
        spoil = instead(mine, functools.partial(Path.write_bytes, data=content))
        yield f"npz: {name}", Case(spoil, lambda folder: load_npz(mine(folder)), "mine")
        if "label" not in name and name != "no columns":
            yield f"npz inputs: {name}", Case(spoil, lambda folder: load_inputs(mine(folder)), "mine.npz")
    bombs = {
        f"a bomb of method {method}": functools.partial(zip_bomb, method=method)
        for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
    }
    for name, make in (NO_FILES | bombs).items():
        yield f"npz: {name}", Case(instead(mine, make), lambda folder: load(str(mine(folder))), "mine.npz")


def data_cases() -> Iterator[tuple[str, Case]]:
    images = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2, 3, 4) + bytes(24)
    for name, content in {
        "empty": b"",
        "of 2^31 images": bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**31, 28, 28) + bytes(9),
        "of 2^96 numbers": bytes([0, 0, 8, 3]) + b"\xff" * 12,
        "of 2^32 numbers, modulo 2^64": bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**31, 2**31, 4),
        "of floats": bytes([0, 0, 13, 3]) + images[4:],
        "of 255 dimensions": bytes([0, 0, 8, 255]) + bytes(255 * 4),
        "with a byte more": images + b"\0",
        **{f"cut at {part}/50": cut(images, part) for part in range(50)},
    }.items():
        yield f"idx {name}", Case(lambda _: None, parsed(parse_idx, content, "train.idx"), "train.idx")
    packed = gzip.compress(images)
    for name, content in {
        "followed by another": packed * 2,
        "empty": b"",
        "text": b"text",
        **{f"cut at {part}/50": cut(packed, part) for part in range(50)},
    }.items():
        yield f"gzip {name}", Case(lambda _: None, parsed(gunzip, content, "train.gz"), "train.gz")
    yield "gzip bomb", Case(lambda _: None, lambda _: gunzip(gzip_bomb(), "train.gz"), "train.gz")
    for name, content in {
        "empty": b"",
        "cut": bytes(3072),
        "with a byte more": bytes(3074),
        "of a label 10": b"\x0a" + bytes(3072),
    }.items():
        yield f"cifar {name}", Case(lambda _: None, parsed(parse_cifar10, content, "batch.bin"), "batch.bin")

    def published(folder: Path) -> Path:
        return folder / "file.bin"

    for name, make in NO_FILES.items():
        if name != "missing":
            yield (
                f"published file: {name}",
                Case(
                    instead(published, make),
                    lambda folder: read_published(PublishedFile("file.bin", "0" * 32, "http://127.0.0.1/"), folder),
                    "file.bin",
                ),
            )
    texts: dict[str, tuple[str, bytes]] = {
        "empty": ("data.txt", b""),
        "ragged": ("data.txt", b"1 2\n3\n"),
        "text": ("data.txt", b"one two\n"),
        "binary": ("data.txt", bytes(range(256))),
        "NaN": ("data.txt", b"1 nan\n" * 308),
        "infinity": ("data.txt", b"1 1e999\n" * 308),
        "commas": ("data.txt", b"1,2\n" * 308),
        "long": ("data.txt", b"1 2\n" * (2**22 + 1)),
        "one row": ("data.txt", b"1 2\n"),
        "no columns": ("index_features.txt", b""),
        "a column that is not there": ("index_features.txt", b"2"),
        "a column of 10^300": ("index_target.txt", b"1e300"),
        "half a column": ("index_target.txt", b"0.5"),
    }
    for name, (file, content) in texts.items():

        def spoil(folder: Path, file: str = file, content: bytes = content) -> None:
            table = folder / "uci" / "yacht" / "data"
            table.mkdir(parents=True)
            for other, good in (("data.txt", b"1 2\n" * 308), ("index_features.txt", b"0"), ("index_target.txt", b"1")):
                (table / other).write_bytes(content if other == file else good)

        yield f"uci: {name}", Case(spoil, lambda folder: load_uci("yacht", 0, folder), "")


CASES = dict([*checkpoint_cases(), *run_cases(), *npz_cases(), *data_cases()])
# Of files that are cut or changed at many places, one place in ten: what they take is the same.
MEASURED = [case for name, case in CASES.items() if re.search(r"(?<!5)/[25]0", name) is None]


def tree(folder: Path) -> dict[str, Any]:
    """All there is in a folder, with contents where they are not large."""

    def what(path: Path) -> Any:
        status = path.lstat()
        small = path.is_file() and not path.is_symlink() and os.access(path, os.R_OK) and status.st_size < 2**20
        return status.st_mode, status.st_mtime_ns, status.st_size, path.read_bytes() if small else None

    return {str(path): what(path) for path in sorted(folder.rglob("*"))}


def refusal(case: Case, template: Path, folder: Path) -> str:
    """The sentence with which a case is refused, after checking that it changed nothing."""
    run = folder / "run"
    shutil.copytree(template, run)
    case.spoil(run)
    before = tree(folder)
    with pytest.raises(InputError) as refused:
        case.read(run)
    sentence = str(refused.value)
    assert case.culprit in sentence
    assert len(sentence) < 7000
    assert tree(folder) == before
    return sentence


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torchsde")
    folder = tmp_path_factory.mktemp("template")
    run = a_run(folder)
    predict(run)
    (run / "out.npz").unlink()
    return run


def test_the_list_is_long() -> None:
    assert len(CASES) >= 100


@pytest.mark.parametrize("name", CASES)
def test_what_is_malformed_is_refused_by_name_and_nothing_is_changed(
    unchecked, name: str, template: Path, tmp_path: Path
) -> None:
    assert refusal(CASES[name], template, tmp_path)


def test_a_whole_run_is_not_refused(template: Path, tmp_path: Path) -> None:
    """Otherwise the tests above would prove nothing."""
    run = tmp_path / "run"
    shutil.copytree(template, run)
    load_checkpoint(run)
    predict(run)
    resume(run)


@pytest.mark.skipif(not STATUS.exists(), reason="memory is read from /proc")
def test_the_list_takes_little_memory(interpreter: Any) -> None:
    """The process grows by less than 100 MB, and so does all that it asks for, whether something is written there or
    not.
    """
    pytest.importorskip("torchsde")
    done = interpreter.run(__file__)
    assert done.returncode == 0, done.stderr[-2000:]
    measured = json.loads(done.stdout.splitlines()[-1])
    assert measured["cases"] == len(MEASURED)
    assert measured["resident_mb"] < 100
    assert measured["asked_mb"] < 100


def memory(name: str) -> float:
    """A line of what Linux says of this process, in MB."""
    return float(re.search(rf"{name}:\s+(\d+) kB", STATUS.read_text())[1]) / 1024


def main() -> None:
    """Goes through the list and prints by how much the largest sizes of the process are above those before."""
    with tempfile.TemporaryDirectory() as name:
        template = a_run(Path(name))
        predict(template)
        resident, asked = memory("VmHWM"), memory("VmSize")
        for number, case in enumerate(MEASURED):
            (Path(name) / str(number)).mkdir()
            refusal(case, template, Path(name) / str(number))
            shutil.rmtree(Path(name) / str(number))
        measured = {
            "cases": len(MEASURED),
            "resident_mb": memory("VmHWM") - resident,
            "asked_mb": memory("VmPeak") - asked,
        }
        print(json.dumps(measured))  # noqa: T201 - what the test above reads


if __name__ == "__main__":
    main()
