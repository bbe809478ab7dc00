"""From the outputs of posterior samples to one prediction and its scores."""

from typing import Any

import numpy as np
from jaxtyping import Float

from sdebnn import metrics
from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.runs import TrainConfig


def likelihood_of(config: TrainConfig, dataset: Dataset) -> str:
    """The name of the likelihood that `config` chooses for this data set.

    **Raises:** `InputError` for one that does not fit the data's answers.
    """
    fitting = ("categorical",) if dataset.task == "classification" else tuple(metrics.NOISE_LAWS)
    if config.likelihood not in ("auto", *fitting):
        answers = "labels" if dataset.task == "classification" else "real targets"
        raise InputError(
            f"likelihood={config.likelihood!r} does not fit {dataset.name}, whose answers are {answers}; they take "
            f"{' or '.join(fitting)}."
        )
    return fitting[0] if config.likelihood == "auto" else config.likelihood


def class_probabilities(outputs: Float[np.ndarray, "samples n c"]) -> Float[np.ndarray, "n c"]:
    """The predicted probabilities: the mean of those that the posterior samples give, never that of their
    logarithms.
    """
    return sample_probabilities(outputs).mean(axis=0)


def sample_probabilities(outputs: Float[np.ndarray, "samples n c"]) -> Float[np.ndarray, "samples n c"]:
    """The probabilities that each posterior sample gives, in double precision: in single precision those below e^-103
    are zero.
    """
    outputs = outputs.astype(np.float64)
    exponentials = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def report(
    config: TrainConfig, outputs: Float[np.ndarray, "samples n o"], y: Any, noise_scale: Float[np.ndarray, " o"] | None
) -> dict[str, float]:
    """Scores of the averaged prediction of several posterior samples.

    **Arguments:**

    - `outputs`: of `Learner.outputs`.
    - `y`: the true labels (n,), or targets (n, d).
    - `noise_scale`: of the targets' noise; `None` for labels.

    **Returns:** for labels those of `metrics.classification_report`; for real targets those of
    `metrics.regression_report`.
    """
    if noise_scale is None:
        return metrics.classification_report(class_probabilities(outputs), y)
    noise = "gaussian" if config.likelihood == "auto" else config.likelihood
    return metrics.regression_report(y, outputs, noise_scale, noise=noise)
