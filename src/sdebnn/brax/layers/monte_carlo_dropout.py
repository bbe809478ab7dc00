"""Monte Carlo dropout: units that are left out at random, in prediction too."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray, PyTree

from jaxsde.brownian.keys import derive_key
from sdebnn.brax.layers.bayesian import (
    BayesianLayer,
    Hidden,
    Init,
    Output,
    Params,
    Shape,
    as_layer,
    initialise,
    without_kl,
)
from sdebnn.brax.layers.precision import as_precision, check_real, precision, working
from sdebnn.priors.prior import share_left_out, standard_deviation


def MonteCarloDropout(layer: tuple[Init, Any], *, rate: float = 0.1, prior_std: float = 1.0) -> BayesianLayer:
    """Makes any deterministic layer Bayesian: of every matrix and every kernel of weights the inputs are left out with
    a probability of `rate`, and the others divided by 1 - `rate` (Gal and Ghahramani, Dropout as a Bayesian
    approximation, 2016).

    A draw leaves the same inputs out for all examples, and in an ODE block at every depth: it is one network. The KL is
    that from the prior N(0, prior_std^2) up to a constant, the mean over draws of half the squared weights in units of
    the prior's variance: a decay of the weights.

    **Arguments:**

    - `layer`: an (init, apply) pair whose weights have their inputs on the last axis but one, as all of this package
      and of `jax.example_libraries.stax` have; arrays of one axis, such as biases, are kept whole. A kernel of several
      groups would lose inputs of all of them together: it is for those of one.
    - `rate`: from 0, where it is the deterministic layer, to below 1.
    - `prior_std`: standard deviation of every weight under the prior.

    **Returns:** a `BayesianLayer` with the layer's params, whose `apply` also takes `prior=True` to draw from the
    prior.

    **Raises:** `InputError` for anything but a deterministic (init, apply) pair, a rate that is none and a standard
    deviation that is not positive; when `init` is called, for parameters that are not real.
    """
    pair = as_layer(layer, "The layer of MonteCarloDropout")
    rate = share_left_out("MonteCarloDropout got rate", rate)
    prior_std = standard_deviation("MonteCarloDropout got prior_std", prior_std)

    def init(rng: PRNGKeyArray, input_shape: Shape) -> tuple[Shape, Params]:
        key = derive_key(rng, "sdebnn.MonteCarloDropout.init")
        output_shape, params = initialise(pair, key, input_shape, "the layer of MonteCarloDropout")
        check_real("The layer of MonteCarloDropout", params)
        return output_shape, params

    def apply(params: Params, inputs: Hidden, *, rng: PRNGKeyArray, prior: bool = False, **kwargs: Any) -> Output:
        check_real("The layer of MonteCarloDropout", params)
        dtype = precision("MonteCarloDropout", inputs, params)
        params, inputs = as_precision(working(dtype), params), as_precision(dtype, inputs)
        leaves, structure = jax.tree.flatten(params)
        keys = jax.random.split(derive_key(rng, "sdebnn.MonteCarloDropout"), max(1, len(leaves)))
        if prior:
            drawn = [prior_std * jax.random.normal(k, w.shape, w.dtype) for k, w in zip(keys, leaves, strict=False)]
        else:
            drawn = [_without_some(k, w, rate) for k, w in zip(keys, leaves, strict=False)]
        weights = as_precision(dtype, jax.tree.unflatten(structure, drawn))
        layer_key = derive_key(rng, "sdebnn.MonteCarloDropout.layer")
        outputs = without_kl(pair.apply(weights, inputs, rng=layer_key, **kwargs), "The layer of MonteCarloDropout")
        kl = jnp.zeros((), working(dtype))
        if not prior:
            for w in leaves:
                kept = 1 - rate if w.ndim > 1 else 1.0
                kl = kl + jnp.sum(jnp.square(w / prior_std)) / (2 * kept)
        return Output(outputs, kl)

    return BayesianLayer(init, apply)


def _without_some(key: PRNGKeyArray, weights: PyTree, rate: float) -> Any:
    if weights.ndim < 2:
        return weights
    kept = jax.random.bernoulli(key, 1 - rate, (weights.shape[-2], 1))
    return jnp.where(kept, weights / (1 - rate), 0)
