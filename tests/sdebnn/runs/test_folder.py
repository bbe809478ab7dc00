import fcntl
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sdebnn.errors import InputError
from sdebnn.runs import RunFolder


def test_a_new_folder_has_every_part_and_keeps_the_choices(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "a" / "run")
    assert run.checkpoints.is_dir()
    assert run.tensorboard.is_dir()
    assert run.pictures.is_dir()
    config = {"sigma": 0.1, "blocks": [2, 2], "data": "digits"}
    run.write_config(config)
    assert RunFolder.open(run.path).read_config() == config
    assert json.loads(run.config_file.read_text()) == config


def test_a_folder_whose_run_never_started_can_be_used_again(tmp_path: Path) -> None:
    RunFolder.create(tmp_path / "run")
    assert RunFolder.create(tmp_path / "run").path == tmp_path / "run"


def test_refuses_another_run(tmp_path: Path) -> None:
    RunFolder.create(tmp_path).write_config({})
    with pytest.raises(InputError, match="holds a run already; choose another"):
        RunFolder.create(tmp_path)


def test_refuses_a_folder_with_other_files(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match=r"not empty \(it holds deep/thesis\.tex\)"):
        RunFolder.create(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deep"]


def test_one_process_at_a_time_trains_in_a_folder(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    run.write_config({})
    code = f"""
from pathlib import Path
from sdebnn.runs import RunFolder
with RunFolder.open(Path({str(run.path)!r})).held():
    print("holds", flush=True)
    input()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"holds\n"
        with pytest.raises(InputError, match=r"Another process trains in the run folder .*wait"), run.held():
            pass
        other.kill()
    with run.held():
        pass


def test_who_began_the_run_trains_although_another_has_just_tried(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    run.write_config({})
    with run.lock_file.open("a") as other:
        # As `write_config` of another process has it, until that has seen that the folder is taken.
        fcntl.flock(other, fcntl.LOCK_EX)
        threading.Timer(0.1, fcntl.flock, (other, fcntl.LOCK_UN)).start()
        with run.held(), pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize("inside", ["", "run", "a/b/run"])
def test_refuses_a_file_and_what_would_lie_in_one(tmp_path: Path, inside: str) -> None:
    file = tmp_path / "file"
    file.write_text("precious")
    with pytest.raises(InputError, match=r"is a file|can't be made"):
        RunFolder.create(file / inside)
    assert file.read_text() == "precious"


def test_a_folder_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mkdir = Path.mkdir

    def full_disk(path: Path, *args: object, **kwargs: object) -> None:
        if path.name == "pictures":
            raise OSError(28, "No space left on device")
        mkdir(path, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "mkdir", full_disk)
    with pytest.raises(InputError, match=r"can't be made \(No space left on device\)"):
        RunFolder.create(tmp_path / "a" / "run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_refuses_a_folder_without_the_right_to_write(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="Permission denied"):
        RunFolder.create(tmp_path / "run")


def test_open_refuses_what_is_no_run(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(InputError, match=r"no config\.json"):
            RunFolder.open(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b'{"sigma": 0', "not JSON"), (b"\xff\xfe", "not JSON"), (b"[" * 100_000, "not JSON"), (b"[1]", "JSON list")],
)
def test_a_damaged_config_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    run = RunFolder.create(tmp_path / "run")
    run.config_file.write_bytes(content)
    with pytest.raises(InputError, match=message):
        run.read_config()


def test_of_two_that_begin_a_run_in_one_folder_the_second_is_refused(tmp_path: Path) -> None:
    first, second = RunFolder.create(tmp_path / "run"), RunFolder.create(tmp_path / "run")
    first.write_config({"seed": 1})
    with pytest.raises(InputError, match="holds a run already; choose another"):
        second.write_config({"seed": 2})
    assert first.read_config() == {"seed": 1}


def test_no_run_begins_where_another_process_is_beginning_one(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    with run.lock_file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="Another process begins a run in the run folder"):
            run.write_config({})
    run.write_config({})


@pytest.mark.parametrize("name", ["checkpoints", "metrics.jsonl", "report.html"])
def test_refuses_a_run_with_a_link_in_it(tmp_path: Path, name: str) -> None:
    RunFolder.create(tmp_path / "run").write_config({})
    (tmp_path / "elsewhere").mkdir()
    if (tmp_path / "run" / name).is_dir():
        (tmp_path / "run" / name).rmdir()
    (tmp_path / "run" / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=f"{name} is a symbolic link; a run writes nothing through links"):
        RunFolder.open(tmp_path / "run")


def test_a_link_in_a_folder_without_files_is_in_the_way_of_a_new_run(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoints").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="not empty"):
        RunFolder.create(tmp_path / "run")


def test_the_whole_folder_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to("disk")
    RunFolder.create(tmp_path / "run").write_config({"seed": 1})
    run = RunFolder.open(tmp_path / "run")
    with run.held():
        assert run.read_config() == {"seed": 1}
    assert (tmp_path / "disk" / "config.json").is_file()


def test_what_a_killed_writer_left_goes_when_training_goes_on(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    run.write_config({})
    (run.path / "report.html.0123abcd.partial").write_text("half")
    (run.pictures / "loss.png.0123abcd.partial").write_text("half")
    with run.held():
        assert not list(run.path.rglob("*.partial"))
