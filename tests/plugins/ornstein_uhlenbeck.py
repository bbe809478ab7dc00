"""An Ornstein-Uhlenbeck process with Gaussian observations, whose evidence and posterior are known: by numpy, for the
tests of the latent SDE in either framework.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.stats import multivariate_normal

# Two series with gaps.
TIMES = np.array([0.0, 0.3, 0.35, 1.1, 1.5, 2.0])
VALUES = np.array([[0.4, -0.2, np.nan, 1.3, 0.1, 0.7], [np.nan, 0.9, 0.5, -0.4, np.nan, np.nan]])[..., None]
RATE, SIZE, NOISE = 0.8, 0.9, 0.5


class OrnsteinUhlenbeck(NamedTuple):
    """dz = -rate z dt + size dB, stationary; observed with noise of a standard deviation."""

    rate: float
    size: float
    noise: float

    def covariance(self, s: np.ndarray, t: np.ndarray) -> np.ndarray:
        return self.size**2 / (2 * self.rate) * np.exp(-self.rate * np.abs(s[:, None] - t[None, :]))

    def evidence(self, t: np.ndarray, values: np.ndarray) -> np.ndarray:
        """The log evidence of each series, whose missing values are NaN."""
        of_each = []
        for y in values:
            seen = np.isfinite(y)
            K = self.covariance(t[seen], t[seen]) + self.noise**2 * np.eye(seen.sum())
            of_each.append(multivariate_normal.logpdf(y[seen], np.zeros(seen.sum()), K))
        return np.array(of_each)

    def smoothed(self, t: np.ndarray, values: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation of the state of each series at times, given what was observed of it."""
        means, deviations = [], []
        for y in values:
            seen = np.isfinite(y)
            k = self.covariance(at, t[seen])
            gain = k @ np.linalg.inv(self.covariance(t[seen], t[seen]) + self.noise**2 * np.eye(seen.sum()))
            means.append(gain @ y[seen])
            deviations.append(np.sqrt(np.diag(self.covariance(at, at) - gain @ k.T)))
        return np.array(means), np.array(deviations)


def carried(exp: Any, later: Any, b: Any, J: Any, t: Any, rate: Any, size: Any) -> Any:
    """What is observed from a time on, as exp(b z - J z^2 / 2) of the state then, carried to an earlier time.

    **Arguments:** `exp`: of the arrays, which may be of any framework.
    """
    decay = exp(-rate * (later - t))
    spread = 1 + J * size**2 * (1 - decay**2) / (2 * rate)
    return b * decay / spread, J * decay**2 / spread
