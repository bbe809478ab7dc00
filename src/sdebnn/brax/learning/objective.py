"""Stochastic variational inference: the loss of a mini-batch.

loss = mean negative log-likelihood + kl_coef / N_train * KL
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from sdebnn.brax.layers.bayesian import Params
from sdebnn.brax.learning.likelihoods import Categorical
from sdebnn.brax.learning.model import Model

Loss = Callable[..., tuple[Float[Array, ""], dict[str, Float[Array, ""]]]]


def objective(
    model: Model,
    *,
    kl_coef: float,
    train_size: int,
    class_weights: tuple[float, ...] | None = None,
    kl_gradient: bool = True,
) -> Loss:
    """The loss of a mini-batch, `(params, x, y, keys, kl_share=1.0, weights=None) -> (loss, {"nll", "kl", ...})`: the
    mean over one weight path for each of `keys`, as of `jax.random.split`. With `kl_coef` 1 its expectation is minus
    the evidence lower bound of the training data, divided by its size. `weights` (n,) are those of the examples, all 1
    unless given.

    **Arguments:**

    - `kl_coef`: weight of the KL. Below 1 the posterior is colder than Bayes' rule has it. `kl_share` multiplies it,
      for a KL that is warmed up.
    - `train_size`: how many examples the whole training set has: the KL is paid once for all of them.
    - `class_weights`: of an example's log-likelihood, by its label; all are 1 unless given.
    - `kl_gradient`: whether the gradient is that of the KL too; an optimiser that knows the prior takes that of the
      likelihood alone.
    """

    def loss(
        params: Params, x: Any, y: Any, keys: Any, kl_share: Any = 1.0, weights: Any = None
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        def of_one_path(key: PRNGKeyArray) -> dict[str, Float[Array, ""]]:
            outputs, kl = model.network.apply(params["network"], x, rng=key)
            log_probs = model.likelihood.log_prob(params["likelihood"], outputs, y)
            if class_weights is not None:
                log_probs = jnp.asarray(class_weights, log_probs.dtype)[y] * log_probs
            if weights is not None:
                log_probs = weights * log_probs
            parts = {"nll": -jnp.mean(log_probs), "kl": kl}
            if isinstance(model.likelihood, Categorical):
                parts["accuracy"] = jnp.mean(jnp.argmax(outputs, axis=1) == y, dtype=jnp.float32)
            return parts

        parts = jax.vmap(of_one_path)(keys)
        parts = jax.tree.map(lambda part: jnp.mean(part, axis=0), parts)
        kl = parts["kl"] if kl_gradient else jax.lax.stop_gradient(parts["kl"])
        return parts["nll"] + kl_share * (kl_coef / train_size) * kl, parts

    return loss
