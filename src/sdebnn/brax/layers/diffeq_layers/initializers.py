"""How weights of time-dependent layers start."""

import math
from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array, Float, PRNGKeyArray

from jaxsde.brownian.keys import derive_key
from sdebnn.brax.layers.bayesian import Shape

Initializer = Callable[..., Any]
"""`initializer(rng, shape)` gives an array; those of `jax.nn.initializers` are."""


def fan_in_normal(rng: PRNGKeyArray, shape: Shape) -> Float[Array, "..."]:
    """Independent normals, standard deviation 1 / sqrt(fan-in); the fan-in is the product of all sides but the last.

    So the variance of an output is the mean square of its inputs. A last layer that starts at zero takes
    `jax.nn.initializers.zeros` in its place.
    """
    key = derive_key(rng, "sdebnn.fan_in_normal")
    return jax.random.normal(key, tuple(map(int, shape))) / math.sqrt(math.prod(shape[:-1]))
