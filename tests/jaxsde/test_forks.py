import os
import subprocess
import sys

import pytest

PROGRAM = """
import multiprocessing, sys
import jax, jax.numpy as jnp, numpy as np
from jaxsde import sdeint_ito, sdeint_strat_fixed_grid
from sdebnn.brax import MeanField, SDEBNN, WeightProcess, drift_network
from sdebnn.brax.diffeq_layers import dense

key, x = jax.random.key(0), np.ones((2, 3), np.float32)
layers = [MeanField(dense("ignore", 3)), SDEBNN(dense("ignore", 3), WeightProcess(drift_network((2,))), steps=1)]
params = [layer.init(key, (-1, 3))[1] for layer in layers]
f = lambda y, t, a: -y
calls = [
    lambda: sdeint_ito(f, None, x, np.array([0.0, 1.0]), None),
    lambda: sdeint_strat_fixed_grid(f, f, x, np.array([0.0, 1.0]), key),
    lambda: layers[0].apply(params[0], x, rng=key),
    lambda: layers[1].apply(params[1], x, rng=key),
    lambda: layers[1].init(key, (-1, 3)),
]

def child():
    for call in calls:
        try:
            call()
        except RuntimeError as error:
            print(error, flush=True)

process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join(60)
alive = process.is_alive()
if alive:
    process.kill()
sys.exit(alive)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_process_that_was_forked_after_jax_had_started_is_told_so_and_does_not_wait_for_ever() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    sentences = done.stdout.splitlines()
    assert len(sentences) == 5
    assert all("forked from one that had used JAX" in s and "'spawn'" in s for s in sentences)
