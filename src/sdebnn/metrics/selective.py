"""Selective classification: how often is a model wrong that may decline the cases it is unsure of?

Examples are accepted in the order of their confidence, the probability of the predicted class. Those of equal
confidence come in random order, and every score is its mean over those orders.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from sdebnn.errors import InputError
from sdebnn.metrics.contract import Labels, Probabilities, as_array, check_predictions


class RiskCoverageCurve(NamedTuple):
    """The share of examples that is accepted, the most confident first, and the error rate among them."""

    coverage: Float[np.ndarray, " n"]
    risk: Float[np.ndarray, " n"]


def risk_coverage_curve(labels: Labels, probs: Probabilities) -> RiskCoverageCurve:
    """What remains wrong, whatever the share of examples is that a model decides and does not decline.

    Arguments as for `risk_coverage_area`.

    **Returns:** for the k most confident of n examples, k = 1 to n: k / n, and the error rate.

    El-Yaniv and Wiener, On the foundations of noise-free selective classification, 2010.
    """
    wrong = _wrong_by_confidence(labels, probs)
    accepted = np.arange(1, len(wrong) + 1)
    return RiskCoverageCurve(accepted / len(wrong), np.cumsum(wrong) / accepted)


def risk_coverage_area(labels: Labels, probs: Probabilities) -> float:
    """Area under the risk-coverage curve: the error rate among the k most confident examples, mean over k = 1 to n.

    **Arguments:**

    - `labels`: (n,), from 0 to classes - 1.
    - `probs`: probabilities (n, classes), averaged over posterior samples; where there are two classes also (n,), those
      of class 1.

    **Returns:** a fraction; lower is better, 0 when nothing is wrong.

    Geifman et al., Bias-reduced uncertainty estimation for deep neural classifiers, 2019.
    """
    return float(np.mean(risk_coverage_curve(labels, probs).risk))


def generalized_risk_coverage_area(labels: Labels, probs: Probabilities) -> float:
    """Area under the generalized risk-coverage curve, AUGRC: the share of all examples that are wrong and accepted,
    mean over the share that is accepted.

    Unlike `risk_coverage_area` it is an average risk, to which no example counts for more because it is the most
    confident. With accuracy a it is (1 - AUROC) a (1 - a) + (1 - a)^2 / 2, where AUROC is how likely a right prediction
    is more confident than a wrong one.

    Arguments as for `risk_coverage_area`.

    **Returns:** from 0, when nothing is wrong, to 1 / 2.

    Traub et al., Overcoming common flaws in the evaluation of selective classification systems, 2024.
    """
    wrong = _wrong_by_confidence(labels, probs)
    accepted = np.concatenate([[0.0], np.cumsum(wrong)]) / len(wrong)
    return float(np.mean((accepted[1:] + accepted[:-1]) / 2))


def risk_at_coverage(labels: Labels, probs: Probabilities, *, coverage: float = 0.8) -> float:
    """The error rate among the most confident examples: what remains wrong where the others go to a human.

    Arguments as for `risk_coverage_area`, and

    - `coverage`: the share that is accepted, above 0, up to 1; of n examples the next whole number.

    **Returns:** a fraction; lower is better.

    **Raises:** `InputError` for another share.
    """
    if as_array("coverage", coverage).ndim or not 0 < coverage <= 1:
        raise InputError(f"coverage={coverage!r} is not allowed: it takes a share above 0, up to 1.")
    wrong = _wrong_by_confidence(labels, probs)
    # What is a whole number but for rounding is one.
    accepted = max(1, int(np.ceil(coverage * len(wrong) - 1e-9)))
    return float(np.mean(wrong[:accepted]))


def _wrong_by_confidence(labels: Labels, probs: Probabilities) -> Float[np.ndarray, " n"]:
    """Whether each example is wrong, 1 or 0, the most confident first; of equals, how many of them are."""
    y, p = check_predictions(labels, probs)
    _, group, size = np.unique(-p.max(axis=1), return_inverse=True, return_counts=True)
    return np.repeat(np.bincount(group, weights=p.argmax(axis=1) != y) / size, size)
