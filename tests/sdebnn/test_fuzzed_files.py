"""Any bytes, and whole files with random damage: each is read or refused in a sentence; what was written comes back.

SDEBNN_FUZZ_EXAMPLES=20000 takes so many examples of each, other ones every time.
"""

import dataclasses
import gzip
import hashlib
import io
import json
import os
import re
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import polars as pl
import pytest
import safetensors.numpy
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from sdebnn.data import Dataset, TableEncoding, load_inputs, load_npz, load_uci, read_table
from sdebnn.data.cifar import RECORD, parse_cifar10
from sdebnn.data.idx import gunzip, parse_idx
from sdebnn.errors import InputError
from sdebnn.runs import MetricsLog, RunFolder, TrainConfig, checkpoint, strict_json
from sdebnn.runs.choices import AUTO, NumberOrAuto, allowed
from sdebnn.runs.choices.choice import SMALLEST_REAL
from sdebnn.runs.started import read_start
from sdebnn.training import Learner, checkpointing
from sdebnn.training.task import Task

EXAMPLES = os.environ.get("SDEBNN_FUZZ_EXAMPLES")
fuzz = settings(max_examples=int(EXAMPLES or 150), deadline=None, derandomize=EXAMPLES is None, database=None)

# Numbers at which sizes and signs turn over.
TURNING = [struct.pack(kind, n) for kind in ("<q", ">i", "<i") for n in (0, 1, -1, 2**31 - 1, -(2**31))]
TURNING += [
    b"0",
    b"-1",
    b"1e999",
    b"NaN",
    b"null",
    b"[]",
    b"{",
    b'"',
    b"\\u0000",
    b"99999999999999999999",
    b"\xff",
    b"../",
]


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """A file with one to four slices left out, doubled, moved or overwritten."""
    content = whole
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        stop = draw(st.integers(start, min(start + draw(st.sampled_from([1, 8, 64, 4096])), len(content))))
        part = content[start:stop]
        new = draw(
            st.sampled_from([b"", part * 2, part[::-1], bytes(byte ^ 1 << (start % 8) for byte in part), *TURNING])
            | st.binary(max_size=12)
        )
        content = content[:start] + new + content[stop:]
    return content


def some_bytes(*wholes: bytes) -> st.SearchStrategy[bytes]:
    return st.one_of(st.binary(max_size=200), *(damaged(whole) for whole in wholes))


def read_or_refused(read: Callable[[], Any]) -> Any:
    """What was read, or `None` after a refusal in one sentence."""
    try:
        return read()
    except InputError as error:
        assert 10 < len(str(error)) < 5000  # noqa: PT017 - a refusal is one of the two right answers
        return None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


IDX = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2, 3, 4) + bytes(range(24))


@fuzz
@given(some_bytes(IDX, gzip.compress(IDX, mtime=0)))
def test_idx(content: bytes) -> None:
    array = read_or_refused(lambda: parse_idx(content, "a file"))
    assert array is None or array.tobytes() == content[4 + 4 * array.ndim :]
    unpacked = read_or_refused(lambda: gunzip(content, "a file"))
    assert unpacked is None or unpacked == gzip.decompress(content)


@fuzz
@given(arrays_of.arrays(np.uint8, arrays_of.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5)))
def test_idx_comes_back(array: np.ndarray) -> None:
    if array.ndim != 2:
        content = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
        np.testing.assert_array_equal(parse_idx(gunzip(gzip.compress(content), "a file"), "a file"), array)


@fuzz
@given(some_bytes(b"".join(bytes([label]) + bytes(RECORD - 1) for label in (0, 9))), st.integers(0, 3))
def test_cifar(content: bytes, records: int) -> None:
    content = content[:RECORD].ljust(RECORD, b"\x07") * records + content
    found = read_or_refused(lambda: parse_cifar10(content, "a file"))
    if found is not None:
        images, labels = found
        planes = images.transpose(0, 3, 1, 2).reshape(len(labels), -1)
        assert np.concatenate([labels.astype(np.uint8)[:, None], planes], axis=1).tobytes() == content


def npz(compressed: bool, **arrays: np.ndarray) -> bytes:
    content = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(content, **arrays)  # type: ignore[arg-type]
    return content.getvalue()


X = np.linspace(-1, 1, 24, dtype=np.float32).reshape(8, 3)
NPZ = [npz(compressed, x=X, y=np.arange(8) % 2) for compressed in (False, True)]


@fuzz
@given(some_bytes(*NPZ))
def test_npz(folder: Path, content: bytes) -> None:
    path = folder / "mine.npz"
    path.write_bytes(content)
    dataset = read_or_refused(lambda: load_npz(path))
    inputs = read_or_refused(lambda: load_inputs(path))
    assert dataset is None or np.isfinite(dataset.x_train).all()
    assert inputs is None or np.isfinite(inputs).all()


DTYPES = [np.dtype(kind) for kind in ("<f4", ">f4", "<f8", ">f8", "<f2", "?", "i1", ">i2", "<u4", ">i8")]


@st.composite
def numbers(draw: st.DrawFn, dtypes: list[np.dtype], **sides: int) -> np.ndarray:
    dtype = draw(st.sampled_from(dtypes))
    shape = draw(arrays_of.array_shapes(**sides))
    elements = {"min_value": -60_000, "max_value": 60_000} if dtype.kind == "f" else None
    array = draw(arrays_of.arrays(dtype, shape, elements=elements))
    return np.asarray(array, order=draw(st.sampled_from("CF")))


@fuzz
@given(numbers(DTYPES, min_dims=2, max_dims=2, min_side=1, max_side=4), st.booleans())
def test_npz_comes_back_whatever_the_order_of_its_bytes_and_axes(folder: Path, x: np.ndarray, packed: bool) -> None:
    (folder / "mine.npz").write_bytes(npz(packed, x=x))
    np.testing.assert_array_equal(load_inputs(folder / "mine.npz"), x.astype(np.float32))


STATE = {"params/a": X, "average/a": X + 1, "n": np.array(3), "b": np.ones(2, ml_dtypes.bfloat16), "e": X[:0]}
TENSORS = safetensors.numpy.save(STATE)
META = {"step": 2, "seconds": 1.5, "log_size": 60}
SIDECAR = json.dumps({"meta": META, "sha256": hashlib.sha256(TENSORS).hexdigest(), "versions": {}}, indent=2).encode()


class AnyLearner(Learner):
    """Takes what it is given."""

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        assert all(array.nbytes == len(array.tobytes()) for array in state.values())

    def load_average(self, average: Mapping[str, np.ndarray]) -> None:
        self.load_state(average)


def load_everything(run: RunFolder, learner: Learner) -> None:
    read_or_refused(lambda: checkpointing.load_state(run, CONFIG, learner, 5))
    read_or_refused(lambda: checkpointing.load_average(run, CONFIG, learner))


@fuzz
@given(some_bytes(TENSORS))
def test_checkpoint(folder: Path, content: bytes) -> None:
    """The record vouches for the damaged file, so that the parser itself meets it."""
    path = folder / "checkpoints" / "step-2"
    path.parent.mkdir(exist_ok=True)
    path.with_suffix(".safetensors").write_bytes(content)
    record = {"meta": META, "sha256": hashlib.sha256(content).hexdigest()}
    path.with_suffix(".json").write_text(json.dumps(record))
    load_everything(RunFolder(folder), AnyLearner())  # type: ignore[abstract]


@fuzz
@given(some_bytes(SIDECAR))
def test_record_of_a_checkpoint(folder: Path, content: bytes) -> None:
    path = folder / "checkpoints" / "step-2"
    path.parent.mkdir(exist_ok=True)
    path.with_suffix(".safetensors").write_bytes(TENSORS)
    path.with_suffix(".json").write_bytes(content)
    load_everything(RunFolder(folder), AnyLearner())  # type: ignore[abstract]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
STORED = [*DTYPES, *(np.dtype(kind) for kind in ("<i4", "<i8", "<u2", "u1", "<u8"))]


@fuzz
@given(
    st.dictionaries(st.text(max_size=9), numbers(STORED, min_dims=0, max_dims=4, min_side=0, max_side=3), max_size=4),
    numbers([np.dtype(np.uint16)], min_dims=0, max_dims=2, min_side=0),
    st.dictionaries(st.text(max_size=5), json_values, max_size=3),
)
def test_a_checkpoint_comes_back_to_the_bit(
    folder: Path, arrays: dict[str, np.ndarray], bits: np.ndarray, meta: dict[str, Any]
) -> None:
    arrays = {
        name: array.astype(array.dtype.newbyteorder("=")) for name, array in arrays.items() if name != "__metadata__"
    }
    arrays["bits"] = np.ascontiguousarray(bits).view(ml_dtypes.bfloat16).reshape(bits.shape)
    found, found_meta = checkpoint.load(checkpoint.save(folder / "saved", "step-1", arrays, meta))
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()
    assert strict_json.text(found_meta) == strict_json.text(meta)


CONFIG = TrainConfig()
FIELDS = dataclasses.fields(TrainConfig)
NAMES = [field.name for field in FIELDS]
TEXTS = {field.name: allowed(field) for field in FIELDS}


@st.composite
def choices(draw: st.DrawFn) -> dict[str, Any]:
    """Any choices that are allowed."""
    values = {}
    for field in draw(st.lists(st.sampled_from(FIELDS), max_size=8, unique=True)):
        limits = field.metadata
        low, high = limits.get("low", limits.get("above", 0)), limits.get("high", limits.get("below", 2**32 - 1))
        if texts := TEXTS[field.name]:
            value: st.SearchStrategy[Any] = st.sampled_from(texts)
        elif field.type is bool:
            value = st.booleans()
        elif field.type is str:
            value = st.text(max_size=9)
        elif field.type in (float, NumberOrAuto):
            value = st.floats(low, high, exclude_min="above" in limits, exclude_max="below" in limits)
            value = value.filter(lambda number: number == 0 or number >= SMALLEST_REAL)
            if field.type is not float:
                value |= st.just(AUTO)
        else:
            value = st.integers(low, high)
            if field.type is not int:
                assert field.type == tuple[int, ...], f"{field.name} takes {field.type}: say here what it may be"
                value = st.lists(value, min_size=1, max_size=4).map(tuple)
        values[field.name] = draw(value)
    return values


@fuzz
@given(choices())
def test_a_configuration_comes_back(folder: Path, values: dict[str, Any]) -> None:
    run = RunFolder(folder)
    try:
        config = dataclasses.replace(CONFIG, **values)
    except InputError as refused:
        # Each is allowed, but not every prior has them all, and not every run finds the noise of its weights.
        if not re.match("The prior|The weight process|sigma='auto'", str(refused)):
            raise
        reject()
    strict_json.write(run.config_file, config.to_json())
    assert read_start(run)[0] == config
    assert TrainConfig.from_json(config.to_json()) == config


@fuzz
@given(st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=9), json_values | st.lists(st.integers()), max_size=5))
def test_configuration_of_anything(record: dict[str, Any]) -> None:
    config = read_or_refused(lambda: TrainConfig.from_json(record))
    assert config is None or TrainConfig.from_json(config.to_json()) == config


@fuzz
@given(some_bytes(json.dumps(CONFIG.to_json(), indent=2).encode()))
def test_configuration_file(folder: Path, content: bytes) -> None:
    run = RunFolder(folder)
    run.config_file.write_bytes(content)
    config = read_or_refused(lambda: read_start(run)[0])
    assert config is None or TrainConfig.from_json(config.to_json()) == config


TASK = Task((8, 8, 1), "uint8", 10, 0, "0" * 64, "1" * 64)


@fuzz
@given(
    some_bytes(json.dumps(TASK._asdict()).encode())
    | st.fixed_dictionaries(
        {},
        optional={
            "x_shape": st.lists(st.integers(-1, 2**64), max_size=4) | json_values,
            "x_dtype": st.sampled_from(["uint8", "float32", "float64"]) | json_values,
            "num_classes": st.integers(-1, 3) | json_values,
            "targets": st.integers(-1, 3) | json_values,
            "digest": st.text("0123456789abcdefg", min_size=63, max_size=65) | json_values,
            "held_out": st.text("0123456789abcdefg", min_size=63, max_size=65) | json_values,
            "encoding": st.text("0123456789abcdefg", min_size=63, max_size=65) | json_values,
        },
    ).map(lambda record: strict_json.text(TASK._asdict() | record).encode())
)
def test_task_file(folder: Path, content: bytes) -> None:
    run = RunFolder(folder)
    (run.path / "task.json").write_bytes(content)
    task = read_or_refused(lambda: Task.read(run))
    if task is not None:
        read_or_refused(lambda: task.inputs(X))
        if np.prod(task.x_shape) < 10**6 and (task.num_classes or task.targets) < 10**6:
            task.placeholder()


ROWS = {
    "size": [1.0, None, 3.0, 1e9],
    "town": ["a", "b", "a", None],
    "one": [1, 1, 1, 1],
    "price": [1.0, 2.5, 3.0, 4.0],
}
TABLE = TableEncoding.fit(pl.DataFrame(ROWS), "price").to_json()


@fuzz
@given(
    some_bytes(json.dumps(TABLE).encode(), json.dumps(TABLE | {"labels": ["a", "b"], "target_scales": None}).encode())
    | st.fixed_dictionaries({}, optional=dict.fromkeys(TABLE, json_values)).map(
        lambda record: strict_json.text(TABLE | record).encode()
    )
)
@pytest.mark.filterwarnings("ignore:Column")
def test_encoding_of_a_table(folder: Path, content: bytes) -> None:
    (folder / "table.json").write_bytes(content)
    encoding = read_or_refused(lambda: TableEncoding.from_json(strict_json.read(folder / "table.json")))
    if encoding is not None:
        assert TableEncoding.from_json(encoding.to_json()) == encoding
        inputs = read_or_refused(lambda: encoding.inputs(pl.DataFrame(ROWS)))
        assert inputs is None or np.isfinite(inputs).all()


@fuzz
@given(some_bytes(*(separator.join(["size,town,price", *["1.5,a,2", "NA,b,3.5"] * 3]).encode() for separator in "\n;")))
@pytest.mark.filterwarnings("ignore:Column")
def test_csv(folder: Path, content: bytes) -> None:
    (folder / "mine.csv").write_bytes(content)
    table = read_or_refused(lambda: read_table(folder / "mine.csv"))
    if table is not None:
        assert table.height > 0
        dataset = read_or_refused(lambda: Dataset.from_frame(table, table.columns[-1]))
        assert dataset is None or np.isfinite(dataset.x_train).all()


LOG = b"".join(
    b'{"step": %d, "time": 1.5, "split": "train", "loss": 0.5, "kl": "nan"}\n' % step for step in range(1, 4)
)


@fuzz
@given(some_bytes(LOG), st.integers(-1, 250))
def test_log(folder: Path, content: bytes, size: int) -> None:
    run = RunFolder(folder)
    run.metrics_file.write_bytes(content)
    records = read_or_refused(lambda: MetricsLog.read(run))
    if size >= 0 and read_or_refused(lambda: MetricsLog(run, resume=(1, size)).__exit__(None, None, None)) is None:
        assert run.metrics_file.read_bytes() in (content, content[:size])
    if records is not None:
        assert all(record["step"] >= 0 and isinstance(record["split"], str) for record in records)


@fuzz
@given(
    some_bytes(b"1 2.5\n3 4\n" * 154, b"0\n1\n"),
    st.sampled_from(["data.txt", "index_features.txt", "index_target.txt"]),
)
def test_uci(folder: Path, content: bytes, file: str) -> None:
    table = folder / "uci" / "yacht" / "data"
    table.mkdir(parents=True, exist_ok=True)
    for name, good in (("data.txt", b"1 2\n" * 308), ("index_features.txt", b"0\n"), ("index_target.txt", b"1\n")):
        (table / name).write_bytes(content if name == file else good)
    read_or_refused(lambda: load_uci("yacht", 0, folder))
