"""A thousand gradient steps take no more memory than the first hundred."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

STEPS = 1000
# A process of its own, whose memory nothing else has stirred.
PROGRAM = f"""
import sys
from pathlib import Path
from sdebnn.frameworks import build_learner
from sdebnn.runs import TrainConfig
from sdebnn.training import pictures, start_run

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])

def watched(config, dataset):
    learner = build_learner(config, dataset)
    gradient_step = learner.gradient_step
    def step_and_look(x, y, step):
        print(resident())
        return gradient_step(x, y, step)
    learner.gradient_step = step_and_look
    return learner

# Checkpoints from the start: they take memory when they are written.
choices = dict(width=4, steps=2, drift_widths=(2,), augment=0, batch_size=32, epochs=100, test_samples=1)
choices |= dict(max_steps={STEPS}, evaluate_every=1, checkpoint_steps=50)
config = TrainConfig.for_data("digits", framework=sys.argv[1], **choices)
pictures.draw_run = lambda *_: None
start_run(watched, config, Path(sys.argv[2]))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc")
@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_resident_memory_is_flat_after_the_first_hundred_steps(framework: str, tmp_path: Path) -> None:
    if framework == "torch":
        pytest.importorskip("torchsde")
    env = {name: value for name, value in os.environ.items() if not name.startswith("JAX_NUMPY_")}
    command = [sys.executable, "-c", PROGRAM, framework, str(tmp_path / "run")]
    # One arena: with one for each thread of each device, what the allocator happens to hold differs by more than that.
    env |= {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    printed = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    pages = np.array([int(line) for line in printed.stdout.split()])
    assert len(pages) == STEPS
    assert pages[100:].max() <= 1.02 * pages[100]
