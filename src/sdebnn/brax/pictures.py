"""What a trained classifier knows, drawn: calibration, learning, weight paths, and surprise at strange inputs."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sdebnn import plots
from sdebnn.brax.networks import weight_process
from sdebnn.brax.training import Trained
from sdebnn.runs import MetricsLog, RunFolder, TrainConfig

PATHS, WEIGHTS = 6, 4
DRAW = 3


def draw_training(run: RunFolder) -> None:
    """The curves of the run's log, in `training_curves.png`."""
    plots.draw_training_curves(MetricsLog.read(run), run.pictures / "training_curves.png")


def draw_weight_paths(config: TrainConfig, trained: Trained, run: RunFolder) -> None:
    """Sampled paths of a few weights of the first SDEBNN block over depth, in `weight_paths.png`, with the prior's 95
    % band.
    """
    process = weight_process(config)
    block = next(params for params in trained.params["network"] if isinstance(params, dict) and "drift" in params)
    ts = jnp.linspace(0.0, 1.0, max(config.steps, 50) + 1)
    keys = jax.random.split(jax.random.fold_in(jax.random.key(config.seed), DRAW), PATHS)
    paths = np.asarray(jax.vmap(lambda key: process.sample(key, block, ts))(keys))
    chosen = np.linspace(0, paths.shape[2] - 1, WEIGHTS).astype(int)
    plots.draw_weight_paths(np.asarray(ts), paths[:, :, chosen], run.pictures / "weight_paths.png")


def draw_reliability(probabilities: Mapping[str, Any], labels: Any, run: RunFolder) -> None:
    """Accuracy against confidence for each model, in `reliability.png`."""
    plots.draw_reliability_diagram(
        {name: (p, labels) for name, p in probabilities.items()}, run.pictures / "reliability.png"
    )
