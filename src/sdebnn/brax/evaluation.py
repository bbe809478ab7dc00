"""How good a model is on data that it has not seen: the same numbers in training, on the command line and in the
demo.
"""

from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from sdebnn import metrics
from sdebnn.brax.bayesian import Params
from sdebnn.brax.likelihoods import Categorical
from sdebnn.brax.model import Model


def class_probabilities(outputs: Float[np.ndarray, "samples n c"]) -> Float[np.ndarray, "n c"]:
    """The predicted probabilities: the mean of those that the posterior samples give, never that of their
    logarithms.
    """
    return np.asarray(jax.nn.softmax(outputs, axis=-1)).mean(axis=0)


def report(model: Model, params: Params, outputs: Float[np.ndarray, "samples n o"], y: Any) -> dict[str, float]:
    """Scores of the averaged prediction of several posterior samples.

    **Arguments:**

    - `outputs`: of `Model.sampler`.
    - `y`: the true labels (n,), or targets (n, d).

    **Returns:** for labels those of `metrics.classification_report`; for real targets those of
    `metrics.regression_report`.
    """
    if isinstance(model.likelihood, Categorical):
        return metrics.classification_report(class_probabilities(outputs), y)
    noise_std = np.exp(np.asarray(params["likelihood"]["log_std"]))
    return metrics.regression_report(y, outputs, noise_std)
