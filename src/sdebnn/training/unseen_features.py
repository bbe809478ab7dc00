"""Features of a table's rows that no training example shows, which posterior samples have beside their network's own.

Between training examples, and a little way beyond, posterior samples of a network differ by what the examples leave
open. Far away they are straight lines of much the same slopes: the examples have settled these, although they tell
nothing of what is there. A network of more features would know less. Among them are relu(x_i - high_i) and
relu(low_i - x_i), of column i and the ends of its range: they are zero on every training example, so the likelihood
says nothing of their weights, and the posterior of these is their prior, exactly and without training (the idea of
Kristiadi, Hein and Hennig, An infinite-feature extension for Bayesian ReLU nets that fixes their asymptotic
overconfidence, 2021, whose features are another family). In units of half the column's range, and with weights from
N(0, slope^2 / d) for d columns, as weights of a network have it, outputs get a standard deviation of slope times the
root mean square, over columns, of how far beyond its range each is; beside what the network is in doubt of itself.
Within the ranges nothing changes, to the bit.

Rows of the law of the training examples lie beyond the range of some column too, often where there are many columns or
few rows. So that what is predicted of them stays as it was, and few samples stand for the law well, the weights of a
feature are not drawn one by one: over the samples they are the same quantiles of the normal, in an order that is drawn.
Their mean is zero and their variance one.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32
from scipy import special


class UnseenFeatures(NamedTuple):
    """Those of one posterior sample, and their weights. Called with inputs it gives what is added to the first k
    outputs; arithmetic only, so arrays may be those of NumPy, JAX and PyTorch.

    - `low`, `high`: the ends of the training examples' ranges.
    - `below`, `above`: the weights of the features below and above them, by distances in the inputs' units.
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
    """Those of so many posterior samples together.

    **Arguments:**

    - `slope`: the standard deviation of an output where every column is half its range beyond it.
    - `low`, `high`: the ends of the training examples' ranges.
    - `outputs`: k, how many of the network's outputs they are added to.
    """
    quantiles = special.ndtri((np.arange(samples) + 0.5) / samples)
    quantiles = (quantiles / max(float(quantiles.std()), np.finfo(float).tiny)).astype(np.float32)
    order = rng.random((samples, 2, len(low), outputs), np.float32).argsort(axis=0)
    return [UnseenFeatures(low, high, *_by_range(slope * quantiles[places], low, high)) for places in order]


def draw_one_network(
    rng: np.random.Generator,
    slope: float,
    low: Float32[np.ndarray, " d"],
    high: Float32[np.ndarray, " d"],
    outputs: int,
) -> UnseenFeatures:
    """Those of a single network, whose weights are drawn one by one. **Arguments:** as above."""
    weights = rng.standard_normal((2, len(low), outputs), np.float32)
    return UnseenFeatures(low, high, *_by_range(slope * weights, low, high))


def _by_range(
    weights: Float32[np.ndarray, "2 d k"], low: Float32[np.ndarray, " d"], high: Float32[np.ndarray, " d"]
) -> Float32[np.ndarray, "2 d k"]:
    half = (high - low) / 2
    # What was the same in every example has no range: that it is another one tells nothing of how much.
    return (weights / (np.where(half > 0, half, 1)[:, None] * len(low) ** 0.5)).astype(np.float32)


def _relu(x: Any) -> Any:
    return (abs(x) + x) / 2
