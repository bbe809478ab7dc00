"""What a run has learned, drawn into its folder."""

from collections.abc import Mapping
from pathlib import Path
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
    of_calibration = calibration_of(dataset, learner, fitted.test_outputs)
    if of_calibration is not None:
        draw_calibration(dataset.task, {config.model: of_calibration}, run.pictures)
    if of_calibration is not None and dataset.task == "regression":
        _draw_intervals(run, dataset, learner, fitted.test_outputs)
    drawn = learner.weight_paths(np.linspace(0.0, 1.0, TIMES), _paths(config, dataset, learner), WEIGHTS)
    if drawn is not None:
        plots.draw_weight_paths(drawn.ts, drawn.paths, path=run.pictures / "weight_paths.png", prior=drawn.prior)


def calibration_of(dataset: Dataset, learner: Learner, outputs: Outputs) -> Any:
    """What calibration on the test data is drawn of: of classes the labels and the mean probabilities, of real targets
    their probability integral transform; `None` for a likelihood of a user's own that has a mean of another kind than
    its targets, or none that is finite.
    """
    y = dataset.y_test
    if dataset.num_classes is not None:
        return y, sample_probabilities(learner, outputs).mean(axis=0)
    predicted = learner.of_likelihood("mean", outputs)
    if predicted is None or predicted.shape[1:] != y.shape or not np.isfinite(predicted).all():
        return None
    return target_pit(learner, outputs, y)


def draw_calibration(task: str, models: Mapping[str, Any], folder: Path) -> Path:
    """Draws what `calibration_of` gives of each model, and returns the picture's file."""
    if task == "classification":
        file = folder / "reliability.png"
        plots.draw_reliability_diagram(models, path=file)
    else:
        file = folder / "interval_calibration.png"
        plots.draw_interval_calibration(models, path=file)
    return file


def _draw_intervals(run: RunFolder, dataset: Dataset, learner: Learner, outputs: Outputs) -> None:
    predicted: Any = learner.of_likelihood("mean", outputs)
    shown = [dataset.y_test, predicted.astype(np.float64).mean(axis=0), *central_interval(learner, outputs)]
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
