"""Mean-field variational layers: every weight an independent Gaussian."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import PRNGKeyArray

from jaxsde.brownian.keys import derive_key
from sdebnn.brax.layers.bayesian import (
    BayesianLayer,
    Hidden,
    Init,
    Output,
    Params,
    Shape,
    as_layer,
    check_params,
    initialise,
    without_kl,
)
from sdebnn.brax.layers.precision import as_precision, check_real, precision, working
from sdebnn.priors.prior import standard_deviation


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

    **Raises:** `InputError` for anything but a deterministic (init, apply) pair and unless both standard deviations are
    positive; when `init` is called, for parameters that are not real.
    """
    pair = as_layer(layer, "The layer of MeanField")
    prior_std = standard_deviation("MeanField got prior_std", prior_std)
    initial_std = standard_deviation("MeanField got initial_std", initial_std)

    def init(rng: PRNGKeyArray, input_shape: Shape) -> tuple[Shape, Params]:
        key = derive_key(rng, "sdebnn.MeanField.init")
        output_shape, mean = initialise(pair, key, input_shape, "the layer of MeanField")
        check_real("The layer of MeanField", mean)
        return output_shape, {
            "mean": mean,
            "log_std": jax.tree.map(lambda m: jnp.full_like(m, math.log(initial_std)), mean),
        }

    def apply(params: Params, inputs: Hidden, *, rng: PRNGKeyArray, prior: bool = False, **kwargs: Any) -> Output:
        check_params("MeanField", params, ("mean", "log_std"))
        check_real("The layer of MeanField", params["mean"])
        dtype = precision("MeanField", inputs, params)
        params, inputs = as_precision(working(dtype), params), as_precision(dtype, inputs)
        mean, unravel = ravel_pytree(params["mean"])
        layer_key = derive_key(rng, "sdebnn.MeanField.layer")

        def outputs(weights: Params) -> Any:
            found = pair.apply(as_precision(dtype, weights), inputs, rng=layer_key, **kwargs)
            return without_kl(found, "The layer of MeanField")

        nothing = jnp.zeros((), mean.dtype)
        if disable:
            return Output(outputs(params["mean"]), nothing)
        log_std, _ = ravel_pytree(params["log_std"])
        noise = jax.random.normal(derive_key(rng, "sdebnn.MeanField"), mean.shape, mean.dtype)
        if prior:
            return Output(outputs(unravel(prior_std * noise)), nothing)
        weights = unravel(mean + jnp.exp(log_std) * noise)
        log_ratio = log_std - math.log(prior_std)
        kl = jnp.sum(0.5 * (jnp.exp(2 * log_ratio) + jnp.square(mean / prior_std) - 1) - log_ratio)
        return Output(outputs(weights), kl)

    return BayesianLayer(init, apply)
