import io
import os
import subprocess
import sys

import pytest

from sdebnn.runs import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Unread:
    """A number on a device: reading it would wait for the device."""

    def __float__(self) -> float:
        raise AssertionError("read although nothing is shown")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def test_lines_come_every_so_often_and_at_the_end_with_the_time_left(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress(10, every=30.0) as progress:
        for step in range(1, 11):
            clock[0] += 50.0 if step == 1 else 10.0  # The first step compiles.
            shown = step in (1, 4, 7, 10)
            progress.update(
                step, {"loss": 0.123456 if shown else Unread(), "accuracy": 0.5 if shown else Unread(), "kl": Unread()}
            )
    assert stream.getvalue().splitlines() == [
        "step 1/10, loss 0.1235, accuracy 0.5, time left unknown",
        "step 4/10, loss 0.1235, accuracy 0.5, 01:00 left",
        "step 7/10, loss 0.1235, accuracy 0.5, 00:30 left",
        "step 10/10, loss 0.1235, accuracy 0.5, done in 02:20",
    ]


def test_a_terminal_has_a_bar_with_loss_accuracy_and_time_left(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress(4) as progress:
        for step in range(1, 5):
            clock[0] += 1.0
            progress.update(step, {"loss": 0.25, "accuracy": 0.75})
    last = stream.getvalue().split("\r")[-1]
    assert "4/4" in last
    assert "loss 0.25, accuracy 0.75" in last
    assert "<" in last  # tqdm's elapsed<left
    assert "\n" in last


def test_a_run_that_breaks_off_closes_its_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with pytest.raises(FloatingPointError), Progress(4):
        raise FloatingPointError
    assert stream.getvalue().endswith("\n")


def test_a_run_goes_on_when_nobody_reads_its_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", buffering=1, errors="strict") as gone:
        monkeypatch.setattr(sys, "stderr", gone)
        with Progress(3, every=0.0) as progress:
            for step in (1, 2, 3):
                progress.update(step, {"loss": 1.0})
        # What the stream still holds could not be written on closing either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), writer)


@pytest.mark.parametrize("closed", [True, False])
def test_a_run_goes_on_without_standard_error(closed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    stream.close()
    monkeypatch.setattr(sys, "stderr", stream if closed else None)
    with Progress(2, every=0.0) as progress:
        progress.update(1, {"loss": 1.0})
        progress.update(2, {"loss": 1.0})


def test_a_notebook_has_a_widget() -> None:
    """Of tqdm itself, beside stand-ins for Jupyter's packages."""
    code = """
import sys, types
from unittest.mock import MagicMock
class HBox:
    def __init__(self, children):
        self.children, self.layout = children, MagicMock()
shown = []
display = types.SimpleNamespace(display=shown.append)
widgets = types.SimpleNamespace(HTML=MagicMock, FloatProgress=MagicMock, HBox=HBox)
sys.modules |= {"ipykernel.zmqshell": MagicMock(), "IPython": MagicMock()}
sys.modules |= {"IPython.display": display, "ipywidgets": widgets}

from sdebnn.runs import Progress
with Progress(3) as progress:
    for step in (1, 2, 3):
        progress.update(step, {"loss": 0.25})
(box,) = shown
_, bar, text = box.children
assert (bar.max, bar.value, bar.bar_style) == (3, 3, "success")
assert "loss" in text.value and "0.25" in text.value
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")
