"""Calibration: does a confidence of 80 % mean to be right in 80 % of cases?"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from sdebnn.errors import InputError
from sdebnn.metrics.contract import Labels, Probabilities, check_predictions


class ReliabilityBins(NamedTuple):
    """Examples grouped by confidence, the probability of the predicted class. An empty group has NaN and counts 0."""

    confidence: Float[np.ndarray, " bins"]
    accuracy: Float[np.ndarray, " bins"]
    counts: Int[np.ndarray, " bins"]


def reliability_bins(labels: Labels, probs: Probabilities, *, bins: int = 15, scheme: str = "width") -> ReliabilityBins:
    """Mean confidence, accuracy and number of examples in each group of confidence: what a reliability diagram draws.

    **Arguments:**

    - `labels`: (n,), from 0 to classes - 1.
    - `probs`: probabilities (n, classes), averaged over posterior samples; where there are two classes also (n,), those
      of class 1.
    - `bins`: how many groups.
    - `scheme`: `width` cuts (0, 1] into intervals of one length, each closed on the right; `mass` puts the same number
      of examples in each, but never parts equal confidences, so that the order of the examples does not matter.

    Guo et al., On calibration of modern neural networks, 2017; Nguyen and O'Connor, Posterior calibration and
    exploratory analysis for natural language processing models, 2015 (equal mass).
    """
    y, p = check_predictions(labels, probs)
    return _groups(p.max(axis=1), p.argmax(axis=1) == y, bins, scheme)


def expected_calibration_error(labels: Labels, probs: Probabilities, *, bins: int = 15, scheme: str = "width") -> float:
    """Mean distance between confidence and accuracy over the groups, weighted by their size, as a fraction.

    Arguments as for `reliability_bins`.
    """
    return _mean_gap(reliability_bins(labels, probs, bins=bins, scheme=scheme))


def maximum_calibration_error(labels: Labels, probs: Probabilities, *, bins: int = 15, scheme: str = "width") -> float:
    """The largest distance between confidence and accuracy among the groups that have examples, as a fraction.

    Arguments as for `reliability_bins`. A group of one example counts as much as a group of thousands.
    """
    groups = reliability_bins(labels, probs, bins=bins, scheme=scheme)
    return float(np.nanmax(np.abs(groups.accuracy - groups.confidence)))


def classwise_calibration_error(labels: Labels, probs: Probabilities, *, bins: int = 15) -> float:
    """The expected calibration error of the probability of each class, mean over classes: unlike that of the predicted
    class it sees a class whose probability is always too low.

    **Arguments:**

    - `labels`, `probs`: as for `reliability_bins`.
    - `bins`: how many groups of equal width the probabilities of each class are put in.

    **Returns:** a fraction; of many classes it is small, as most probabilities are.

    Kull et al., Beyond temperature scaling: obtaining well-calibrated multi-class probabilities with Dirichlet
    calibration, 2019.
    """
    y, p = check_predictions(labels, probs)
    return float(np.mean([_mean_gap(_groups(p[:, k], y == k, bins, "width")) for k in range(p.shape[1])]))


def _groups(
    confidence: Float[np.ndarray, " n"], right: Bool[np.ndarray, " n"], bins: int, scheme: str
) -> ReliabilityBins:
    if isinstance(bins, bool) or not isinstance(bins, int | np.integer) or bins < 1:
        raise InputError(f"bins={bins!r} is not allowed: it takes a whole number, 1 or more.")
    if scheme == "width":
        upper = np.arange(1, bins) / bins
    elif scheme == "mass":
        last = -(-np.arange(1, bins) * len(right) // bins) - 1
        upper = np.sort(confidence)[np.maximum(last, 0)]
    else:
        raise InputError(f"scheme={scheme!r} is not allowed: it takes width or mass.")
    group = np.searchsorted(upper, confidence, side="left")
    counts = np.bincount(group, minlength=bins)
    divisor = np.where(counts == 0, np.nan, counts)
    return ReliabilityBins(
        confidence=np.bincount(group, weights=confidence, minlength=bins) / divisor,
        accuracy=np.bincount(group, weights=right, minlength=bins) / divisor,
        counts=counts,
    )


def _mean_gap(groups: ReliabilityBins) -> float:
    return float(np.nansum(np.abs(groups.accuracy - groups.confidence) * groups.counts) / groups.counts.sum())
