"""How unsure a prediction is, and what of that is the model's own ignorance."""

import numpy as np
import scipy
from jaxtyping import Float

from sdebnn.errors import InputError
from sdebnn.metrics.contract import Probabilities, as_array, check_probabilities


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
