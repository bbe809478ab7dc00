"""How unsure a prediction is, what of that is the model's own ignorance, and whether it is unsure where it errs."""

import numpy as np
import scipy
from jaxtyping import Float

from sdebnn.errors import InputError
from sdebnn.metrics.contract import Labels, Probabilities, as_array, check_predictions, check_probabilities


def entropy(probs: Probabilities) -> Float[np.ndarray, "..."]:
    """Entropy of each row of probabilities, in nats: 0 when certain, log(classes) when all are equal.

    **Arguments:**

    - `probs`: (..., classes).

    **Returns:** (...,).
    """
    return np.sum(scipy.special.entr(check_probabilities(probs)), axis=-1)


def mutual_information(sample_probs: Probabilities) -> Float[np.ndarray, " n"]:
    """Mutual information of the label and the weights, in nats: how far posterior samples disagree.

    The entropy of the mean prediction minus the mean entropy of the samples' predictions.

    **Arguments:**

    - `sample_probs`: (samples, n, classes).

    **Returns:** (n,), between 0 and log(min(samples, classes)); NaN from one sample, which cannot disagree.

    Houlsby et al., Bayesian active learning for classification and preference learning, 2011.
    """
    sample_probs = as_array("sample_probs", sample_probs)
    if sample_probs.ndim != 3:
        raise InputError(f"sample_probs has shape {sample_probs.shape}; (samples, examples, classes) is needed.")
    p = check_probabilities(sample_probs)
    if len(p) == 1:
        return np.full(p.shape[1], np.nan)
    return np.maximum(entropy(p.mean(axis=0)) - entropy(p).mean(axis=0), 0.0)


def risk_coverage_area(labels: Labels, probs: Probabilities) -> float:
    """Area under the risk-coverage curve: the error rate among the k most confident examples, mean over k = 1 to n.

    Examples of equal confidence come in random order, and the area is its mean over those orders.

    **Arguments:**

    - `labels`: (n,), from 0 to classes - 1.
    - `probs`: probabilities (n, classes), averaged over posterior samples; where there are two classes also (n,), those
      of class 1.

    **Returns:** a fraction; lower is better, 0 when nothing is wrong.

    Geifman et al., Bias-reduced uncertainty estimation for deep neural classifiers, 2019.
    """
    y, p = check_predictions(labels, probs)
    _, group, size = np.unique(-p.max(axis=1), return_inverse=True, return_counts=True)
    wrong = np.bincount(group, weights=p.argmax(axis=1) != y) / size
    errors = np.cumsum(np.repeat(wrong, size))
    return float(np.mean(errors / np.arange(1, len(y) + 1)))
