"""A run that is killed again and again, at random moments, also while it writes, ends with the same bits and log."""

import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from forked import QUICKLY

from sdebnn.runs import MetricsLog, RunFolder, checkpoint

KILLS = 3
CHOICES = (
    "--epochs 80 --batch-size 8 --width 3 --steps 2 --drift-widths 2 --test-samples 1 --evaluate-every 20 "
    "--checkpoint-steps 3 --members 2"
)


# What each life would import, imported once: for each line, the words of a command, a process of its own.
LIVES = """
import importlib, json, os, sys
from sdebnn.cli import evaluate, main, predict, train
from sdebnn.training import pictures

for name in sys.argv[1:]:
    importlib.import_module(name)
pictures.draw_run = lambda *_: None
for line in sys.stdin:
    if (life := os.fork()) == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(main(json.loads(line)))
    print(life, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(life, 0)[1]), flush=True)
"""
# The logs' writer imports PyTorch, and optimisers of PyTorch import its compiler, when they are first needed.
NEEDED = {
    "jax": ("sdebnn.brax.learning.learner", "tensorboardX"),
    "torch": ("sdebnn.torchbnn.learning.learner", "tensorboardX", "torch._dynamo"),
}


def lives(framework: str, folder: Path) -> subprocess.Popen[str]:
    # As a user runs it: optax needs the promotion of dtypes that these tests forbid.
    env = {name: value for name, value in os.environ.items() if not name.startswith("JAX_NUMPY_")}
    # Each life compiles the same programs. A cache of their own: who is killed may leave half of one.
    env |= {"JAX_COMPILATION_CACHE_DIR": str(folder / "cache"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    command = [sys.executable, "-c", LIVES, *NEEDED[framework]]
    env |= {"OMP_NUM_THREADS": "1", "XLA_FLAGS": f"{QUICKLY} {env.get('XLA_FLAGS', '')}"}
    return subprocess.Popen(
        command, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip


def start(parent: subprocess.Popen[str], *arguments: str) -> int:
    """Begins a life. Returns the number of its process."""
    print(json.dumps(["train", *arguments]), file=parent.stdin, flush=True)
    return int(parent.stdout.readline())


def exit_code(parent: subprocess.Popen[str]) -> int:
    """That of the life that began last, once it has ended."""
    return int(parent.stdout.readline())


def wait_for(condition: Callable[[], bool], process: int) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            pytest.fail("the run ended before it could be killed often enough")
        assert time.monotonic() < deadline, "the run does not get on"
        time.sleep(0.002)


def newest(run: RunFolder) -> int:
    """The step of the newest checkpoint; 0 where there is none."""
    paths = checkpoint.find(run.checkpoints)
    return int(paths[-1].name.removeprefix("step-")) if paths else 0


def is_beyond(step: int, run: RunFolder) -> bool:
    return newest(run) > step


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bits(framework: str, tmp_path: Path, untimed) -> None:
    if framework == "torch":
        pytest.importorskip("torchsde")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 2)).astype(np.float32)
    np.savez(tmp_path / "mine.npz", x=x, y=(x[:, 0] > 0).astype(int))
    choices = ["--data", str(tmp_path / "mine.npz"), "--framework", framework, *CHOICES.split()]
    run = RunFolder(tmp_path / "killed")
    with lives(framework, tmp_path) as parent:
        start(parent, "--output", str(tmp_path / "whole"), *choices)
        assert exit_code(parent) == 0

        process = start(parent, "--output", str(run.path), *choices)
        # Once before the first checkpoint is there.
        wait_for(run.metrics_file.exists, process)
        os.kill(process, signal.SIGKILL)
        assert exit_code(parent) == -signal.SIGKILL
        process = start(parent, "--resume", str(run.path))
        for _ in range(KILLS):
            step = newest(run)
            wait_for(functools.partial(is_beyond, step, run), process)
            time.sleep(rng.uniform(0.0, 0.06))
            os.kill(process, signal.SIGKILL)
            assert exit_code(parent) == -signal.SIGKILL
            _, meta = checkpoint.load(checkpoint.latest(run.checkpoints))
            assert meta["step"] > step
            assert run.read_config()["framework"] == framework
            MetricsLog.read(run)
            process = start(parent, "--resume", str(run.path))
        assert exit_code(parent) == 0

    first, second = (
        checkpoint.load(checkpoint.latest(RunFolder(tmp_path / name).checkpoints)) for name in ("whole", "killed")
    )
    assert first[1]["step"] == second[1]["step"] == 200
    for name, array in first[0].items():
        np.testing.assert_array_equal(array, second[0][name], err_msg=name)
    names = sorted(path.name for path in (tmp_path / "whole" / "checkpoints").iterdir())
    assert names == sorted(path.name for path in run.checkpoints.iterdir())
    assert untimed(RunFolder(tmp_path / "whole")) == untimed(run)
