"""The law of the weights over depth: an Ornstein-Uhlenbeck prior, and a posterior whose drift is learned.

prior:      dw = rate (centre - w) dt                + sigma dB
posterior:  dw = rate (centre - w) dt + NN(w, t) dt  + sigma dB

Both share the diffusion sigma, so the KL between them is the path KL, with u = NN / sigma, and that of their starts
w_0, where these are random. The last layer of NN starts at zero: training starts at the prior, with a path KL of zero.

Noise may be kept to a part of the weights or of the depth, which makes the network partially stochastic
(Calvo-Ordonez et al., 2024). A weight moves by dw = NN(w, t) dt where it has no noise; the KL does not count it there.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int, PRNGKeyArray

from jaxsde.brownian.keys import derive_key
from sdebnn.brax.layers.bayesian import Init, Params, as_layer, initialise
from sdebnn.brax.layers.diffeq_layers import fan_in
from sdebnn.brax.layers.precision import check_real
from sdebnn.brax.weights.vector_field import vector_field
from sdebnn.errors import InputError
from sdebnn.ou_prior import OUPrior

Weights = Float[Array, " p"]


@dataclasses.dataclass(frozen=True)
class WeightProcess(OUPrior):
    """The prior and the posterior of a block's weights, all of them in one vector w of p numbers.

    **Arguments:**

    - `drift`: the (init, apply) pair NN(w, t) that corrects the prior's drift; it maps a vector of weights to one of
      the same length, with t as a keyword. It should start at zero.
    - the others: of `sdebnn.ou_prior.OUPrior`.

    **Raises:** `InputError` unless the numbers are in their ranges and the names are among those above.
    """

    drift: tuple[Init, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "drift", as_layer(self.drift, "The posterior drift of WeightProcess"))
        super().__post_init__()

    def init(self, rng: PRNGKeyArray, w0: Params) -> Params:
        """Parameters `{"w0", "drift"}` of the process that starts at the weights `w0`, a pytree; with a Gaussian start
        also `"w0_log_ratio"`, the logarithm of its standard deviations in units of the prior's.
        """
        check_real("The start of WeightProcess", w0)
        w = ravel_pytree(w0)[0]
        size = w.size
        if size == 0:
            raise InputError(
                "The start of WeightProcess has no weights (f_x has no parameters); there is none to move."
            )
        nn = as_layer(self.drift, "The posterior drift")
        output_shape, drift = initialise(nn, derive_key(rng, "sdebnn.block.drift"), (size,), "the posterior drift")
        if tuple(output_shape) != (size,):
            raise InputError(
                f"The posterior drift maps {size} weights to shape {output_shape}; it must give one number for "
                "each weight."
            )
        vector_field(nn, drift, jax.ShapeDtypeStruct((size,), w.dtype), rng, "The posterior drift")
        params = {"w0": w0, "drift": drift}
        return params if self.start == "learned" else params | {"w0_log_ratio": jnp.zeros(self.noisy(size), w.dtype)}

    def diffusion(self, params: Params) -> Float[np.ndarray, " noisy"]:
        """sigma of every weight that has noise; a constant that no gradient reaches."""
        leaves = jax.tree.leaves(params["w0"])
        scales = [self.diffusion_scale(n) for n in jax.tree.leaves(fan_in(params["w0"]))]
        sigma = np.concatenate([np.full(leaf.size, s, leaf.dtype) for leaf, s in zip(leaves, scales, strict=True)])
        return sigma[: self.noisy(sigma.size)]

    def draw_start(self, rng: PRNGKeyArray, params: Params, *, prior: bool = False) -> tuple[Weights, Float[Array, ""]]:
        """w_0 and the KL of its law, in nats."""
        mean = ravel_pytree(params["w0"])[0]
        if self.start == "learned":
            return mean, jnp.zeros((), mean.dtype)
        noisy, still = self.split(mean)
        prior_std = self.diffusion(params) / (2 * self.rate) ** 0.5
        centre = noisy if self.centre == "w0" else jnp.zeros_like(noisy)
        noise = jax.random.normal(derive_key(rng, "sdebnn.WeightProcess.start"), noisy.shape, noisy.dtype)
        if prior:
            return jnp.concatenate([centre + prior_std * noise, still]), jnp.zeros((), mean.dtype)
        log_ratio = params["w0_log_ratio"]
        offset = (noisy - centre) / prior_std
        kl = jnp.sum(0.5 * (jnp.exp(2 * log_ratio) + jnp.square(offset) - 1) - log_ratio)
        return jnp.concatenate([noisy + prior_std * jnp.exp(log_ratio) * noise, still]), kl

    def split(self, w: Weights) -> tuple[Float[Array, " noisy"], Float[Array, " still"]]:
        """The weights that have noise, and those that never have it."""
        noisy = self.noisy(w.size)
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
        self, params: Params, ts: Float[np.ndarray, " times"], keep: Int[np.ndarray, " k"] | slice = slice(None)
    ) -> tuple[Float[np.ndarray, "times k"], Float[np.ndarray, "times k"]]:
        """Mean and standard deviation of every weight, or of those numbered in `keep`, under the prior at the depths
        `ts`, where all weights have noise at all depths.
        """
        return self.moments(np.asarray(ravel_pytree(params["w0"])[0])[keep], self.diffusion(params)[keep], ts)

    def _pull(self, w: Weights, params: Params) -> Weights:
        return -self.rate * (w - ravel_pytree(params["w0"])[0] if self.centre == "w0" else w)
