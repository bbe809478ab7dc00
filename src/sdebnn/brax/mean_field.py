"""Mean-field variational layers: every weight an independent Gaussian."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray

from jaxsde.brownian.keys import derive_key
from sdebnn.brax.bayesian import BayesianLayer, Init, Params, Shape
from sdebnn.errors import InputError


def MeanField(
    layer: tuple[Init, Any], *, prior_std: float = 1.0, initial_std: float = 0.01, disable: bool = False
) -> BayesianLayer:
    """Makes any deterministic layer Bayesian: its weights get a Gaussian posterior and the prior N(0, prior_std^2).

    The KL is the closed form between diagonal Gaussians, and weights are drawn by the reparameterisation trick
    (Blundell et al., 2015).

    **Arguments:**

    - `layer`: an (init, apply) pair, for instance of `jax.example_libraries.stax`.
    - `prior_std`: standard deviation of every weight under the prior.
    - `initial_std`: standard deviation of every weight under the posterior at the start of training.
    - `disable`: use the means alone, with KL zero: the deterministic layer with the same parameters.

    **Returns:** a `BayesianLayer` with params `{"mean", "log_std"}`, each shaped as the layer's params, whose `apply`
    also takes `prior=True` to draw from the prior.

    **Raises:** `InputError` unless both standard deviations are positive.
    """
    layer_init, layer_apply = layer
    for name, std in (("prior_std", prior_std), ("initial_std", initial_std)):
        if not std > 0:
            raise InputError(f"MeanField got {name}={std}; a standard deviation must be positive.")

    def init(rng: PRNGKeyArray, input_shape: Shape) -> tuple[Shape, Params]:
        output_shape, mean = layer_init(derive_key(rng, "sdebnn.MeanField.init"), input_shape)
        return output_shape, {
            "mean": mean,
            "log_std": jax.tree.map(lambda m: jnp.full_like(m, jnp.log(initial_std)), mean),
        }

    def apply(
        params: Params, inputs: Any, *, rng: PRNGKeyArray, prior: bool = False, **kwargs: Any
    ) -> tuple[Any, Float[Array, ""]]:
        mean, unravel = ravel_pytree(params["mean"])
        layer_key = derive_key(rng, "sdebnn.MeanField.layer")
        if disable:
            return layer_apply(params["mean"], inputs, rng=layer_key, **kwargs), jnp.zeros(())
        log_std, _ = ravel_pytree(params["log_std"])
        noise = jax.random.normal(derive_key(rng, "sdebnn.MeanField"), mean.shape, mean.dtype)
        if prior:
            return layer_apply(unravel(prior_std * noise), inputs, rng=layer_key, **kwargs), jnp.zeros(())
        weights = unravel(mean + jnp.exp(log_std) * noise)
        log_ratio = log_std - jnp.log(prior_std)
        kl = jnp.sum(0.5 * (jnp.exp(2 * log_ratio) + jnp.square(mean / prior_std) - 1) - log_ratio)
        return layer_apply(weights, inputs, rng=layer_key, **kwargs), kl

    return BayesianLayer(init, apply)
