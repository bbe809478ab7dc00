"""What do several devices or processes give, and what do they send each other?

The MNIST network, on synthetic images: first every device has 64 examples a step, so that as many seconds a step would
be perfect scaling (weak); then all share 128 (strong). One thread a device; devices beyond the cores share them.

    python benchmarks/scaling.py [--numbers 1 2 4] [--steps 20]
"""

import argparse
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from timing import print_conditions, print_rows

from sdebnn.data import Dataset
from sdebnn.frameworks import build_learner
from sdebnn.runs import TrainConfig
from sdebnn.training.learner import Learner

EACH, TOGETHER = 64, 128
KINDS = ("JAX, devices of a process", "JAX, processes", "PyTorch, processes")


def learner_of(data: str, framework: str, batch: int, **choices: Any) -> tuple[Learner, np.ndarray, np.ndarray]:
    """A learner of the data set's usual network, and a batch for it."""
    shape, classes = {"mnist": ((28, 28, 1), 10), "cifar10": ((32, 32, 3), 10)}[data]
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (batch, *shape), np.uint8)
    y = rng.integers(0, classes, batch).astype(np.int32)
    config = TrainConfig.for_data(data, framework=framework, batch_size=batch)
    learner = build_learner(config, Dataset(data, "classification", x, y, x, y, classes), **choices)
    return learner, (x.astype(np.float32) / 255)[None], y[None]


def sent() -> int:
    """Bytes that have gone over the loopback address so far."""
    line = next(line for line in Path("/proc/net/dev").read_text().splitlines() if line.strip().startswith("lo:"))
    return int(line.split(":")[1].split()[0])


def seconds_and_bytes(options: argparse.Namespace) -> tuple[float, float]:
    """Of a step, in this process: the median, and the mean of what all processes sent each other."""
    choices = {}
    if options.devices:
        choices["devices"] = options.devices
    if options.coordinator:
        choices |= {"coordinator": options.coordinator, "processes": options.processes, "process": options.process}
    learner, x, y = learner_of("mnist", options.framework, options.batch, **choices)
    seconds, before = [], 0
    for step in range(options.steps + 2):
        if step == 2:
            before = sent()
        started = time.perf_counter()
        float(learner.gradient_step(x, y, step)["loss"])
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds[2:])), (sent() - before) / options.steps


def measured(kind: str, number: int, batch: int, steps: int) -> tuple[float, float]:
    """Seconds and bytes of a step of so many devices or processes."""
    framework = "torch" if kind.startswith("PyTorch") else "jax"
    own = [os.path.abspath(__file__), "--one", "--framework", framework, "--batch", str(batch), "--steps", str(steps)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    flags = f"--xla_force_host_platform_device_count={number if 'devices' in kind else 1}"
    one_thread = " --xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    env = os.environ | {"JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1", "XLA_FLAGS": flags + one_thread}
    commands = [[sys.executable, *own]]
    if kind == "PyTorch, processes" and number > 1:
        launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(number), "--master-port", port]
        commands = [[sys.executable, *launcher, *own]]
    elif "devices" in kind:
        commands = [[*commands[0], "--devices", str(number)]]
    elif number > 1:
        join = ["--coordinator", f"127.0.0.1:{port}", "--processes", str(number)]
        commands = [[*commands[0], *join, "--process", str(process)] for process in range(number)]
    running = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for command in commands]
    printed = "".join(process.communicate()[0] for process in running)
    if any(process.returncode for process in running):
        raise SystemExit(f"A process of {number} ({kind}) failed; what it said is above.")
    seconds, sent_in_step = next(line.split()[1:] for line in printed.splitlines() if line.startswith("measured "))
    return float(seconds), float(sent_in_step)


def parameters(data: str) -> int:
    learner, _, _ = learner_of(data, "jax", 8)
    return sum(array.size for name, array in learner.state().items() if name.startswith("params/"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--numbers", type=int, nargs="+", default=[1, 2, 4], help="of devices, after 1 (default 1 2 4)")
    parser.add_argument("--steps", type=int, default=20, help="gradient steps to time (default 20)")
    for name, of in (("batch", int), ("devices", int), ("processes", int), ("process", int), ("framework", str)):
        parser.add_argument("--" + name, type=of, help=argparse.SUPPRESS)
    parser.add_argument("--coordinator", help=argparse.SUPPRESS)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print("measured", *seconds_and_bytes(options), flush=True)
        return
    if options.numbers[0] != 1:
        parser.error(f"--numbers begins with {options.numbers[0]}; begin with 1, which the others are compared with.")
    print_conditions("jax", "torch")
    columns = [f"{number} device{'s' * (number > 1)}" for number in options.numbers]
    for title, batch in ((f"{EACH} examples each", None), (f"{TOGETHER} examples together", TOGETHER)):
        rows: dict[str, list[str]] = {}
        traffic: dict[str, list[str]] = {}
        for kind in KINDS:
            found = [measured(kind, number, batch or EACH * number, options.steps) for number in options.numbers]
            perfect = [found[0][0] / (1 if batch is None else number) for number in options.numbers]
            rows[kind] = [f"{1000 * s:.0f} ms, {100 * p / s:.0f} %" for (s, _), p in zip(found, perfect, strict=True)]
            traffic[kind] = [f"{bytes / 2**20:.2f}" for _, bytes in found]
        print_rows(f"A step with {title}, and its efficiency", columns, rows)
        print_rows("MiB that all processes send in a step", columns, traffic)
    rows = {data: [f"{n}", f"{4 * n / 2**20:.2f}"] for data, n in ((d, parameters(d)) for d in ("mnist", "cifar10"))}
    print_rows("The gradient", ("parameters", "MiB"), rows)


if __name__ == "__main__":
    main()
