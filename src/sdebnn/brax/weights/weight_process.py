"""The law of the weights over depth: a prior, and a posterior whose drift is learned.

prior:      dw = f_p(w, t) dt               + sigma dB
posterior:  dw = f_p(w, t) dt + NN(w, t) dt + sigma dB

Both share the diffusion sigma, so the KL between them is the path KL, with u = NN / sigma, and that of their starts
w_0, where these are random. The last layer of NN starts at zero: training starts at the prior, with a path KL of zero.

Noise may be kept to a part of the weights or of the depth, which makes the network partially stochastic
(Calvo-Ordonez et al., 2024). A weight moves by dw = NN(w, t) dt where it has no noise; the KL does not count it there.

The *state* is the weights, or of smooth priors the weights' velocity and then the weights: what has noise comes first.
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
from sdebnn.priors import Prior
from sdebnn.priors.by_name import as_prior, refuse_own_drifts

Weights = Float[Array, " p"]
State = Float[Array, " s"]


@dataclasses.dataclass(frozen=True, init=False)
class WeightProcess:
    """The prior and the posterior of a block's weights, all of them in one vector w of p numbers.

    **Arguments:**

    - `drift`: the (init, apply) pair NN(w, t) that corrects the prior's drift; it maps a vector, the state, to one of
      the same length, with t as a keyword. It should start at zero.
    - `prior`: of `sdebnn.priors`, or a law of one's own; an Ornstein-Uhlenbeck process unless given.
    - `choices`: of that Ornstein-Uhlenbeck process, such as `sigma` and `rate`, in place of `prior`.

    **Raises:** `InputError` for anything but a deterministic pair and a prior, and as the prior for its choices.
    """

    drift: tuple[Init, Any]
    prior: Prior

    def __init__(self, drift: tuple[Init, Any], prior: Prior | None = None, **choices: Any) -> None:
        object.__setattr__(self, "drift", as_layer(drift, "The posterior drift of WeightProcess"))
        object.__setattr__(self, "prior", as_prior(prior, choices))

    def __init_subclass__(cls, **choices: Any) -> None:
        super().__init_subclass__(**choices)
        refuse_own_drifts(cls, WeightProcess)

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
        nn, state = as_layer(self.drift, "The posterior drift"), (self.prior.state_width * size,)
        output_shape, drift = initialise(nn, derive_key(rng, "sdebnn.block.drift"), state, "the posterior drift")
        if tuple(output_shape) != state:
            raise InputError(
                f"The posterior drift maps {state[0]} weights to shape {output_shape}; it must give one number for "
                "each weight."
            )
        vector_field(nn, drift, jax.ShapeDtypeStruct(state, w.dtype), rng, "The posterior drift")
        params = {"w0": w0, "drift": drift}
        if self.prior.start == "learned":
            return params
        return params | {"w0_log_ratio": jnp.zeros(self.prior.noisy(size), w.dtype)}

    def diffusion(self, params: Params) -> Float[np.ndarray, " noisy"] | Float[Array, " noisy"]:
        """sigma of every weight that has noise; a constant that no gradient reaches, but where it is an array."""
        # Of a law whose sigma JAX traces.
        sigma: Any = self.prior.sigma
        of: Any = jnp if isinstance(sigma, jax.Array) else np
        leaves = jax.tree.leaves(params["w0"])
        scales = [self.prior.diffusion_scale(n) for n in jax.tree.leaves(fan_in(params["w0"]))]
        every = of.concatenate([of.full(leaf.size, s, leaf.dtype) for leaf, s in zip(leaves, scales, strict=True)])
        return every[: self.prior.noisy(every.size)]

    def draw_start(self, rng: PRNGKeyArray, params: Params, *, prior: bool = False) -> tuple[State, Float[Array, ""]]:
        """The state at depth 0 and the KL of its law, in nats. Velocities start at zero."""
        mean = ravel_pytree(params["w0"])[0]
        if self.prior.start == "learned":
            start = mean if self.prior.state_width == 1 else jnp.concatenate([jnp.zeros_like(mean), mean])
            return start, jnp.zeros((), mean.dtype)
        noisy, still = self.split(mean)
        prior_std = self.diffusion(params) / self.prior.unit_diffusion
        centre = noisy if self.prior.centre == "w0" else jnp.zeros_like(noisy)
        noise = jax.random.normal(derive_key(rng, "sdebnn.WeightProcess.start"), noisy.shape, noisy.dtype)
        if prior:
            return jnp.concatenate([centre + prior_std * noise, still]), jnp.zeros((), mean.dtype)
        log_ratio = params["w0_log_ratio"]
        offset = (noisy - centre) / prior_std
        kl = jnp.sum(0.5 * (jnp.exp(2 * log_ratio) + jnp.square(offset) - 1) - log_ratio)
        return jnp.concatenate([noisy + prior_std * jnp.exp(log_ratio) * noise, still]), kl

    def split(
        self, state: Float[Array, "*times s"]
    ) -> tuple[Float[Array, "*times noisy"], Float[Array, "*times still"]]:
        """What of the state has noise, and what never has it."""
        noisy = self.prior.noisy(state.shape[-1] // self.prior.state_width)
        return state[..., :noisy], state[..., noisy:]

    def weights(self, state: Float[Array, "*times s"]) -> Float[Array, "*times p"]:
        """The weights in a state."""
        return state if self.prior.state_width == 1 else self.split(state)[1]

    def correction(self, state: State, t: Float[Array, ""], params: Params) -> State:
        """NN(w, t)."""
        return self.drift[1](params["drift"], state, t=t)

    def prior_drift(self, state: State, t: Float[Array, ""], params: Params) -> State:
        """f_p(w, t) where there is noise, and NN(w, t) for weights that never have it."""
        law = self._law(state, t, params)
        if self.prior.noisy_weights == 1:
            return law
        return jnp.concatenate([self.split(law)[0], self.split(self.correction(state, t, params))[1]])

    def posterior_drift(self, state: State, t: Float[Array, ""], params: Params) -> State:
        """f_q(w, t) = f_p(w, t) + NN(w, t) where there is noise, and NN(w, t) for weights that never have it."""
        noisy, still = self.split(self.correction(state, t, params))
        law, moved = self.split(self._law(state, t, params))
        return jnp.concatenate([law + noisy, still if self.prior.state_width == 1 else moved])

    def prior_moments(
        self, params: Params, ts: Float[np.ndarray, " times"], keep: Int[np.ndarray, " k"] | slice = slice(None)
    ) -> tuple[Float[np.ndarray, "times k"], Float[np.ndarray, "times k"]] | None:
        """Mean and standard deviation of every weight, or of those numbered in `keep`, under the prior at the depths
        `ts`; `None` where they are not known.
        """
        if not self.prior.noise_everywhere:
            return None
        w0, sigma = np.asarray(ravel_pytree(params["w0"])[0]), np.asarray(self.diffusion(params))
        return self.prior.moments(w0[keep], sigma[keep], ts)

    def _law(self, state: State, t: Float[Array, ""], params: Params) -> State:
        centre = ravel_pytree(params["w0"])[0] if self.prior.centre == "w0" else 0.0
        if self.prior.state_width == 1:
            return self.prior.checked_drift((state,), t, centre)[0]
        return jnp.concatenate(self.prior.checked_drift(self.split(state), t, centre))
