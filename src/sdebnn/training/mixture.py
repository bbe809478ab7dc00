"""The law of real targets that several posterior samples give together: the mixture of what each of them says."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from sdebnn.training.learner import Predictive
from sdebnn.training.predictions import CHUNK, doubles, likelihood_draws, target_moments

# Halvings of an interval, and doublings until it holds a quantile: more than numbers of single precision have places.
MOST = 200
# Of a quantile, in the larger of its own size and the spread of the prediction.
PRECISION = 1e-7


class Mixture(NamedTuple):
    """The law of the targets of n examples, in the user's units.

    - `predictive`, `outputs`: posterior samples and their outputs for the examples.
    - `shift`, `scale`: the user's units: shift + scale * those of the network, (d,) each.
    """

    predictive: Predictive
    outputs: Float[np.ndarray, "samples n o"]
    shift: Float[np.ndarray, " d"]
    scale: Float[np.ndarray, " d"]

    def moments(self) -> tuple[Float[np.ndarray, "samples n d"], Float[np.ndarray, "samples n d"]]:
        """Mean and variance of each posterior sample's law."""
        means, variances = target_moments(self.predictive, self.outputs)
        return self.shift + self.scale * means, self.scale**2 * variances

    def quantile(self, q: float) -> Float[np.ndarray, "n d"]:
        """The smallest values up to which the targets lie with probability `q` or more."""
        starts = range(0, self.outputs.shape[1], CHUNK)
        parts = [self._quantile(self.outputs[:, start : start + CHUNK], q) for start in starts]
        return self.shift + self.scale * np.concatenate(parts)

    def sample(self, rng: np.random.Generator, n: int) -> Float[np.ndarray, "draws n d"]:
        """Draws, each of one posterior sample."""
        samples, examples, _ = self.outputs.shape
        chosen = rng.integers(samples, size=n)
        # A posterior sample draws several times for its examples; which of these a draw takes, its rank says.
        ranks = np.array([np.count_nonzero(chosen[:number] == one) for number, one in enumerate(chosen)])
        times = int(ranks.max()) + 1
        seed = int(rng.integers(1, 2**32))
        drawn = doubles(self.predictive.of_likelihood("sample", np.tile(self.outputs, (1, times, 1)), seed=seed))
        drawn = drawn.reshape(samples, times, examples, -1)
        return self.shift + self.scale * drawn[chosen, ranks]

    def _quantile(self, outputs: Float[np.ndarray, "samples n o"], q: float) -> Float[np.ndarray, "n d"]:
        means, variances = target_moments(self.predictive, outputs)

        def below(y: Float[np.ndarray, "n d"]) -> Any:
            said = self.predictive.of_likelihood("cdf", outputs, y.astype(np.float32))
            return None if said is None else said.astype(np.float64).mean(axis=0)

        centre = means.mean(axis=0)
        if below(centre) is None:
            drawn = likelihood_draws(self.predictive, outputs)
            return np.quantile(drawn.reshape(-1, *drawn.shape[2:]), q, axis=0, method="inverted_cdf")
        spread = np.hypot(means.std(axis=0), np.sqrt(variances.mean(axis=0)))
        return bisect(below, q, centre, np.where(np.isfinite(spread) & (spread > 0), spread, 1.0))


def bisect(
    below: Callable[[np.ndarray], np.ndarray],
    q: float,
    centre: Float[np.ndarray, "*n"],
    spread: Float[np.ndarray, "*n"],
) -> Float[np.ndarray, "*n"]:
    """The smallest y with below(y) >= q, of every entry alone.

    **Arguments:**

    - `below`: does not decrease in y, from below `q` to `q` or more.
    - `centre`, `spread`: where the search begins, and how far it reaches at first.
    """
    low, high = centre - spread, centre + spread
    for step in range(MOST):
        wide = spread * 2.0 ** min(step + 1, 100)
        under, over = below(high) < q, below(low) >= q
        if not (under | over).any():
            break
        high, low = np.where(under, centre + wide, high), np.where(over, centre - wide, low)
    for _ in range(MOST):
        if (high - low <= PRECISION * np.maximum(np.abs(high), spread)).all():
            break
        middle = low + (high - low) / 2
        enough = below(middle) >= q
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return high
