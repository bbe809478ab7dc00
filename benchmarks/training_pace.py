"""How many examples a second does training on MNIST take, in JAX and in PyTorch?

The network and the batch of `sdebnn train --data mnist`, on images of MNIST's shape, every row in processes of their
own, in turns. The steps are those of a run, which waits for no number until the last.

    JAX_PLATFORMS=cpu python benchmarks/training_pace.py [--steps 40] [--rounds 3] [--devices 1 2]

`--torch-python` names another interpreter for PyTorch, where the one of JAX has none.
"""

import argparse
import subprocess
import sys
import time

import numpy as np
from scaling import learner_of
from timing import CORES, print_conditions, print_rows

BATCH = 128


def pace(framework: str, steps: int, number: int) -> float:
    """Examples a second, in this process."""
    learner, x, y = learner_of("mnist", framework, BATCH, **{"devices": number} if number else {})
    for step in range(2):
        float(learner.gradient_step(x, y, step)["loss"])
    started = time.perf_counter()
    for step in range(2, steps + 2):
        values = learner.gradient_step(x, y, step)
    float(values["loss"])
    return BATCH * steps / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40, help="gradient steps to time (default 40)")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each row (default 3)")
    parser.add_argument(
        "--devices",
        type=int,
        nargs="+",
        default=sorted({1, CORES}),
        help="host devices of JAX (default 1 and a core each)",
    )
    parser.add_argument("--torch-python", default=sys.executable, metavar="PYTHON", help="the interpreter of PyTorch")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print("examples", pace(options.one[0], options.steps, int(options.one[1])), flush=True)
        return
    print_conditions("jax")
    rows = {"PyTorch": (options.torch_python, "torch", 0)}
    rows |= {f"JAX, {n} device{'s' * (n > 1)}": (sys.executable, "jax", n) for n in options.devices}
    found: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(options.rounds):
        for name, (python, framework, number) in rows.items():
            command = [python, __file__, "--steps", str(options.steps), "--one", framework, str(number)]
            printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            found[name].append(float(printed.split()[-1]))
    medians = {name: float(np.median(paces)) for name, paces in found.items()}
    cells = {name: (f"{value:.0f}", f"{value / medians['PyTorch']:.2f}") for name, value in medians.items()}
    print_rows("Training on MNIST", ("examples a second", "ratio"), cells)


if __name__ == "__main__":
    main()
