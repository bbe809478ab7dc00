"""Programs that are forked of a process that has imported libraries end, fail and print as fresh ones do."""

import signal

import pytest
from forked import Interpreter


def test_nothing_that_is_tested_is_imported_before(interpreter: Interpreter) -> None:
    code = "import sys; print(sorted({name.partition('.')[0] for name in sys.modules} & {'jax', 'jaxsde', 'sdebnn'}))"
    assert interpreter.run("-c", code).stdout == "['jax']\n"


def test_a_program_that_fails_says_so(interpreter: Interpreter) -> None:
    done = interpreter.run("-c", "import sys; print(sys.argv); assert sys.argv == [], 'wrong'", "a")
    assert (done.returncode, done.stdout) == (1, "['-c', 'a']\n")
    assert done.stderr.rstrip().endswith("AssertionError: wrong")
    assert interpreter.run("-c", "import sys; sys.exit(3)").returncode == 3


@pytest.mark.parametrize(("words", "code"), [(["-W", "error"], 1), ([], 0)])
def test_warnings_are_errors_where_they_are_asked_to_be(interpreter: Interpreter, words: list[str], code: int) -> None:
    done = interpreter.run(*words, "-c", "import warnings; warnings.warn('heard')")
    assert done.returncode == code
    assert "UserWarning: heard" in done.stderr


def test_a_program_is_ended_by_signals(interpreter: Interpreter) -> None:
    program = interpreter.start("-c", "import time; time.sleep(100)")
    assert program.poll() is None
    program.send_signal(signal.SIGTERM)
    assert program.wait(timeout=60) == -signal.SIGTERM
