"""The no-U-turn sampler for latent variables whose prior is N(0, I): posteriors that others are measured against.

Hoffman and Gelman, The No-U-Turn sampler: adaptively setting path lengths in Hamiltonian Monte Carlo, 2014; in
blackjax, with the adaptation in windows of Stan.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from sdebnn.extras import require


class Chain(NamedTuple):
    """Where a chain is, of blackjax, and what it was adapted to, the inverse mass matrix by its diagonal."""

    state: Any
    step_size: Float[Array, ""]
    inverse_mass_matrix: Float[Array, " size"]


class Nuts:
    """The sampler of N(0, I) times a likelihood.

    **Arguments:**

    - `log_likelihood`: of the latent variables (size,), in nats.
    - `target`: acceptance rate to which the step size is adapted.
    - `doublings`: of a way at most: it has fewer than 2^doublings leapfrog steps.

    **Raises:** `InputError` where blackjax is not installed.
    """

    def __init__(
        self, log_likelihood: Callable[[Float[Array, " size"]], Any], target: float, doublings: int = 10
    ) -> None:
        require("NUTS", "evidence")
        self._log_likelihood, self._target, self._doublings = log_likelihood, target, doublings

    def begin(self, start: Float[Array, " size"], rng: PRNGKeyArray, steps: int) -> Chain:
        """A chain that has been adapted in so many steps from `start` on."""
        import blackjax

        warm_up = blackjax.window_adaptation(
            blackjax.nuts,
            self.log_density,
            target_acceptance_rate=self._target,
            max_num_doublings=self._doublings,
            adaptation_info_fn=lambda *_: None,
        )
        (state, found), _ = warm_up.run(rng, start, num_steps=steps)
        return Chain(state, found["step_size"], found["inverse_mass_matrix"])

    def draw(self, chain: Chain, rng: PRNGKeyArray) -> tuple[Chain, Any]:
        """The chain at its next draw, `state.position`; and what blackjax tells of the way there."""
        import blackjax

        kernel = blackjax.nuts(self.log_density, *chain[1:], max_num_doublings=self._doublings)
        state, info = kernel.step(rng, chain.state)
        return chain._replace(state=state), info

    def log_density(self, z: Float[Array, " size"]) -> Any:
        """Of the posterior, up to a constant."""
        return self._log_likelihood(z) - 0.5 * jnp.vdot(z, z)


def mixing(
    values: Float[np.ndarray, "chains draws n"],
    divergent: Bool[np.ndarray, "chains draws"],
    leapfrog: Int[np.ndarray, "chains draws"],
) -> dict[str, float]:
    """How the chains mixed: the largest split R-hat and the smallest effective sample size of n functions of the draws,
    the share of draws that diverged, and the mean number of leapfrog steps.
    """
    from blackjax.diagnostics import effective_sample_size, potential_scale_reduction

    chains, draws, n = values.shape
    halves = values[:, : draws // 2 * 2].reshape(2 * chains, draws // 2, n)
    r_hat = np.asarray(potential_scale_reduction(halves))
    effective = np.asarray(effective_sample_size(values))
    return {
        "r_hat": float(r_hat.max()), "r_hat_median": float(np.median(r_hat)),
        "effective": float(effective.min()), "effective_median": float(np.median(effective)),
        "divergent": float(divergent.mean()), "leapfrog": float(leapfrog.mean()),
    }  # fmt: skip
