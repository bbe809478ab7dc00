import json
import math
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sdebnn.errors import InputError, StorageError
from sdebnn.runs import MetricsLog, RunFolder


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run")


def test_what_is_written_is_read_and_lines_are_there_at_once(run: RunFolder) -> None:
    with MetricsLog(run) as log:
        log.write(10, {"loss": np.float32(0.5), "accuracy": 1}, split="train")
        (record,) = MetricsLog.read(run)
        log.write(20, {"nll": 0.25}, split="test")
    assert record["step"] == 10
    assert record["loss"] == 0.5
    assert record["accuracy"] == 1.0
    assert [r["split"] for r in MetricsLog.read(run)] == ["train", "test"]
    assert MetricsLog.read(run)[1]["time"] >= record["time"] > 1.6e9


def test_a_second_log_appends(run: RunFolder) -> None:
    for step in (1, 2):
        with MetricsLog(run) as log:
            log.write(step, {}, split="train")
    assert [record["step"] for record in MetricsLog.read(run)] == [1, 2]


def test_not_a_number_is_valid_json_and_comes_back(run: RunFolder) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    with MetricsLog(run) as log:
        log.write(1, {"loss": math.nan, "kl": math.inf, "low": -math.inf}, split="train")
    json.loads(run.metrics_file.read_text(), parse_constant=refuse)
    (record,) = MetricsLog.read(run)
    assert math.isnan(record["loss"])
    assert (record["kl"], record["low"]) == (math.inf, -math.inf)


def test_a_run_without_a_log_has_no_records(run: RunFolder) -> None:
    assert MetricsLog.read(run) == []


def test_a_last_line_cut_short_is_left_out(run: RunFolder) -> None:
    run.metrics_file.write_text('{"step": 1, "split": "train"}\n{"step": 2, "spl')
    assert [record["step"] for record in MetricsLog.read(run)] == [1]


@pytest.mark.parametrize(
    "line",
    [
        *("{", "[1]", "3", "", "\udcff", "x" * 2**17, '{"step": 2, "split": "a", "loss": NaN}'),
        *('{"step": 2, "split": "a", "loss": "many"}', '{"step": 2, "split": "a", "loss": null}'),
        *('{"split": "a"}', '{"step": -1, "split": "a"}', '{"step": "2", "split": "a"}', '{"step": 2, "split": 3}'),
    ],
)
def test_a_damaged_line_is_refused_by_number(run: RunFolder, line: str) -> None:
    good = '{"step": 1, "split": "a"}\n'
    run.metrics_file.write_text(good + line + "\n" + good, errors="surrogateescape")
    with pytest.raises(InputError, match=r"Line 2 of .*metrics\.jsonl is not a record"):
        MetricsLog.read(run)


def test_tensorboard_sees_the_same_numbers(run: RunFolder) -> None:
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    with MetricsLog(run) as log:
        log.write(7, {"loss": 0.5}, split="train")
    (file,) = run.tensorboard.iterdir()
    scalars = [(e.step, v.tag, v.simple_value) for e in _events(file.read_bytes(), Event) for v in e.summary.value]
    assert scalars == [(7, "train/loss", 0.5)]


def test_without_tensorboard_the_lines_are_written_alone(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with MetricsLog(run) as log:
        log.write(7, {"loss": 0.5}, split="train")
    assert list(run.tensorboard.iterdir()) == []
    assert len(MetricsLog.read(run)) == 1


def _events(content: bytes, event: type) -> list:
    """The records of an event file: length (8 bytes), its checksum (4), the record, its checksum (4)."""
    events, start = [], 0
    while start < len(content):
        length = int.from_bytes(content[start : start + 8], "little")
        events.append(event.FromString(content[start + 12 : start + 12 + length]))
        start += 16 + length
    return events


@pytest.mark.parametrize(
    ("content", "size", "says"),
    [
        ("first\nsecond\n", 100, "has .* bytes, but had 100 when the checkpoint was written"),
        ("first\nseco", 100, "it was truncated"),
        ("first\nsecond\n", 30, "Line 2 .* does not end where the checkpoint says"),
        ("first\nx\nsecond\n", 60, "Line 2 .* is not a record"),
    ],
)
def test_a_log_that_is_not_what_it_was_is_refused_and_stays(run: RunFolder, content: str, size: int, says: str) -> None:
    line = '{"step": 1, "split": "a"}'
    run.metrics_file.write_text(content.replace("first", line).replace("second", line))
    before = run.metrics_file.read_bytes()
    with pytest.raises(InputError, match=says):
        MetricsLog(run, resume=(1, size))
    assert run.metrics_file.read_bytes() == before
    assert list(run.tensorboard.iterdir()) == []


def test_later_lines_are_cut_off_and_a_log_that_was_removed_begins_again(run: RunFolder) -> None:
    with MetricsLog(run) as log:
        log.write(1, {}, split="a")
        size = log.size()
        log.write(2, {}, split="a")
    for steps in ([1, 3], [3]):
        with MetricsLog(run, resume=(1, size)) as log:
            log.write(3, {}, split="a")
        assert [record["step"] for record in MetricsLog.read(run)] == steps
        run.metrics_file.unlink()


def test_a_disk_that_takes_no_more_is_a_sentence(run: RunFolder) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with MetricsLog(run) as log:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[1]))
        try:
            with pytest.raises(StorageError, match=r"metrics\.jsonl can't be written \(File too large"):
                log.write(1, {"loss": 1.0}, split="train")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("resume", [None, (0, 0)])
@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_log_is_not_written_through_a_link(
    run: RunFolder, tmp_path: Path, link: Callable[[Path, Path], None], resume: tuple[int, int] | None
) -> None:
    (tmp_path / "precious").write_text("text")
    link(tmp_path / "precious", run.metrics_file)
    with pytest.raises(StorageError, match=r"metrics\.jsonl can't be written: it or its folder is a link"):
        MetricsLog(run, resume=resume)
    assert (tmp_path / "precious").read_text() == "text"


def test_a_log_that_is_a_pipe_is_not_waited_for(run: RunFolder) -> None:
    os.mkfifo(run.metrics_file)
    with pytest.raises(StorageError, match="can't be written"):
        MetricsLog(run)


def test_events_for_tensorboard_are_not_written_through_a_link(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    run.tensorboard.rmdir()
    run.tensorboard.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="its folder is a link"):
        MetricsLog(run)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_tensorboard_reads_the_folder_of_a_run_that_was_resumed(run: RunFolder) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with MetricsLog(run) as log:
        for step in (1, 2, 3):
            log.write(step, {"loss": step}, split="train")
    lines = run.metrics_file.read_text().splitlines(keepends=True)
    with MetricsLog(run, resume=(2, len("".join(lines[:2])))) as log:
        log.write(3, {"loss": 30}, split="train")
    board = accumulator.EventAccumulator(str(run.tensorboard)).Reload()
    assert [(event.step, event.value) for event in board.Scalars("train/loss")] == [(1, 1), (2, 2), (3, 30)]
