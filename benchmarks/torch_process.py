"""PyTorch in a process of its own, told when to compute: two libraries in one process fight for the cores."""

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path


@contextlib.contextmanager
def torch_stack(python: str, evaluations: int, threads: int) -> Iterator[Callable[[], None]]:
    """The call that waits for one gradient of the plain stack of `torch_step.py`.

    **Arguments:**

    - `python`: the interpreter that has PyTorch and sdebnn.
    """
    command = [python, str(Path(__file__).with_name("torch_step.py")), "--threads", str(threads), "--serve"]
    env = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    with subprocess.Popen(
        [*command, str(evaluations)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
    ) as process:
        asked, answers = process.stdin, process.stdout
        assert asked is not None
        assert answers is not None
        print(answers.readline().strip())

        def run() -> None:
            asked.write("\n")
            asked.flush()
            if not answers.readline():
                raise SystemExit("PyTorch's process failed; what it said is above.")

        yield run
        asked.close()
