"""Out-of-distribution detection: does the model know what it has not seen?

A score is any number that is higher for stranger inputs, such as the predictive entropy.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from sdebnn.metrics.contract import Values, check_values


def auroc(in_scores: Values, out_scores: Values) -> float:
    """Area under the ROC curve: how likely a strange input scores higher than a familiar one, ties counting half.

    **Arguments:**

    - `in_scores`: of inputs from the training distribution, any shape.
    - `out_scores`: of inputs from elsewhere.

    **Returns:** 1 for perfect separation, 0.5 for none, below 0.5 where strange inputs score lower.
    """
    # Imported here: it takes as long as all else that a command imports.
    from sklearn.metrics import roc_auc_score

    return _of_strange(roc_auc_score, in_scores, out_scores)


def average_precision(in_scores: Values, out_scores: Values) -> float:
    """Area under the precision-recall curve of finding the strange inputs: the mean, over them, of the share of strange
    ones among all that score at least as high. Unlike `auroc` it depends on how many there are of each.

    Arguments as for `auroc`.

    **Returns:** 1 for perfect separation; the share of strange inputs for none.
    """
    from sklearn.metrics import average_precision_score

    return _of_strange(average_precision_score, in_scores, out_scores)


def fpr95(in_scores: Values, out_scores: Values) -> float:
    """Share of strange inputs that pass as familiar at the threshold that lets 95 % of the familiar ones pass.

    Arguments as for `auroc`. The threshold is the lowest score that at least 95 % of `in_scores` do not exceed.
    """
    familiar = np.sort(check_values("in_scores", in_scores), axis=None)
    # Whole numbers, because 0.95 * n can round up past the next one.
    threshold = familiar[-(-95 * familiar.size // 100) - 1]
    return float(np.mean(check_values("out_scores", out_scores) <= threshold))


def _of_strange(score: Callable[..., Any], in_scores: Values, out_scores: Values) -> float:
    familiar, strange = check_values("in_scores", in_scores).ravel(), check_values("out_scores", out_scores).ravel()
    is_strange = np.repeat([0, 1], [familiar.size, strange.size])
    return float(score(is_strange, np.concatenate([familiar, strange])))
