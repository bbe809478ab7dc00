"""How much of a stochastic gradient is signal."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

DECAY = 0.99


class Moments(NamedTuple):
    """Exponential moving averages of the gradient and of its square, from zero: pytrees like the gradient."""

    mean: Any
    square: Any


def init(params: Any) -> Moments:
    """The averages before the first gradient."""
    return Moments(jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params))


def update(moments: Moments, gradient: Any) -> Moments:
    """The averages after one more gradient."""

    def blend(average: Any, new: Any) -> Any:
        return DECAY * average + (1 - DECAY) * new

    return Moments(
        jax.tree.map(blend, moments.mean, gradient),
        jax.tree.map(lambda average, new: blend(average, new**2), moments.square, gradient),
    )


def signal_to_noise(moments: Moments, count: Any) -> Float[Array, ""]:
    """Norm of the mean gradient over the root of the gradient's total variance, after `count` gradients; NaN after one,
    which has no variance yet.

    The average m of n gradients under weights v_i that sum to one has c = sum v_i^2 times the variance of one gradient;
    with q the average of their squares, E[m^2] = mu^2 + c s^2 and E[q] = mu^2 + s^2 are solved for mu^2 and s^2.
    Without this, pure noise would seem to have a signal of sqrt(c).
    """
    decayed = jnp.float32(DECAY) ** jnp.asarray(count, jnp.float32)
    c = (1 - DECAY) * (1 + decayed) / ((1 + DECAY) * (1 - decayed))
    squared_mean = _total(moments.mean, lambda m: (m / (1 - decayed)) ** 2)
    mean_square = _total(moments.square, lambda q: q / (1 - decayed))
    variance = (mean_square - squared_mean) / (1 - c)
    return jnp.sqrt(jnp.maximum(squared_mean - c * variance, 0.0) / variance)


def _total(tree: Any, of_leaf: Any) -> Float[Array, ""]:
    return sum((jnp.sum(of_leaf(leaf)) for leaf in jax.tree.leaves(tree)), jnp.zeros(()))
