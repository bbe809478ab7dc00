"""The evidence lower bound, as every objective gives it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxsde.latent.model import LatentSDE
from jaxsde.latent.series import Series


class Bound(NamedTuple):
    """An estimate of the evidence lower bound of each series, in nats; unbiased, and so is its gradient.

    - `value`: (batch,), `log_likelihood` less `kl_weight` times both KLs.
    - `log_likelihood`: (batch,), of what was observed, given the posterior's paths.
    - `kl_path`: (batch,), of the posterior's process from the prior's, up to the last observation.
    - `kl_initial`: (batch,), of the posterior's first law from the prior's.
    """

    value: Float[Array, "*batch"]
    log_likelihood: Float[Array, "*batch"]
    kl_path: Float[Array, "*batch"]
    kl_initial: Float[Array, "*batch"]


def bound(log_likelihood: Any, kl_path: Any, kl_initial: Any, kl_weight: Any) -> Bound:
    """The bound of its parts."""
    weight = kl_weight * (kl_path + kl_initial)
    return Bound(log_likelihood - weight, log_likelihood, kl_path, kl_initial)


def check_weight(kl_weight: Any) -> None:
    """Refuses what is no number.

    **Raises:** `ValueError` that says what it is.
    """
    if jnp.shape(kl_weight) != ():
        raise ValueError(f"kl_weight has shape {jnp.shape(kl_weight)}; it is one number for all series.")


def log_likelihood(model: LatentSDE, params: PyTree, series: Series, zs: Array) -> Any:
    """Of what was observed of one series, given its state at all times, (n, d)."""

    def of_time(z: Array, y: Array, mask: Array) -> Any:
        log_prob = model.likelihood.log_prob(model.decoder(z, params), y, params)
        return jnp.sum(jnp.where(mask, log_prob, jnp.zeros_like(log_prob)))

    return jax.vmap(of_time)(zs, series.values, series.mask).sum()
