"""What a run has learned, drawn into its folder."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from sdebnn import metrics, plots
from sdebnn.data import Dataset
from sdebnn.runs import MetricsLog, RunFolder, TrainConfig
from sdebnn.training.drawn_parameters import is_moment
from sdebnn.training.learner import Learner
from sdebnn.training.loop import Fitted, Outputs
from sdebnn.training.predictions import central_interval, sample_probabilities, target_pit

PATHS = 8
WEIGHTS = 4
TARGETS = 4
TIMES = 101
# Parameters times steps of the solver that cost a second or so.
CHEAP = 10**8


def draw_run(run: RunFolder, config: TrainConfig, dataset: Dataset, learner: Learner, fitted: Fitted) -> None:
    """Every picture that one run's results allow: training curves; for labels the reliability diagram; for real targets
    their intervals and how far these can be taken at their word; for an SDE-BNN its weight paths.
    """
    plots.draw_training_curves(MetricsLog.read(run), path=run.pictures / "training_curves.png")
    if dataset.task == "classification":
        probabilities = sample_probabilities(learner, fitted.test_outputs).mean(axis=0)
        predictions: dict[str, Any] = {config.model: (dataset.y_test, probabilities)}
        plots.draw_reliability_diagram(predictions, path=run.pictures / "reliability.png")
    else:
        _draw_targets(run, config, dataset, learner, fitted.test_outputs)
    drawn = learner.weight_paths(np.linspace(0.0, 1.0, TIMES), _paths(config, dataset, learner), WEIGHTS)
    if drawn is not None:
        plots.draw_weight_paths(drawn.ts, drawn.paths, path=run.pictures / "weight_paths.png", prior=drawn.prior)


def _draw_targets(run: RunFolder, config: TrainConfig, dataset: Dataset, learner: Learner, outputs: Outputs) -> None:
    y, predicted = dataset.y_test, learner.of_likelihood("mean", outputs)
    # A likelihood of a user's own may have a mean of another kind than its targets, or none that is finite.
    if predicted is None or predicted.shape[1:] != y.shape or not np.isfinite(predicted).all():
        return
    pits: dict[str, Any] = {config.model: target_pit(learner, outputs, y)}
    plots.draw_interval_calibration(pits, path=run.pictures / "interval_calibration.png")
    shown = [y, predicted.astype(np.float64).mean(axis=0), *central_interval(learner, outputs)]
    if dataset.encoding is not None:
        shown = [dataset.encoding.in_user_units(values) for values in shown]
    targets, mean, lower, upper = (values[:, :TARGETS] for values in shown)
    plots.draw_predictive_intervals(targets, mean, lower, upper, path=run.pictures / "predictive_intervals.png")


def _paths(config: TrainConfig, dataset: Dataset, learner: Learner) -> int:
    """How many weight paths to draw: fewer where so many would take more than a tenth of what training took."""
    parameters = sum(
        array.size for name, array in learner.state().items() if name.startswith("average/") and not is_moment(name)
    )
    # A gradient step goes through the solver's steps about three times, forward and backward.
    trained = 3 * config.steps * config.train_samples * config.total_steps(dataset.train_size) * parameters
    affordable = max(trained / 10, CHEAP) / (parameters * (TIMES - 1))
    return max(1, min(PATHS, int(affordable)))


def draw_entropy(
    run: RunFolder, familiar: Float[np.ndarray, "n c"], strange: Mapping[str, Float[np.ndarray, "m c"]]
) -> None:
    """Entropy of the predictions for test inputs and for inputs from elsewhere: `predictive_entropy.png`."""
    plots.draw_predictive_entropy(
        metrics.entropy(familiar),
        {name: metrics.entropy(probs) for name, probs in strange.items()},
        path=run.pictures / "predictive_entropy.png",
    )
