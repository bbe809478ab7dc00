"""Moments of samples that come in batches."""

import numpy as np
from jaxtyping import Float

Vector = Float[np.ndarray, " entries"]


class Moments:
    """Of each entry of the samples so far, in double precision.

    Sums of powers of deviations from the mean are joined by their own means, so that nothing cancels (Pébay, Formulas
    for robust, one-pass parallel computation of covariances and arbitrary-order statistical moments, 2008).
    """

    def __init__(self, entries: int) -> None:
        self.count = 0
        self.mean, self._second, self._third, self._fourth = (np.zeros(entries) for _ in range(4))
        self._low, self._high = np.full(entries, np.inf), np.full(entries, -np.inf)

    def add(self, samples: Float[np.ndarray, "paths entries"]) -> None:
        a, b = self.count, len(samples)
        n = a + b
        mean = samples.mean(axis=0)
        second, third, fourth = (((samples - mean) ** power).sum(axis=0) for power in (2, 3, 4))
        moved = mean - self.mean
        self._fourth = (
            self._fourth
            + fourth
            + moved**4 * (a * b * (a * a - a * b + b * b) / n**3)
            + 6 * moved**2 * (a * a * second + b * b * self._second) / n**2
            + 4 * moved * (a * third - b * self._third) / n
        )
        self._third = (
            self._third + third + moved**3 * (a * b * (a - b) / n**2) + 3 * moved * (a * second - b * self._second) / n
        )
        self._second = self._second + second + moved**2 * (a * b / n)
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
        """How many samples make the variance: their number over the kurtosis. Its relative error is about one over the
        root of it. None where all are equal.
        """
        fourth = np.where(self._second > 0, self._fourth, 1.0)
        return np.divide(self._second**2, fourth, out=np.zeros_like(fourth), where=fourth > 0)
