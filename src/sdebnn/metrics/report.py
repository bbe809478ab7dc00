"""The scores that training, evaluation and the demo show: one list, so that they are the same everywhere."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from sdebnn.errors import InputError
from sdebnn.metrics.calibration import (
    classwise_calibration_error,
    expected_calibration_error,
    maximum_calibration_error,
)
from sdebnn.metrics.contract import Labels, Probabilities, Values, as_array, check_predictions
from sdebnn.metrics.intervals import (
    CENTRAL_95,
    in_central_interval,
    interval_score,
    interval_width,
    mixture_quantile,
)
from sdebnn.metrics.ood import auroc, average_precision, fpr95
from sdebnn.metrics.regression import mixture_cdf, mixture_log_probs, noise_log_probs, rmse
from sdebnn.metrics.scores import accuracy, brier, macro_f1, nll, recall
from sdebnn.metrics.selective import generalized_risk_coverage_area, risk_coverage_area
from sdebnn.metrics.uncertainty import entropy, mutual_information

SCORES_OF_CLASSES = (
    "accuracy", "nll", "ece", "brier", "mce", "classwise_ece", "aurc", "augrc", "balanced_accuracy", "macro_f1",
)  # fmt: skip
SCORES_OF_TARGETS = ("rmse", "log_likelihood", "coverage_95", "width_95", "interval_score_95")
"""Names of the scores that a run may have; of classes there is also the recall of each."""

# Of more classes the recalls are not listed one by one.
MOST_SHOWN = 10


def classification_report(labels: Labels, probs: Probabilities) -> dict[str, float]:
    """The scores of predicted class probabilities.

    **Arguments:**

    - `labels`: (n,), from 0 to classes - 1.
    - `probs`: probabilities (n, classes), averaged over posterior samples; where there are two classes also (n,), those
      of class 1.

    **Returns:** `accuracy`, `nll` (nats), `ece` (15 groups of equal width), `brier`, `mce`,
    `classwise_ece`, `aurc`, `augrc`, `balanced_accuracy`, `macro_f1`, and for at most ten classes `recall_0`, ... of
    those that have labels; none in per cent.
    """
    labels, probs = check_predictions(labels, probs)
    recalls = recall(labels, probs)
    shown = recalls if probs.shape[1] <= MOST_SHOWN else {}
    return {
        "accuracy": accuracy(labels, probs),
        "nll": nll(labels, probs),
        "ece": expected_calibration_error(labels, probs),
        "brier": brier(labels, probs),
        "mce": maximum_calibration_error(labels, probs),
        "classwise_ece": classwise_calibration_error(labels, probs),
        "aurc": risk_coverage_area(labels, probs),
        "augrc": generalized_risk_coverage_area(labels, probs),
        "balanced_accuracy": float(np.mean(list(recalls.values()))),
        "macro_f1": macro_f1(labels, probs),
        **{f"recall_{label}": value for label, value in shown.items()},
    }


def titles_of(scores: Iterable[str], labels: Sequence[object] | None) -> dict[str, str]:
    """What a page or a terminal calls scores: the recall of a class by the user's name for it.

    **Arguments:**

    - `scores`: names that `classification_report` and the others give.
    - `labels`: the user's names of the classes, in the order of their numbers; `None` where they have none.
    """
    recalls = {f"recall_{number}": f"recall of {label!r:.40}" for number, label in enumerate(labels or ())}
    return {name: recalls.get(name, name) for name in scores}


def ood_report(in_probs: Probabilities, out_probs: Probabilities) -> dict[str, float]:
    """The scores of telling strange inputs from familiar ones by how unsure the prediction is.

    **Arguments:**

    - `in_probs`: (samples, n, classes): the probabilities that each posterior sample gives to familiar inputs.
    - `out_probs`: (samples, m, classes): to strange ones.

    **Returns:** `auroc`, `average_precision` and `fpr95` of the entropy of the mean prediction, and
    `auroc_mutual_information`, of how far the samples disagree; NaN where there is one sample.

    **Raises:** `InputError` for what are no such probabilities, and for other numbers of classes.
    """
    familiar, strange = (np.asarray(probs) for probs in (in_probs, out_probs))
    if familiar.shape[2:] != strange.shape[2:]:
        raise InputError(
            f"in_probs has shape {familiar.shape} and out_probs {strange.shape}; both are of one network, (samples, "
            "examples, classes)."
        )
    disagreement = mutual_information(familiar), mutual_information(strange)
    unsure = entropy(familiar.mean(axis=0)), entropy(strange.mean(axis=0))
    return {
        "auroc": auroc(*unsure),
        "average_precision": average_precision(*unsure),
        "fpr95": fpr95(*unsure),
        "auroc_mutual_information": auroc(*disagreement) if min(len(familiar), len(strange)) > 1 else math.nan,
    }


def regression_report(
    y: Values, sample_means: Values, noise_std: Values, *, noise: str = "gaussian"
) -> dict[str, float]:
    """The scores of the mean of several predictions with noise of one law.

    **Arguments:**

    - `y`: targets (n,) or (n, d).
    - `sample_means`: (samples, *shape of y): the prediction of each posterior sample.
    - `noise_std`: standard deviation of the observation noise, or its scale where it is of another law; of a shape that
      broadcasts to that of `y`.
    - `noise`: a name in `NOISE_LAWS`.

    **Returns:** `rmse` of the mean prediction, `log_likelihood` (nats), and of the central 95 % intervals the scores
    `coverage_95`, `width_95` and `interval_score_95`; see `interval_coverage`, `interval_width` and `interval_score`.
    """
    log_probs = mixture_log_probs(noise_log_probs(y, sample_means, noise_std, noise=noise))
    inside = in_central_interval(mixture_cdf(y, sample_means, noise_std, noise=noise))
    lower, upper = (mixture_quantile(q, sample_means, noise_std, noise=noise) for q in CENTRAL_95)
    return predictive_report(y, log_probs, sample_means, inside) | interval_report(y, lower, upper)


def predictive_report(y: Values, log_probs: Values, sample_means: Values, inside: Any) -> dict[str, float]:
    """The scores of the mean of several predictions under any law.

    **Arguments:**

    - `y`: targets (n,) or (n, d).
    - `log_probs`: (n,), of `mixture_log_probs`.
    - `sample_means`: (samples, *shape of y): the mean under each posterior sample.
    - `inside`: of the shape of `y`: whether each target lies in the central 95 % interval.

    **Returns:** `rmse`, `log_likelihood` and `coverage_95`, as `regression_report`; `rmse` is infinite where a mean is
    not finite.
    """
    mean = as_array("sample_means", sample_means).mean(axis=0)
    return {
        "rmse": rmse(y, mean) if np.isfinite(mean).all() else math.inf,
        "log_likelihood": float(np.mean(log_probs)),
        "coverage_95": float(np.mean(inside)),
    }


def interval_report(y: Values, lower: Values, upper: Values) -> dict[str, float]:
    """The scores of central 95 % intervals, which take longer to find than all other scores.

    **Arguments:**

    - `y`: targets (n,) or (n, d).
    - `lower`, `upper`: of the shape of `y`: the ends of the intervals.

    **Returns:** `width_95` and `interval_score_95`, those of `regression_report`.
    """
    return {"width_95": interval_width(lower, upper), "interval_score_95": interval_score(y, lower, upper)}
