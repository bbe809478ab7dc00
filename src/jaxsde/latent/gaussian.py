"""Gaussian laws of independent entries."""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class Gaussian(NamedTuple):
    """A Gaussian law of independent entries.

    - `mean`: (d,).
    - `std`: (d,), positive standard deviations.
    """

    mean: Float[Array, " d"]
    std: Float[Array, " d"]

    def at(self, normal: Float[Array, " d"]) -> Float[Array, " d"]:
        """The draw that a standard normal gives."""
        return self.mean + self.std * normal

    def log_prob(self, z: Float[Array, " d"]) -> Float[Array, ""]:
        """The log density, in nats."""
        return jnp.sum(gaussian_log_density(z, self.mean, self.std))


def gaussian_log_density(x: Array, mean: Array, std: Array) -> Array:
    """Of each entry, in nats."""
    return -0.5 * ((x - mean) / std) ** 2 - jnp.log(std) - 0.5 * math.log(2 * math.pi)


def gaussian_kl(q: Gaussian, p: Gaussian) -> Float[Array, ""]:
    """KL(q || p), in nats."""
    # Logarithms of each, so that a negative deviation gives NaN.
    ratio, log_ratio = (q.std / p.std) ** 2, jnp.log(q.std) - jnp.log(p.std)
    return 0.5 * jnp.sum(ratio + ((q.mean - p.mean) / p.std) ** 2 - 1 - 2 * log_ratio)
