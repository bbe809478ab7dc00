"""`sdebnn demo` refuses before it trains."""

from pathlib import Path

import pytest

from sdebnn import extras
from sdebnn.cli import main


@pytest.fixture(autouse=True)
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def start_run(*arguments: object, **named: object) -> None:
        raise AssertionError("a network was trained")

    monkeypatch.setattr("sdebnn.training.start_run", start_run)


def test_a_folder_of_the_second_network_that_is_in_use_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "odenet").mkdir()
    (tmp_path / "odenet" / "config.json").write_text("{}")
    assert main(["demo", "--output", str(tmp_path)]) == 2
    assert "odenet holds a run already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["odenet"]


def test_pictures_that_cannot_be_drawn_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "_found", lambda name: name != "matplotlib")
    assert main(["demo", "--output", str(tmp_path)]) == 2
    assert "The demo needs matplotlib, which is not installed" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
