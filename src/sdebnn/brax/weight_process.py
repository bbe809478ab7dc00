"""The law of the weights over depth: an Ornstein-Uhlenbeck prior, and a posterior whose drift is learned.

prior:      dw = rate (centre - w) dt                + sigma dB
posterior:  dw = rate (centre - w) dt + NN(w, t) dt  + sigma dB

Both share the diffusion sigma and the initial weights w_0, so the KL between them is the path KL alone, with u = NN /
sigma. The last layer of NN starts at zero: training starts at the prior, with KL zero.
"""

import dataclasses

import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray

from jaxsde import brownian_increments, path_kl, sdeint_ito_fixed_grid
from sdebnn.brax.bayesian import Layer, Params
from sdebnn.brax.diffeq_layers import fan_in
from sdebnn.errors import InputError

Weights = Float[Array, " p"]


@dataclasses.dataclass(frozen=True)
class WeightProcess:
    """The prior and the posterior of a block's weights, all of them in one vector w.

    **Arguments:**

    - `drift`: the (init, apply) pair NN(w, t) that corrects the prior's drift; it maps a vector of weights to one of
      the same length, with t as a keyword. It should start at zero.
    - `sigma`: the diffusion; see `sigma_scale`.
    - `sigma_scale`: `"constant"`: sigma is the diffusion of every weight. `"fan_in"`: weight i has the diffusion
      `sigma * sqrt(2 rate / fan_in_i)`, so that the prior's stationary standard deviation is `sigma / sqrt(fan_in_i)`,
      in proportion to the usual initialisation.
    - `rate`: how fast the prior pulls the weights to its centre, in 1 / depth.
    - `centre`: `"w0"`: the learned initial weights; `"zero"`.

    **Raises:** `InputError` unless sigma and rate are positive and the names are among those above.
    """

    drift: Layer
    sigma: float = 0.1
    sigma_scale: str = "fan_in"
    rate: float = 1.0
    centre: str = "w0"

    def __post_init__(self) -> None:
        for name in ("sigma", "rate"):
            if not 0 < getattr(self, name) < np.inf:
                raise InputError(
                    f"The weight process got {name}={getattr(self, name)}; it takes a positive, finite number."
                )
        if self.sigma_scale not in ("fan_in", "constant"):
            raise InputError(
                f"The weight process got sigma_scale={self.sigma_scale!r}; it takes 'fan_in' or 'constant'."
            )
        if self.centre not in ("w0", "zero"):
            raise InputError(f"The weight process got centre={self.centre!r}; it takes 'w0' or 'zero'.")

    def init(self, rng: PRNGKeyArray, w0: Params) -> Params:
        """Parameters `{"w0", "drift"}` of the process that starts at the weights `w0`, a pytree."""
        size = ravel_pytree(w0)[0].size
        output_shape, drift = self.drift.init(rng, (size,))
        if tuple(output_shape) != (size,):
            raise InputError(
                f"The posterior drift maps {size} weights to shape {output_shape}; it must give one number for "
                "each weight."
            )
        return {"w0": w0, "drift": drift}

    def diffusion(self, params: Params) -> Float[np.ndarray, " p"]:
        """sigma of every weight; a constant that no gradient reaches."""
        leaves = jax.tree.leaves(params["w0"])
        scales = [self.sigma] * len(leaves)
        if self.sigma_scale == "fan_in":
            scales = [self.sigma * (2 * self.rate / n) ** 0.5 for n in jax.tree.leaves(fan_in(params["w0"]))]
        return np.concatenate([np.full(leaf.size, s, leaf.dtype) for leaf, s in zip(leaves, scales, strict=True)])

    def prior_drift(self, w: Weights, t: Float[Array, ""], params: Params) -> Weights:
        """f_p(w, t) = rate (centre - w)."""
        return -self.rate * (w - ravel_pytree(params["w0"])[0] if self.centre == "w0" else w)

    def posterior_drift(self, w: Weights, t: Float[Array, ""], params: Params) -> Weights:
        """f_q(w, t) = f_p(w, t) + NN(w, t)."""
        return self.prior_drift(w, t, params) + self.drift.apply(params["drift"], w, t=t)

    def increments(self, rng: PRNGKeyArray, ts: Float[Array, " times"], params: Params) -> Float[Array, "steps p"]:
        """Brownian increments of one weight path on the grid `ts`: what both the solve and the Ito sum of the KL have
        to use.
        """
        return brownian_increments(rng, ts, ravel_pytree(params["w0"])[0])

    def kl(
        self,
        params: Params,
        ws: Float[Array, "times p"],
        ts: Float[Array, " times"],
        increments: Float[Array, "steps p"],
        estimator: str = "stl",
    ) -> Float[Array, ""]:
        """The path KL, in nats, read off a solved path `ws` that the given increments moved. See `jaxsde.path_kl`."""
        sigma = self.diffusion(params)

        def u(w: Weights, t: Float[Array, ""], drift: Params) -> Weights:
            return self.drift.apply(drift, w, t=t) / sigma

        return path_kl(u, ws, ts, increments, params["drift"], estimator=estimator)

    def sample(
        self,
        rng: PRNGKeyArray,
        params: Params,
        ts: Float[Array, " times"],
        *,
        prior: bool = False,
        method: str = "euler_maruyama",
    ) -> Float[Array, "times p"]:
        """One weight path on the grid `ts`, from the posterior or from the prior."""
        sigma = self.diffusion(params)
        drift = self.prior_drift if prior else self.posterior_drift
        w0 = ravel_pytree(params["w0"])[0]
        return sdeint_ito_fixed_grid(drift, lambda w, t, p: sigma, w0, ts, rng, params, method, noise="additive")

    def prior_moments(
        self, params: Params, ts: Float[np.ndarray, " times"]
    ) -> tuple[Float[np.ndarray, "times p"], Float[np.ndarray, "times p"]]:
        """Mean and standard deviation of every weight under the prior at the depths `ts`: the OU process's own."""
        w0 = np.asarray(ravel_pytree(params["w0"])[0])[None]
        centre = w0 if self.centre == "w0" else np.zeros_like(w0)
        decay = np.exp(-self.rate * ts)[:, None]
        spread = np.sqrt((1 - decay**2) / (2 * self.rate))
        return centre + (w0 - centre) * decay, spread * self.diffusion(params)[None]
