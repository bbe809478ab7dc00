"""How a process of several ends."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

if not Path("/proc/self/task").is_dir():
    pytest.skip("threads are counted in /proc", allow_module_level=True)

PROGRAM = """
import atexit, os


def native_threads():
    return [open(f"/proc/self/task/{thread}/comm").read().strip() for thread in os.listdir("/proc/self/task")]


# What is registered first is called last.
atexit.register(lambda: print([name for name in native_threads() if "gloo" in name]))

import torch
from sdebnn.torchbnn.learning import processes

# It lives to the end, as what a script keeps does.
module = processes.averaged(torch.nn.Linear(2, 1))
module(torch.ones(3, 2)).sum().backward()
processes.total(torch.ones(1))
print(any("gloo" in name for name in native_threads()))
"""


def test_no_thread_of_the_group_outlives_it() -> None:
    """A thread that lets go of a tensor after Python has ended aborts the process, though all went well."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    env = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "CUDA_VISIBLE_DEVICES": ""}
    both = [
        subprocess.Popen([sys.executable, "-c", PROGRAM], env=env | {"RANK": rank}, stdout=subprocess.PIPE, text=True)
        for rank in "01"
    ]
    assert [process.communicate(timeout=300)[0] for process in both] == ["True\n[]\n"] * 2
    assert [process.returncode for process in both] == [0, 0]
