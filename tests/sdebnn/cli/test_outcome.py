"""How a program ends, whatever has become of the streams that it speaks to."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from sdebnn.cli.outcome import outcome
from sdebnn.errors import InputError

# Whoever runs the tests in the background may have what they start not hear an interrupt.
PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from sdebnn.cli.outcome import outcome

def act():
    {}

sys.exit(outcome("program", act))
"""


def shell(redirection: str, act: str, folder: Path, **environment: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a program that a shell starts with streams of its own."""
    (folder / "program.py").write_text(PROGRAM.format(act))
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} program.py {redirection}; exit ${{PIPESTATUS[0]}}"],
        cwd=folder, env=os.environ | environment, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_where_standard_error_is_closed_nothing_that_is_said_there_lands_in_a_file(tmp_path: Path) -> None:
    act = (
        "import os; file = open('kept', 'w'); os.write(2, b'noise'); print('more', file=sys.stderr); "
        "file.write('mine'); file.close(); print('done')"
    )
    assert shell("2>&-", act, tmp_path) == (0, "done\n", "")
    assert (tmp_path / "kept").read_text() == "mine"


def test_an_error_that_nobody_reads_has_its_exit_code(tmp_path: Path) -> None:
    act = "from sdebnn.errors import InputError; raise InputError('wrong')"
    assert shell("", act, tmp_path) == (2, "", "program: error: wrong\n")
    assert shell("2>&-", act, tmp_path)[0] == 2
    assert shell("2> /dev/full", act, tmp_path)[0] == 2


def test_work_goes_on_and_ends_quietly_where_nobody_reads_what_is_printed(tmp_path: Path) -> None:
    act = "import time; time.sleep(0.2); print('first', flush=True); print('second'); open('kept', 'w').close()"
    assert shell("| true", act, tmp_path) == (0, "", "")
    assert (tmp_path / "kept").exists()
    (tmp_path / "kept").unlink()
    assert shell(">&-", act, tmp_path) == (0, "", "")
    assert (tmp_path / "kept").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device of a full disk")
def test_output_that_finds_no_room_is_an_error_in_a_sentence(tmp_path: Path) -> None:
    code, _, said = shell("> /dev/full", "print('scores')", tmp_path)
    assert code == 1
    assert said.startswith("program: error: Standard output can't be written (No space left on device): make room")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_signals_end_a_program_with_a_sentence_before_and_after_training(name: str, code: int, tmp_path: Path) -> None:
    act = f"import os, signal, time; os.kill(os.getpid(), signal.{name}); time.sleep(5)"
    assert shell("", act, tmp_path) == (code, "", "program: stopped.\n")


def test_what_an_encoding_does_not_have_is_written_with_escapes(tmp_path: Path) -> None:
    act = r"print('The run is in \xfc\udcff')"
    assert shell("", act, tmp_path, PYTHONIOENCODING="ascii") == (0, "The run is in \\xfc\\udcff\n", "")


def test_text_of_others_cannot_steer_the_terminal_nor_fill_it(capsys: pytest.CaptureFixture[str]) -> None:
    def act() -> None:
        raise InputError("of\na file: \x1b[2J\u202e " + 10**6 * "long " + "end")

    assert outcome("program", act) == 2
    said = capsys.readouterr().err
    assert said.startswith("program: error: of a file: \\x1b[2J\\u202e long")
    assert said.endswith("long end\n")
    assert len(said) < 5000


def test_warnings_are_one_line_that_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    def act() -> None:
        # Pytest catches warnings; what is shown of one is made by this function.
        sys.stderr.write(warnings.formatwarning("x in\na\x1b[31m.npz", UserWarning, "code.py", 1))

    assert outcome("program", act) == 0
    assert capsys.readouterr().err == "program: warning: x in a\\x1b[31m.npz\n"
