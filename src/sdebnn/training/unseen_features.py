"""Features of a table's rows that no training example shows, which posterior samples have beside their network's own.

Between training examples, and a little way beyond, posterior samples of a network differ by what the examples leave
open. Far away they are straight lines of much the same slopes: the examples have settled these, although they tell
nothing of what is there. A network of more features would know less. Among them are relu(x_i - high_i) and relu(low_i -
x_i), of column i and the ends of its range, and, where no example has a value of column i between left and right,
min(relu(x_i - left), relu(right - x_i)), which is a sum of three relus. They are zero on every training example, so the
likelihood says nothing of their weights, and the posterior of these is their prior, exactly and without training (the
idea of Kristiadi, Hein and Hennig, An infinite-feature extension for Bayesian ReLU nets that fixes their asymptotic
overconfidence, 2021, whose features are another family). In units of half the column's range, and with weights from
N(0, slope^2 / d) for d columns, as weights of a network have it, outputs get a standard deviation of slope times the
root mean square, over columns, of how far each is from the nearest value that was seen; beside what the network is in
doubt of itself. Holes are those of a tenth of the column's range or more: between neighbours that are nearer to each
other nothing changes, to the bit.

Rows of the law of the training examples lie beyond the range of some column too, often where there are many columns or
few rows. So that what is predicted of them stays as it was, and few samples stand for the law well, the weights of a
feature are not drawn one by one: over the samples they are the same quantiles of the normal, in an order that is drawn.
Their mean is zero and their variance one.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64
from scipy import special

HOLE = 10
"""A hole in a column is as wide as its range divided by this, or wider."""
MOST_HOLES = 2**12
BLOCK = 16
ROUNDED, TINY = np.float32(1 - 1e-5), np.finfo(np.float32).tiny


class Seen(NamedTuple):
    """Where the training examples of a table are, column by column.

    - `low`, `high`: the ends of the ranges.
    - `columns`, `left`, `right`: of each hole its column, and the values at its ends, in their order.
    """

    low: Float32[np.ndarray, " d"]
    high: Float32[np.ndarray, " d"]
    columns: Int64[np.ndarray, " m"]
    left: Float32[np.ndarray, " m"]
    right: Float32[np.ndarray, " m"]

    @classmethod
    def of(cls, x: Float32[np.ndarray, "n d"]) -> "Seen":
        """Where these are. Of more holes than `MOST_HOLES` it has the widest, by their share of the range."""
        found = []
        # A few columns at a time: a table may fill half of the memory.
        for first in range(0, x.shape[1], BLOCK):
            ordered = np.sort(x[:, first : first + BLOCK], axis=0)
            least = (ordered[-1] - ordered[0]) / HOLE
            # Numbers with a tenth between them each are as far apart but for rounding.
            places, columns = np.nonzero(np.diff(ordered, axis=0) >= np.maximum(least * ROUNDED, TINY))
            left, right = ordered[places, columns], ordered[places + 1, columns]
            found.append((first + columns, left, right, (right - left) / least[columns]))
        columns, left, right, shares = (np.concatenate(parts) for parts in zip(*found, strict=True))
        widest = np.argsort(-shares, kind="stable")[:MOST_HOLES]
        order = widest[np.lexsort((left[widest], columns[widest]))]
        return cls(x.min(axis=0), x.max(axis=0), columns[order].astype(np.int64), left[order], right[order])

    def beyond(self, x: Float32[np.ndarray, "n d"]) -> Bool[np.ndarray, " n"]:
        """Which rows have a value beyond a range or in a hole."""
        found = np.any((x < self.low) | (x > self.high), axis=1)
        for column in np.unique(self.columns):
            holes = self.columns == column
            # Between the ends of a hole, of which an odd number is less; at the end itself a value was seen.
            ends = np.stack([self.left[holes], self.right[holes]], axis=1).ravel()
            places = np.searchsorted(ends, x[:, column])
            found |= (places % 2 == 1) & (x[:, column] != ends[np.minimum(places, len(ends) - 1)])
        return found


class UnseenFeatures(NamedTuple):
    """Those of one posterior sample, and their weights. Called with inputs it gives what is added to the first k
    outputs; arithmetic only, so arrays may be those of NumPy, JAX and PyTorch.

    - `low`, `high`, `columns`, `left`, `right`: as in `Seen`.
    - `below`, `above`, `within`: the weights of the features below and above the ranges and within the holes, by
      distances in the inputs' units.
    """

    low: Float32[np.ndarray, " d"]
    high: Float32[np.ndarray, " d"]
    columns: Int64[np.ndarray, " m"]
    left: Float32[np.ndarray, " m"]
    right: Float32[np.ndarray, " m"]
    below: Float32[np.ndarray, "d k"]
    above: Float32[np.ndarray, "d k"]
    within: Float32[np.ndarray, "m k"]

    def __call__(self, x: Any) -> Any:
        outside = _relu(self.low[None] - x) @ self.below + _relu(x - self.high[None]) @ self.above
        if not len(self.columns):
            return outside
        at = x[:, self.columns]
        from_left, to_right = _relu(at - self.left[None]), _relu(self.right[None] - at)
        # The lesser of the two, which is 0 to the bit at either end.
        nearer = (from_left + to_right - abs(from_left - to_right)) / 2
        return outside + nearer @ self.within


def draw_unseen_features(
    rng: np.random.Generator, samples: int, slope: float, seen: Seen, outputs: int
) -> list[UnseenFeatures]:
    """Those of so many posterior samples together.

    **Arguments:**

    - `slope`: the standard deviation of an output where every column is half its range beyond it.
    - `seen`: where the training examples are.
    - `outputs`: k, how many of the network's outputs they are added to.
    """
    quantiles = special.ndtri((np.arange(samples) + 0.5) / samples)
    quantiles = (slope * quantiles / max(float(quantiles.std()), np.finfo(float).tiny)).astype(np.float32)

    def weights(*features: int) -> Any:
        return quantiles[rng.random((samples, *features, outputs), np.float32).argsort(axis=0)]

    outside, within = weights(2, len(seen.low)), weights(len(seen.columns))
    return [_with_weights(seen, *of_sample) for of_sample in zip(outside, within, strict=True)]


def draw_one_network(rng: np.random.Generator, slope: float, seen: Seen, outputs: int) -> UnseenFeatures:
    """Those of a single network, whose weights are drawn one by one. **Arguments:** as above."""
    outside = slope * rng.standard_normal((2, len(seen.low), outputs), np.float32)
    return _with_weights(seen, outside, slope * rng.standard_normal((len(seen.columns), outputs), np.float32))


def _with_weights(
    seen: Seen, outside: Float32[np.ndarray, "2 d k"], within: Float32[np.ndarray, "m k"]
) -> UnseenFeatures:
    half = (seen.high - seen.low) / 2
    # What was the same in every example has no range: that it is another one tells nothing of how much.
    unit = (np.where(half > 0, half, 1)[:, None] * len(half) ** 0.5).astype(np.float32)
    below, above = outside / unit
    return UnseenFeatures(*seen, below, above, within / unit[seen.columns])


def _relu(x: Any) -> Any:
    return (abs(x) + x) / 2
