"""A seed gives the numbers that it gave before."""

from pathlib import Path

from forked import Interpreter


def test_a_seed_gives_the_numbers_that_it_gave_before(interpreter: Interpreter) -> None:
    # In a process of its own, whose threads and devices are those of the record.
    done = interpreter.run(str(Path(__file__).with_name("recorded.py")))
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-3000:]
