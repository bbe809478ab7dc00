"""A seed gives the numbers that it gave before."""

import subprocess
import sys
from pathlib import Path


def test_a_seed_gives_the_numbers_that_it_gave_before() -> None:
    # In a process of its own, whose threads and devices are those of the record.
    script = Path(__file__).with_name("recorded.py")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-3000:]
