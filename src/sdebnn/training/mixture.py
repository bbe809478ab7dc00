"""The law of real targets that several posterior samples give together: the mixture of what each of them says."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from sdebnn.training.learner import Predictive
from sdebnn.training.predictions import doubles, target_moments, target_quantiles


class Mixture(NamedTuple):
    """The law of the targets of n examples, in the user's units.

    - `predictive`, `outputs`: posterior samples and their outputs for the examples.
    - `shift`, `scale`: the user's units: shift + scale * those of the network, (d,) each.
    """

    predictive: Predictive
    outputs: Float[np.ndarray, "samples n o"]
    shift: Float[np.ndarray, " d"]
    scale: Float[np.ndarray, " d"]

    def moments(self) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n d"], Float[np.ndarray, "n d"]]:
        """The mean, the standard deviation of all, and that of the means of the posterior samples, which is NaN of one
        sample. Squares are taken in the units of the network: in the user's they may be too large or too small, and
        deviations much smaller than what they are of.
        """
        means, variances = target_moments(self.predictive, self.outputs)
        epistemic = means.std(axis=0) if len(means) > 1 else np.full(means.shape[1:], np.nan)
        # The law of total variance; without a square of the first part that could be too large.
        std = np.hypot(epistemic, np.sqrt(variances.mean(axis=0)))
        return self.shift + self.scale * means.mean(axis=0), self.scale * std, self.scale * epistemic

    def quantile(self, q: float) -> Float[np.ndarray, "n d"]:
        """The smallest values up to which the targets lie with probability `q` or more."""
        return self.shift + self.scale * target_quantiles(self.predictive, self.outputs, [q])[1][0]

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
