"""Moments of samples that come in batches."""

import numpy as np
from jaxtyping import Float

Vector = Float[np.ndarray, " entries"]


class Moments:
    """Of each entry of the samples so far, in double precision.

    Sums of squared deviations from the mean are joined by their own means, so that nothing cancels (Chan, Golub and
    LeVeque, Updating formulae and a pairwise algorithm for computing sample variances, 1979).
    """

    def __init__(self, entries: int) -> None:
        self.count = 0
        self.mean, self._second = np.zeros(entries), np.zeros(entries)
        self._low, self._high = np.full(entries, np.inf), np.full(entries, -np.inf)

    def add(self, samples: Float[np.ndarray, "paths entries"]) -> None:
        a, b = self.count, len(samples)
        n = a + b
        mean = samples.mean(axis=0)
        moved = mean - self.mean
        self._second = self._second + ((samples - mean) ** 2).sum(axis=0) + moved**2 * (a * b / n)
        self.mean = self.mean + moved * (b / n)
        self._low, self._high = np.minimum(self._low, samples.min(axis=0)), np.maximum(self._high, samples.max(axis=0))
        self.count = n

    @property
    def variance(self) -> Vector:
        return self._second / max(self.count - 1, 1)

    @property
    def farthest(self) -> Vector:
        """The largest deviation of a sample from the mean; zero where all are equal."""
        return np.where(self._high > self._low, np.maximum(self._high - self.mean, self.mean - self._low), 0.0)

    @property
    def telling(self) -> Vector:
        """How many samples as far as the farthest would make the variance; none where all are equal."""
        square = self.farthest**2
        return np.divide(self._second, square, out=np.zeros_like(square), where=square > 0)
