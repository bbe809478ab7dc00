"""The law of the weights over depth: an Ornstein-Uhlenbeck prior, and a posterior whose drift is learned.

prior:      dw = rate (centre - w) dt                + sigma dB
posterior:  dw = rate (centre - w) dt + NN(w, t) dt  + sigma dB

Both share the diffusion sigma, so the KL between them is the path KL, with u = NN / sigma, and that of their starts
w_0, where these are random. The last layer of NN starts at zero: training starts at the prior, with a path KL of zero.

Noise may be kept to a part of the weights or of the depth, which makes the network partially stochastic
(Calvo-Ordonez et al., 2024). A weight moves by dw = NN(w, t) dt where it has no noise; the KL does not count it there.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray

from sdebnn.brax.bayesian import Init, Layer, Params
from sdebnn.brax.diffeq_layers import fan_in
from sdebnn.errors import InputError

Weights = Float[Array, " p"]


class Section(NamedTuple):
    """A stretch of depth, from `start` to `end`, on which the weights have noise or do not."""

    start: float
    end: float
    noisy: bool


@dataclasses.dataclass(frozen=True)
class WeightProcess:
    """The prior and the posterior of a block's weights, all of them in one vector w of p numbers.

    **Arguments:**

    - `drift`: the (init, apply) pair NN(w, t) that corrects the prior's drift; it maps a vector of weights to one of
      the same length, with t as a keyword. It should start at zero.
    - `sigma`: the diffusion; see `sigma_scale`.
    - `sigma_scale`: `"constant"`: sigma is the diffusion of every weight. `"fan_in"`: weight i has the diffusion
      `sigma * sqrt(2 rate / fan_in_i)`, so that the prior's stationary standard deviation is `sigma / sqrt(fan_in_i)`,
      in proportion to the usual initialisation; with rate 0, where nothing is stationary, `sigma / sqrt(fan_in_i)`,
      which the prior then reaches at depth 1.
    - `rate`: how fast the prior pulls the weights to its centre, in 1 / depth; 0 is a prior without drift.
    - `centre`: `"w0"`: the learned initial weights; `"zero"`.
    - `start`: `"learned"`: w_0 is a point; `"gaussian"`: it is Gaussian under both, around the learned point under the
      posterior, and with the stationary law under the prior.
    - `noisy_weights`: the share of the weights that have noise, the first ones in w.
    - `noisy_depth`: from where to where they have it; (0, 0) is nowhere: the weights follow an ODE.

    **Raises:** `InputError` unless the numbers are in their ranges and the names are among those above.
    """

    drift: tuple[Init, Any]
    sigma: float = 0.1
    sigma_scale: str = "fan_in"
    rate: float = 1.0
    centre: str = "w0"
    start: str = "learned"
    noisy_weights: float = 1.0
    noisy_depth: tuple[float | int, float | int] = (0.0, 1.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "drift", Layer(*self.drift))
        if not 0 < self.sigma < np.inf:
            raise InputError(f"The weight process got sigma={self.sigma}; it takes a positive, finite number.")
        if not 0 <= self.rate < np.inf:
            raise InputError(f"The weight process got rate={self.rate}; it takes a finite number, 0 or more.")
        for name, allowed in _NAMES.items():
            if getattr(self, name) not in allowed:
                names = " or ".join(map(repr, allowed))
                raise InputError(f"The weight process got {name}={getattr(self, name)!r}; it takes {names}.")
        if self.start == "gaussian" and self.rate == 0:
            raise InputError(
                "The weight process got start='gaussian' with rate=0, and a prior without drift has no stationary law "
                "for w_0; take a positive rate or start='learned'."
            )
        if not 0 < self.noisy_weights <= 1:
            raise InputError(
                f"The weight process got noisy_weights={self.noisy_weights}; it takes a share above 0, up to 1."
            )
        if not 0 <= self.noisy_depth[0] <= self.noisy_depth[1] <= 1:
            raise InputError(
                f"The weight process got noisy_depth={self.noisy_depth}; it takes two depths between 0 and 1, the "
                "first not above the second."
            )

    def init(self, rng: PRNGKeyArray, w0: Params) -> Params:
        """Parameters `{"w0", "drift"}` of the process that starts at the weights `w0`, a pytree; with a Gaussian start
        also `"w0_log_ratio"`, the logarithm of its standard deviations in units of the prior's.
        """
        size = ravel_pytree(w0)[0].size
        output_shape, drift = self.drift[0](rng, (size,))
        if tuple(output_shape) != (size,):
            raise InputError(
                f"The posterior drift maps {size} weights to shape {output_shape}; it must give one number for "
                "each weight."
            )
        params = {"w0": w0, "drift": drift}
        return params if self.start == "learned" else params | {"w0_log_ratio": jnp.zeros(self._noisy(size))}

    def diffusion(self, params: Params) -> Float[np.ndarray, " noisy"]:
        """sigma of every weight that has noise; a constant that no gradient reaches."""
        leaves = jax.tree.leaves(params["w0"])
        scales = [self.sigma] * len(leaves)
        if self.sigma_scale == "fan_in":
            spread = self.sigma * (2 * self.rate or 1.0) ** 0.5
            scales = [spread / n**0.5 for n in jax.tree.leaves(fan_in(params["w0"]))]
        sigma = np.concatenate([np.full(leaf.size, s, leaf.dtype) for leaf, s in zip(leaves, scales, strict=True)])
        return sigma[: self._noisy(sigma.size)]

    def draw_start(self, rng: PRNGKeyArray, params: Params, *, prior: bool = False) -> tuple[Weights, Float[Array, ""]]:
        """w_0 and the KL of its law, in nats."""
        mean = ravel_pytree(params["w0"])[0]
        if self.start == "learned":
            return mean, jnp.zeros((), mean.dtype)
        noisy, still = self.split(mean)
        prior_std = self.diffusion(params) / (2 * self.rate) ** 0.5
        centre = noisy if self.centre == "w0" else jnp.zeros_like(noisy)
        noise = jax.random.normal(rng, noisy.shape, noisy.dtype)
        if prior:
            return jnp.concatenate([centre + prior_std * noise, still]), jnp.zeros((), mean.dtype)
        log_ratio = params["w0_log_ratio"]
        offset = (noisy - centre) / prior_std
        kl = jnp.sum(0.5 * (jnp.exp(2 * log_ratio) + jnp.square(offset) - 1) - log_ratio)
        return jnp.concatenate([noisy + prior_std * jnp.exp(log_ratio) * noise, still]), kl

    def sections(self) -> list[Section]:
        """The depth from 0 to 1, cut where noise begins and ends."""
        first, last = self.noisy_depth
        cuts = (Section(0.0, first, False), Section(first, last, True), Section(last, 1.0, False))
        return [section for section in cuts if section.end > section.start]

    def split(self, w: Weights) -> tuple[Float[Array, " noisy"], Float[Array, " still"]]:
        """The weights that have noise, and those that never have it."""
        noisy = self._noisy(w.size)
        return w[:noisy], w[noisy:]

    def correction(self, w: Weights, t: Float[Array, ""], params: Params) -> Weights:
        """NN(w, t)."""
        return self.drift[1](params["drift"], w, t=t)

    def prior_drift(self, w: Weights, t: Float[Array, ""], params: Params) -> Weights:
        """f_p(w, t) where there is noise: rate (centre - w), and NN(w, t) for weights that never have it."""
        if self.noisy_weights == 1:
            return self._pull(w, params)
        return jnp.concatenate([self.split(self._pull(w, params))[0], self.split(self.correction(w, t, params))[1]])

    def posterior_drift(self, w: Weights, t: Float[Array, ""], params: Params) -> Weights:
        """f_q(w, t) where there is noise: rate (centre - w) + NN(w, t), and NN(w, t) for weights that never have it."""
        noisy, still = self.split(self.correction(w, t, params))
        return jnp.concatenate([self.split(self._pull(w, params))[0] + noisy, still])

    def prior_moments(
        self, params: Params, ts: Float[np.ndarray, " times"]
    ) -> tuple[Float[np.ndarray, "times p"], Float[np.ndarray, "times p"]]:
        """Mean and standard deviation of every weight under the prior at the depths `ts`, where all weights have noise
        at all depths: the OU process's own.
        """
        w0 = np.asarray(ravel_pytree(params["w0"])[0])[None]
        centre = w0 if self.centre == "w0" else np.zeros_like(w0)
        decay = np.exp(-self.rate * ts)[:, None]
        variance = (1 - decay**2) / (2 * self.rate) if self.rate else ts[:, None]
        if self.start == "gaussian":
            return np.broadcast_to(centre, decay.shape[:1] + w0.shape[1:]), np.broadcast_to(
                self.diffusion(params) / (2 * self.rate) ** 0.5, decay.shape[:1] + w0.shape[1:]
            )
        return centre + (w0 - centre) * decay, np.sqrt(variance) * self.diffusion(params)[None]

    def _pull(self, w: Weights, params: Params) -> Weights:
        return -self.rate * (w - ravel_pytree(params["w0"])[0] if self.centre == "w0" else w)

    def _noisy(self, size: int) -> int:
        return max(1, round(self.noisy_weights * size))


_NAMES = {"sigma_scale": ("fan_in", "constant"), "centre": ("w0", "zero"), "start": ("learned", "gaussian")}
