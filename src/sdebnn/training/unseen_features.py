"""Features of a table's rows that no training example shows, which posterior samples have beside their network's own.

Between training examples, and a little way beyond, posterior samples of a network differ by what the examples leave
open. Far away they are straight lines of much the same slopes: the examples have settled these, although they tell
nothing of what is there. A network of more features would know less. Among them are relu(x_i - high_i) and
relu(low_i - x_i), of column i and the ends of its range: they are zero on every training example, so the likelihood
says nothing of their weights, and the posterior of these is their prior, exactly and without training (Kristiadi, Hein
and Hennig, An infinite-feature extension for Bayesian ReLU nets that fixes their asymptotic overconfidence, 2021).
With weights from N(0, slope^2) outputs get a standard deviation of slope times the distance to the box of the training
examples, beside what the network is in doubt of itself; within the box nothing changes, to the bit.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32


class UnseenFeatures(NamedTuple):
    """Those of one posterior sample, and their weights. Called with inputs it gives what is added to the first k
    outputs; arithmetic only, so arrays may be those of NumPy, JAX and PyTorch.

    - `low`, `high`: the ends of the training examples' ranges.
    - `below`, `above`: the weights of the features below and above them.
    """

    low: Float32[np.ndarray, " d"]
    high: Float32[np.ndarray, " d"]
    below: Float32[np.ndarray, "d k"]
    above: Float32[np.ndarray, "d k"]

    def __call__(self, x: Any) -> Any:
        return _relu(self.low[None] - x) @ self.below + _relu(x - self.high[None]) @ self.above


def draw_unseen_features(
    rng: np.random.Generator,
    samples: int,
    slope: float,
    low: Float32[np.ndarray, " d"],
    high: Float32[np.ndarray, " d"],
    outputs: int,
) -> list[UnseenFeatures]:
    """Those of so many posterior samples.

    **Arguments:**

    - `slope`: the standard deviation of a weight.
    - `low`, `high`: the ends of the training examples' ranges.
    - `outputs`: k, how many of the network's outputs they are added to.
    """
    weights = slope * rng.standard_normal((samples, 2, len(low), outputs))
    return [UnseenFeatures(low, high, *of_sample) for of_sample in weights.astype(np.float32)]


def _relu(x: Any) -> Any:
    return (abs(x) + x) / 2
