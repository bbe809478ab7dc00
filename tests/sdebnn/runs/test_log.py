import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from sdebnn.errors import InputError
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


@pytest.mark.parametrize("line", ["{", "[1]", "3", '{"loss": "many"}', '{"loss": null}'])
def test_a_damaged_line_is_refused_by_number(run: RunFolder, line: str) -> None:
    run.metrics_file.write_text('{"step": 1}\n' + line + '\n{"step": 3}\n')
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
        events.append(event.FromString(content[start + 12 : start + 12 + length]))  # type: ignore[attr-defined]
        start += 16 + length
    return events
