"""The posterior of the weights of a last layer, given what the layer is fed: a Gaussian around its mode.

Outputs are linear in the weights theta, so minus the log posterior is convex: Newton steps find its mode, and its
Hessian there is the inverse of the Gaussian's covariance (Laplace's approximation; exact for Gaussian noise). The prior
is N(0, 1/alpha) for each weight, where alpha has the largest evidence, with mode and curvature held: there
alpha |theta|^2 = gamma, the number of directions that the data settle (MacKay, Bayesian interpolation, 1992). Were they
not held, classes that are told apart would have an alpha with hardly a curvature left, where the Gaussian is no
likeness of the posterior any more. All is in double precision.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int
from scipy import linalg, special

# Examples at a time: what the Hessian is summed up from has as many numbers for each as there are weights.
BLOCK = 1000
# Of alpha, beside the trace of the Hessian where all weights are 0: above the first it hides what data say, and below
# the second rounding does.
LARGEST, SMALLEST = 1e4, 1e-12
# Of that trace too, so that the first mode is that of a weak prior.
FIRST = 1e-6
# Of log alpha, and of the mode, in standard deviations of the posterior.
ALPHA_TOLERANCE, MODE_TOLERANCE = 1e-4, 1e-6
ROUNDS, NEWTON_STEPS = 100, 200


class Expansion(NamedTuple):
    """The log-likelihood of examples to second order in their outputs, in nats. Minus the Hessian of each is
    diag(diagonal) - outer(rank_one, rank_one).
    """

    values: Float64[np.ndarray, " n"]
    slopes: Float64[np.ndarray, "n k"]
    diagonal: Float64[np.ndarray, "n k"]
    rank_one: Float64[np.ndarray, "n k"] | None


Likelihood = Callable[[slice, Float64[np.ndarray, "n k"]], Expansion]
"""Of the examples of some rows, whose outputs it is given."""


def categorical(labels: Int[np.ndarray, " n"], weights: Float[np.ndarray, " n"]) -> Likelihood:
    """Of labels, whose logits are the outputs; each example's log-likelihood times its weight."""

    def expanded(rows: slice, outputs: Float64[np.ndarray, "n k"]) -> Expansion:
        y, w, every = labels[rows], weights[rows, None], np.arange(len(outputs))
        log_p = special.log_softmax(outputs, axis=1)
        p = np.exp(log_p)
        slopes = -w * p
        slopes[every, y] += w[:, 0]
        return Expansion(w[:, 0] * log_p[every, y], slopes, w * p, np.sqrt(w) * p)

    return expanded


def gaussian(targets: Float[np.ndarray, "n k"], variances: Float[np.ndarray, "n k"]) -> Likelihood:
    """Of targets, whose expectations are the outputs."""

    def expanded(rows: slice, outputs: Float64[np.ndarray, "n k"]) -> Expansion:
        off, variance = targets[rows] - outputs, variances[rows]
        values = -0.5 * (off**2 / variance + np.log(2 * np.pi * variance)).sum(axis=1)
        return Expansion(values, off / variance, 1 / variance, None)

    return expanded


class Gaussian(NamedTuple):
    """The posterior N(mode, root root^T) of the weights, which stand in the order of the rows of (p, k).

    `log_evidence` is the logarithm of the marginal likelihood, in nats, at the prior precision alpha.
    """

    mode: Float64[np.ndarray, "p k"]
    root: Float64[np.ndarray, "D D"]
    prior_precision: float
    log_evidence: float

    @property
    def settled(self) -> float:
        """gamma, the number of directions that the data settle."""
        return self.mode.size - self.prior_precision * float(np.sum(self.root**2))


class LastLayer:
    """A last layer of weights (p, k), a bias among them.

    **Arguments:**

    - `features`: what it is fed, with a column of ones for the bias.
    - `outputs`: their number k.
    - `likelihood`: of the examples.
    """

    def __init__(self, features: Float[np.ndarray, "n p"], outputs: int, likelihood: Likelihood) -> None:
        self._features, self._likelihood = features, likelihood
        self._shape = features.shape[1], outputs

    def posterior(self) -> Gaussian:
        """The Gaussian at the prior precision of the largest evidence: that of MacKay's rounds, each with the mode and
        the curvature of the one before, until it stands still, or after `ROUNDS`, where the evidence hardly knows it.
        """
        theta = np.zeros(self._shape)
        scale = float(np.trace(self._hessian(theta))) or 1.0
        found = self.posterior_at(FIRST * scale, theta)
        for _ in range(ROUNDS):
            norm, before = float(np.sum(found.mode**2)), found.prior_precision
            wanted = found.settled / norm if norm > 0 else np.inf
            precision = min(max(wanted, SMALLEST * scale), LARGEST * scale)
            # From the last mode on, which is near.
            found = self.posterior_at(precision, found.mode)
            if abs(np.log(precision / before)) <= ALPHA_TOLERANCE:
                break
        return found

    def posterior_at(self, precision: float, start: Float64[np.ndarray, "p k"]) -> Gaussian:
        """The Gaussian at a prior precision. The search for its mode begins at `start`."""
        theta, hessian = self._mode(precision, start)
        lower = linalg.cholesky(hessian + precision * np.eye(theta.size), lower=True)
        root = linalg.solve_triangular(lower, np.eye(theta.size), lower=True).T
        # log det(H / alpha + 1).
        narrowed = 2 * np.log(np.diag(lower)).sum() - theta.size * np.log(precision)
        return Gaussian(theta, root, precision, self._log_posterior(theta, precision) - 0.5 * float(narrowed))

    def _mode(
        self, precision: float, start: Float64[np.ndarray, "p k"]
    ) -> tuple[Float64[np.ndarray, "p k"], Float64[np.ndarray, "D D"]]:
        """The mode and the Hessian there. **Raises:** `FloatingPointError` where Newton steps do not arrive."""
        theta, value = start, self._log_posterior(start, precision)
        for _ in range(NEWTON_STEPS):
            slope = self._slope(theta) - precision * theta
            hessian = self._hessian(theta)
            factor = linalg.cho_factor(hessian + precision * np.eye(theta.size))
            step = linalg.cho_solve(factor, slope.ravel()).reshape(theta.shape)
            # The square of the way to the mode of the parabola, in its standard deviations.
            rise = float(np.sum(slope * step))
            if rise <= MODE_TOLERANCE**2:
                return theta, hessian
            share = 1.0
            while (risen := self._log_posterior(theta + share * step, precision)) < value + 1e-4 * share * rise:
                share /= 2
                # Rounding hides what is left.
                if share * rise < 1e-12 * max(1.0, abs(value)):
                    return theta, hessian
            theta, value = theta + share * step, risen
        raise FloatingPointError(f"The mode of the last layer's weights was not found in {NEWTON_STEPS} Newton steps.")

    def _log_posterior(self, theta: Float64[np.ndarray, "p k"], precision: float) -> float:
        """Without the constant of the prior."""
        likelihood = sum(float(there.values.sum()) for _, there in self._blocks(theta))
        return likelihood - 0.5 * precision * float(np.sum(theta**2))

    def _slope(self, theta: Float64[np.ndarray, "p k"]) -> Float64[np.ndarray, "p k"]:
        """Of the log-likelihood."""
        slope = np.zeros(self._shape)
        for features, there in self._blocks(theta):
            slope += features.T @ there.slopes
        return slope

    def _hessian(self, theta: Float64[np.ndarray, "p k"]) -> Float64[np.ndarray, "D D"]:
        """Of minus the log-likelihood."""
        p, k = self._shape
        whole = np.zeros((p, k, p, k))
        for features, there in self._blocks(theta):
            for output in range(k):
                whole[:, output, :, output] += features.T @ (there.diagonal[:, output, None] * features)
            if there.rank_one is not None:
                rows = (features[:, :, None] * there.rank_one[:, None, :]).reshape(len(features), p * k)
                whole -= (rows.T @ rows).reshape(whole.shape)
        return whole.reshape(p * k, p * k)

    def _blocks(self, theta: Float64[np.ndarray, "p k"]) -> Iterator[tuple[Float64[np.ndarray, "n p"], Expansion]]:
        for first in range(0, len(self._features), BLOCK):
            rows = slice(first, first + BLOCK)
            features = self._features[rows].astype(np.float64)
            yield features, self._likelihood(rows, features @ theta)
