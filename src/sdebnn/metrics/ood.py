"""Out-of-distribution detection: does the model know what it has not seen?

A score is any number that is higher for stranger inputs, such as the predictive entropy.
"""

import numpy as np

from sdebnn.metrics.contract import Values, check_values


def auroc(in_scores: Values, out_scores: Values) -> float:
    """Area under the ROC curve: how likely a strange input scores higher than a familiar one, ties counting half.

    **Arguments:**

    - `in_scores`: of inputs from the training distribution, any shape.
    - `out_scores`: of inputs from elsewhere.

    **Returns:** 1 for perfect separation, 0.5 for none, below 0.5 where strange inputs score lower.
    """
    familiar, strange = np.sort(check_values("in_scores", in_scores), axis=None), check_values("out_scores", out_scores)
    below = np.searchsorted(familiar, strange, side="left")
    not_above = np.searchsorted(familiar, strange, side="right")
    return float(np.mean(below + not_above) / (2 * familiar.size))


def fpr95(in_scores: Values, out_scores: Values) -> float:
    """Share of strange inputs that pass as familiar at the threshold that lets 95 % of the familiar ones pass.

    Arguments as for `auroc`. The threshold is the lowest score that at least 95 % of `in_scores` do not exceed.
    """
    familiar = np.sort(check_values("in_scores", in_scores), axis=None)
    # Whole numbers, because 0.95 * n can round up past the next one.
    threshold = familiar[-(-95 * familiar.size // 100) - 1]
    return float(np.mean(check_values("out_scores", out_scores) <= threshold))
