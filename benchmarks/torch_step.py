"""What does a training step of an SDE-BNN in PyTorch cost beyond its convolutions, and how much memory does it take?

The network of `sdebnn_step.py` with 20 midpoint steps: 40 evaluations of f_x. Beside it a plain stack: the same
residual convolutions with SiLU, as many times, forward and backward, without any SDE, in the layout in which PyTorch's
convolutions are fastest on a CPU, channels last.

    python benchmarks/torch_step.py [--rounds 3] [--threads 1] [--bfloat16]
    python benchmarks/torch_step.py --memory

With `--memory` every number is the peak of a process of its own, above that of one which has only imported PyTorch.
"""

import argparse
import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from timing import CORES, medians, print_conditions, print_rows, print_table
from torch.nn import functional

from sdebnn.data import Dataset
from sdebnn.runs import TrainConfig
from sdebnn.torchbnn import build_learner
from sdebnn.training.memory import process_memory

BATCH, SIDE, CHANNELS, STEPS, WIDTH = 32, 32, 5, 20, 64
GROUPS, BLOCKS = 3, 2
ROWS: dict[str, dict[str, Any]] = {
    "midpoint, backprop": {"method": "midpoint", "adjoint": "backprop"},
    "midpoint, backprop, bfloat16": {"method": "midpoint", "adjoint": "backprop", "precision": "bfloat16"},
    "midpoint, adjoint": {"method": "midpoint", "adjoint": "stochastic"},
    "reversible Heun, its exact adjoint": {"method": "reversible_heun", "adjoint": "reversible"},
}


def training_step(steps: int = STEPS, **choices: Any) -> Callable[[], float]:
    """One gradient step of the network."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (BATCH, SIDE, SIDE, 3), np.uint8)
    y = rng.integers(0, 10, BATCH).astype(np.int32)
    config = TrainConfig.for_data("cifar10", framework="torch", batch_size=BATCH, steps=steps, **choices)
    learner = build_learner(config, Dataset("cifar10", "classification", x, y, x, y, 10))
    inputs = (x.astype(np.float32) / 255)[None]
    return lambda: float(learner.gradient_step(inputs, y[None], 1)["loss"])


def plain_stack(evaluations: int) -> Callable[[], None]:
    blocks = []
    for number in range(GROUPS * BLOCKS):
        group = number // BLOCKS
        channels, side = CHANNELS * 4**group, SIDE // 2**group
        widths = (channels, WIDTH, WIDTH, channels)
        kernels = [(0.05 * torch.randn(o, i, 3, 3), torch.zeros(o)) for i, o in itertools.pairwise(widths)]
        x = torch.randn(BATCH, channels, side, side).contiguous(memory_format=torch.channels_last)
        blocks.append((x, [(kernel.requires_grad_(), bias.requires_grad_()) for kernel, bias in kernels]))

    def run() -> None:
        for x, (first, second, third) in blocks:
            y = x
            for _ in range(evaluations):
                hidden = functional.silu(functional.conv2d(y, *first, padding=1))
                hidden = functional.silu(functional.conv2d(hidden, *second, padding=1))
                y = y + functional.conv2d(hidden, *third, padding=1) / evaluations
            y.square().sum().backward()

    return run


def peak_memory(name: str, steps: int, threads: int) -> float:
    """MiB of a process that takes one gradient step."""
    command = [sys.executable, __file__, "--threads", str(threads), "--one", name, str(steps)]
    # Told so, glibc gives memory that was freed back at once, in place of keeping holes for later.
    env = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    return float(subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each row (default 3)")
    parser.add_argument("--threads", type=int, default=CORES, help="of PyTorch (default: all cores)")
    parser.add_argument("--bfloat16", action="store_true", help="that row too, slow without such instructions")
    parser.add_argument("--memory", action="store_true", help="peak memory in place of time")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.one:
        name, steps = options.one
        if int(steps):
            training_step(int(steps), **ROWS[name])()
        print(process_memory())
        return
    print_conditions("torch", "torchsde")
    if options.serve:
        run = plain_stack(options.serve)
        sys.stdout.flush()
        for _ in sys.stdin:
            run()
            print("done", flush=True)
        return
    if options.memory:
        interpreter, counts = peak_memory("", 0, options.threads), (10, 20, 40, 80)
        rows = {name: [f"{peak_memory(name, n, options.threads) - interpreter:.0f}" for n in counts] for name in ROWS}
        print_rows("Peak memory above the interpreter's, MiB", [f"{n} steps" for n in counts], rows)
        return
    calls: dict[str, Callable[[], Any]] = {f"plain stack, {2 * STEPS} times": plain_stack(2 * STEPS)}
    timed = {name: choices for name, choices in ROWS.items() if options.bfloat16 or "precision" not in choices}
    calls |= {f"SDE-BNN, {name}": training_step(**choices) for name, choices in timed.items()}
    print_table(f"One gradient of the 2-2-2 network, {options.threads} threads", medians(calls, rounds=options.rounds))


if __name__ == "__main__":
    main()
