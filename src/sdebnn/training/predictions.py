"""From the outputs of posterior samples to one prediction and its scores."""

import math
from typing import Any

import numpy as np
import scipy
from jaxtyping import Bool, Float

from sdebnn import metrics
from sdebnn.data import Dataset, TableEncoding
from sdebnn.errors import InputError
from sdebnn.metrics.contract import ROW_SUM_TOLERANCE
from sdebnn.runs import TrainConfig
from sdebnn.training.learner import Predictive

# From all posterior samples together, for an interval or a variance that the likelihood cannot tell.
DRAWS = 1000
# Examples that are drawn for at a time.
CHUNK = 2000


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


def class_weights(config: TrainConfig, dataset: Dataset) -> tuple[float, ...] | None:
    """The weight of each class in the loss that `config` chooses: with `"balanced"` each class counts alike, and the
    mean over the training examples is 1. `None` where every example counts alike.

    **Raises:** `InputError` where there are no classes.
    """
    if config.class_weight == "none":
        return None
    if dataset.task != "classification":
        raise InputError(
            f"class_weight={config.class_weight!r} does not fit {dataset.name}, whose answers are real targets; choose "
            "class_weight='none'."
        )
    counts = np.bincount(dataset.y_train, minlength=int(dataset.num_classes or 0))
    weights = len(dataset.y_train) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return tuple(np.where(counts > 0, weights, 0.0).tolist())


def check_class_weights(config: TrainConfig, weights: tuple[float, ...] | None) -> None:
    """**Raises:** `InputError` for weights of a learner whose `config` chooses none, or the other way round."""
    if (weights is None) != (config.class_weight == "none"):
        raise InputError(
            f"class_weight={config.class_weight!r} goes with class_weights of the learner, as "
            "sdebnn.training.predictions.class_weights makes them."
        )


def class_probabilities(outputs: Float[np.ndarray, "samples n c"]) -> Float[np.ndarray, "n c"]:
    """The probabilities that a `Categorical` likelihood predicts: the mean of those that the posterior samples give,
    never that of their logarithms. Those of any likelihood are `sample_probabilities(learner, outputs).mean(axis=0)`.
    """
    # In double precision: in single precision those below e^-103 are zero.
    return scipy.special.softmax(outputs.astype(np.float64), axis=-1).mean(axis=0)


def sample_probabilities(
    learner: Predictive, outputs: Float[np.ndarray, "samples n o"]
) -> Float[np.ndarray, "samples n classes"]:
    """The probabilities that the likelihood gives to the classes, for the outputs of each posterior sample."""
    probabilities = doubles(learner.of_likelihood("mean", outputs))
    sums = probabilities.sum(axis=-1, keepdims=True)
    # What single precision rounded off; sums that are no such thing are refused where probabilities are used.
    return probabilities / np.where(np.abs(sums - 1) <= ROW_SUM_TOLERANCE, sums, 1.0)


def target_moments(
    learner: Predictive, outputs: Float[np.ndarray, "samples n o"]
) -> tuple[Float[np.ndarray, "samples n d"], Float[np.ndarray, "samples n d"]]:
    """Mean and variance of the targets for the outputs of each posterior sample. The variance is that of draws where
    the likelihood has no `variance`.
    """
    means = doubles(learner.of_likelihood("mean", outputs))
    variances = learner.of_likelihood("variance", outputs)
    if variances is None:
        variances = np.mean((likelihood_draws(learner, outputs) - means[:, None]) ** 2, axis=1)
    return means, doubles(variances)


def report(
    learner: Predictive, outputs: Float[np.ndarray, "samples n o"], y: Any, encoding: TableEncoding | None = None
) -> dict[str, float]:
    """Scores of the averaged prediction of several posterior samples, under the learner's likelihood.

    **Arguments:**

    - `outputs`: of `Learner.outputs`.
    - `y`: the true labels (n,), or targets (n, d).
    - `encoding`: of a table, in whose units the scores of its targets are.

    **Returns:** for labels those of `metrics.classification_report`; for real targets those of
    `metrics.predictive_report`, of which `log_likelihood` alone where the likelihood's mean is no (n, d) as the targets
    are.
    """
    log_probs = metrics.mixture_log_probs(doubles(learner.of_likelihood("log_prob", outputs, y)))
    if y.ndim == 1:
        scores = metrics.classification_report(y, sample_probabilities(learner, outputs).mean(axis=0))
        # From logarithms: in single precision probabilities below e^-103 are zero.
        return scores | {"nll": float(0.0 - np.mean(np.maximum(log_probs, np.log(np.finfo(np.float64).tiny))))}
    means = doubles(learner.of_likelihood("mean", outputs))
    inside = _inside(learner, outputs, y) if means.shape[1:] == y.shape else None
    if encoding is not None and (std := encoding.target_std) is not None:
        # The density of a number in other units.
        log_probs = log_probs - np.log(std).sum()
    if inside is None:
        return {"log_likelihood": float(np.mean(log_probs))}
    if encoding is not None:
        y, means = encoding.in_user_units(y), encoding.in_user_units(means)
    return metrics.predictive_report(y, log_probs, means, inside)


def _inside(learner: Predictive, outputs: Float[np.ndarray, "samples n o"], y: Any) -> Bool[np.ndarray, "n d"]:
    """Whether each target lies in the central 95 % interval of its prediction."""
    cdf = learner.of_likelihood("cdf", outputs, y)
    if cdf is not None:
        return metrics.in_central_interval(doubles(cdf).mean(axis=0))
    parts = []
    for start in range(0, len(y), CHUNK):
        part = slice(start, start + CHUNK)
        draws = likelihood_draws(learner, outputs[:, part]).reshape(-1, *y[part].shape)
        low, high = np.quantile(draws, (0.025, 0.975), axis=0, method="inverted_cdf")
        parts.append((low <= y[part]) & (y[part] <= high))
    return np.concatenate(parts)


def likelihood_draws(
    learner: Predictive, outputs: Float[np.ndarray, "samples n o"]
) -> Float[np.ndarray, "samples draws n d"]:
    """Targets that the likelihood draws for the outputs of each posterior sample: `DRAWS` or a few more for each
    example from all samples together, the same ones at each call.
    """
    samples, examples, _ = outputs.shape
    draws = math.ceil(DRAWS / samples)
    drawn = doubles(learner.of_likelihood("sample", np.tile(outputs, (1, draws, 1))))
    return drawn.reshape(samples, draws, examples, -1)


def doubles(values: np.ndarray | None) -> Float[np.ndarray, "..."]:
    """What a likelihood said, in double precision. **Raises:** `InputError` where it has no such method."""
    if values is None:
        raise InputError(
            "The likelihood lacks a method that predictions need; see sdebnn.training.likelihood_protocol."
        )
    return values.astype(np.float64)
