"""What a run has learned, drawn into its folder."""

from collections.abc import Mapping

import jax
import numpy as np
from jaxtyping import Float

from sdebnn import metrics, plots
from sdebnn.brax.bayesian import Params
from sdebnn.brax.evaluation import class_probabilities
from sdebnn.brax.networks import weight_process
from sdebnn.brax.training import DRAW, Trained
from sdebnn.brax.weight_path import draw_path
from sdebnn.data import Dataset
from sdebnn.runs import MetricsLog, RunFolder, TrainConfig

PATHS = 8
WEIGHTS = 4
TIMES = 101


def draw_run(run: RunFolder, config: TrainConfig, dataset: Dataset, trained: Trained) -> None:
    """Every picture that one run's results allow: training curves; for labels the reliability diagram; for an SDE-BNN
    its weight paths.
    """
    plots.draw_training_curves(MetricsLog.read(run), run.pictures / "training_curves.png")
    if dataset.task == "classification":
        predictions = {config.model: (class_probabilities(trained.test_outputs), dataset.y_test)}
        plots.draw_reliability_diagram(predictions, run.pictures / "reliability.png")
    if config.model.endswith("sdebnn"):
        draw_weight_paths(run, config, trained.params)


def draw_weight_paths(run: RunFolder, config: TrainConfig, params: Params) -> None:
    """Paths of a few weights of the first SDEBNN block, and the prior's 95 % band: `weight_paths.png`."""
    process = weight_process(config)
    block = next(layer for layer in params["network"] if isinstance(layer, dict) and "drift" in layer)
    ts = np.linspace(0.0, 1.0, TIMES)
    keys = jax.random.split(jax.random.fold_in(jax.random.key(config.seed), DRAW), PATHS)
    draw = jax.vmap(lambda key: draw_path(process, block, key, ts, steps=TIMES - 1)[0])
    paths = np.asarray(draw(keys))
    chosen = np.linspace(0, paths.shape[2] - 1, WEIGHTS).astype(int)
    prior = None
    if (process.noisy_weights, *process.noisy_depth) == (1, 0, 1):
        mean, std = process.prior_moments(block, ts)
        prior = (mean[:, chosen], std[:, chosen])
    plots.draw_weight_paths(ts, paths[:, :, chosen], run.pictures / "weight_paths.png", prior=prior)


def draw_entropy(
    run: RunFolder, familiar: Float[np.ndarray, "n c"], strange: Mapping[str, Float[np.ndarray, "m c"]]
) -> None:
    """Entropy of the predictions for test inputs and for inputs from elsewhere: `predictive_entropy.png`."""
    plots.draw_predictive_entropy(
        metrics.entropy(familiar),
        {name: metrics.entropy(probs) for name, probs in strange.items()},
        run.pictures / "predictive_entropy.png",
    )
