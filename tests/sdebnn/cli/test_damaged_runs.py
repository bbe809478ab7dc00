"""A run folder that was damaged, or whose disk is full, as a person meets it at the command line."""

import errno
import json
import os
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest

from sdebnn.cli import main
from sdebnn.runs import MetricsLog, RunFolder, checkpoint

pytest.importorskip("torchsde")
DRAWN = True
CHOICES = (
    "--framework torch --epochs 2 --batch-size 8 --width 3 --steps 2 --drift-widths 2 --test-samples 2 "
    "--checkpoint-steps 1"
)


def train(folder: Path, output: str) -> int:
    return main(["train", "--data", str(folder / "mine.npz"), "--output", str(folder / output), *CHOICES.split()])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing happened to, and its data."""
    folder = tmp_path_factory.mktemp("whole")
    x = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    np.savez(folder / "mine.npz", x=x, y=(x[:, 0] > 0).astype(int))
    assert train(folder, "run") == 0
    return folder


def says(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on standard error, but for lines of progress."""
    error = capsys.readouterr().err
    assert "Traceback" not in error
    [line] = [line for line in error.splitlines() if not line.startswith(("step ", "classification: "))]
    return line


@pytest.mark.parametrize("command", ["predict", "evaluate", "resume"])
@pytest.mark.parametrize("suffix", [".safetensors", ".json"])
@pytest.mark.parametrize("part", [0, 17, 49])
def test_a_truncated_checkpoint_is_one_line_and_exit_code_2(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, suffix: str, part: int
) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole / "run", run)
    file = checkpoint.latest(run / "checkpoints").with_suffix(suffix)
    file.write_bytes(file.read_bytes()[: file.stat().st_size * part // 50])
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    arguments = {
        "predict": ["predict", str(run), str(whole / "mine.npz"), "--output", str(tmp_path / "out.csv")],
        "evaluate": ["evaluate", str(run)],
        "resume": ["train", "--resume", str(run)],
    }
    assert main(arguments[command]) == 2
    line = says(capsys)
    assert line.startswith("sdebnn: error: ")
    assert file.name in line
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_a_name_of_two_lines_is_still_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(tmp_path / "two\nlines"), "in\r.npz", "--output", str(tmp_path / "out.npz")]) == 2
    assert says(capsys)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> dict:
    """`{"after": n}`: after n more files or folders that reach it, the disk takes no more; `None`: there is room."""
    state: dict = {"after": None}
    fsync = os.fsync

    def limited(descriptor: int) -> None:
        if state["after"] is not None:
            state["after"] -= 1
            if state["after"] < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", limited)
    return state


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take longer than all the rest."""
    monkeypatch.setattr("sdebnn.training.run.pictures.draw_run", lambda *_: None)


def same_end(whole: Path, run: Path) -> None:
    first, second = (checkpoint.load(checkpoint.latest(path / "checkpoints")) for path in (whole / "run", run))
    assert first[1]["step"] == second[1]["step"]
    for name, array in first[0].items():
        np.testing.assert_array_equal(array, second[0][name], err_msg=name)
    assert timeless(whole / "run") == timeless(run)


def timeless(run: Path) -> list[dict]:
    """What was logged, without times and pace."""
    records = [record for record in MetricsLog.read(RunFolder(run)) if record["split"] != "system"]
    return [{name: value for name, value in record.items() if name != "time"} for record in records]


# What reaches the disk: config.json, its folder, task.json, its folder; then for every checkpoint the log, the arrays,
# their folder, the record and its folder.
@pytest.mark.parametrize("after", [2, 4, 5, 7, 8, 20])
def test_a_full_disk_is_one_line_and_the_run_goes_on_once_there_is_room(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], full_disk: dict, no_pictures: None, after: int
) -> None:
    shutil.copy(whole / "mine.npz", tmp_path)
    full_disk["after"] = after
    assert train(tmp_path, "run") == 1
    line = says(capsys)
    assert "No space left on device" in line
    assert "make room" in line
    assert f"sdebnn train --resume {tmp_path / 'run'}" in line
    assert not list(tmp_path.rglob("*.partial"))
    run = RunFolder(tmp_path / "run")
    if checkpoint.find(run.checkpoints):
        checkpoint.load(checkpoint.latest(run.checkpoints))
    # It is still full.
    assert main(["train", "--resume", str(run.path)]) == 1
    assert "No space left on device" in says(capsys)
    full_disk["after"] = None
    assert main(["train", "--resume", str(run.path)]) == 0
    same_end(whole, run.path)


@pytest.mark.parametrize("limit", [300, 1500, 4000])
def test_a_disk_that_takes_no_longer_files_is_one_line_too(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], no_pictures: None, limit: int
) -> None:
    """The operating system itself refuses, in the middle of a file: of a checkpoint, of the log, of TensorBoard's."""
    shutil.copy(whole / "mine.npz", tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        code = train(tmp_path, "run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert code == 1
    line = says(capsys)
    assert "File too large" in line
    run = tmp_path / "run"
    if not (run / "config.json").exists():
        assert train(tmp_path, "run") == 0
    else:
        assert main(["train", "--resume", str(run)]) == 0
        same_end(whole, run)


def test_a_disk_that_is_full_from_the_start_leaves_nothing_in_the_way(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], full_disk: dict, no_pictures: None
) -> None:
    shutil.copy(whole / "mine.npz", tmp_path)
    full_disk["after"] = 0
    assert train(tmp_path, "run") == 1
    assert "config.json can't be written (No space" in says(capsys)
    full_disk["after"] = None
    assert train(tmp_path, "run") == 0
    same_end(whole, tmp_path / "run")


def test_a_run_killed_between_its_first_two_files_can_be_resumed_and_predicts(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(whole / "run" / "config.json", run)
    assert main(["train", "--resume", str(run)]) == 0
    assert json.loads((run / "task.json").read_text())["x_shape"] == [2]
    assert main(["predict", str(run), str(whole / "mine.npz"), "--output", str(tmp_path / "out.csv")]) == 0


def test_without_its_damaged_newest_checkpoint_a_run_goes_on_from_the_one_before(
    whole: Path, tmp_path: Path, no_pictures: None
) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole / "run", run)
    newest = checkpoint.latest(run / "checkpoints")
    newest.with_suffix(".safetensors").write_bytes(b"damaged")
    assert main(["train", "--resume", str(run)]) == 2
    for suffix in (".safetensors", ".json"):
        newest.with_suffix(suffix).unlink()
    assert main(["train", "--resume", str(run)]) == 0
    same_end(whole, run)


def test_data_that_were_exchanged_are_refused(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole / "run", run)
    np.savez(tmp_path / "mine.npz", x=np.zeros((60, 2)), y=np.arange(60) % 3)
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"data": str(tmp_path / "mine.npz")}))
    assert main(["train", "--resume", str(run)]) == 2
    assert "sdebnn: error" in says(capsys)


def test_predictions_that_find_no_room_are_one_line_and_leave_the_old_ones(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], full_disk: dict
) -> None:
    out = tmp_path / "out.csv"
    arguments = ["predict", str(whole / "run"), str(whole / "mine.npz"), "--output"]
    assert main([*arguments, str(out)]) == 0
    old = out.read_bytes()
    full_disk["after"] = 0
    assert main([*arguments, str(out)]) == 1
    assert f"{out} can't be written (No space left on device)" in says(capsys)
    assert out.read_bytes() == old
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
    (tmp_path / "folder.csv").mkdir()
    assert main([*arguments, str(tmp_path / "folder.csv")]) == 2
    assert "folder.csv is a folder, a pipe or a device" in says(capsys)


def test_pictures_that_find_no_room_leave_a_finished_run(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    run = tmp_path / "run"
    shutil.copytree(whole / "run", run)
    shutil.rmtree(run / "pictures")
    (run / "pictures").write_bytes(b"")
    assert main(["train", "--resume", str(run)]) == 1
    assert "training_curves.png can't be written" in says(capsys)
    (run / "pictures").unlink()
    assert main(["train", "--resume", str(run)]) == 0
    same_end(whole, run)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_may_no_longer_be_written_is_one_line(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole / "run", run)
    (run / "metrics.jsonl").chmod(0o400)
    assert main(["train", "--resume", str(run)]) == 1
    assert "Permission denied" in says(capsys)
