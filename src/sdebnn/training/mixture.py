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

    def moments(self) -> tuple[Float[np.ndarray, "samples n d"], Float[np.ndarray, "samples n d"]]:
        """Mean and variance of each posterior sample's law."""
        means, variances = target_moments(self.predictive, self.outputs)
        return self.shift + self.scale * means, self.scale**2 * variances

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
