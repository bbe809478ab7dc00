"""How near predictions are to those of a reference, such as the true posterior where it can be sampled.

Izmailov et al., What are Bayesian neural network posteriors really like?, 2021.
"""

import numpy as np
from jaxtyping import Float

from sdebnn.errors import InputError
from sdebnn.metrics.contract import Probabilities, check_probabilities, check_same_shape


def agreement(reference: Probabilities, probs: Probabilities) -> float:
    """Share of examples for which both have the same most probable class.

    **Arguments:**

    - `reference`: probabilities (n, classes) of the reference, averaged over its posterior samples.
    - `probs`: those that are compared with them.

    **Returns:** a fraction; 1 where they always agree.

    **Raises:** `InputError` for what are no probabilities of this shape, and for shapes that differ.
    """
    p, q = _pair(reference, probs)
    return float(np.mean(p.argmax(axis=-1) == q.argmax(axis=-1)))


def total_variation(reference: Probabilities, probs: Probabilities) -> float:
    """Total variation distance, half the sum over classes of the absolute differences, mean over examples.

    Arguments as for `agreement`.

    **Returns:** from 0, where the probabilities are equal, to 1.
    """
    p, q = _pair(reference, probs)
    return float(np.mean(np.abs(p - q).sum(axis=-1) / 2))


def _pair(reference: Probabilities, probs: Probabilities) -> tuple[Float[np.ndarray, "n c"], Float[np.ndarray, "n c"]]:
    p, q = check_probabilities(reference), check_probabilities(probs)
    check_same_shape("the reference", p, "the prediction", q)
    if p.ndim != 2:
        raise InputError(
            f"Probabilities have shape {p.shape}; (examples, classes) is needed: average posterior samples first."
        )
    return p, q
