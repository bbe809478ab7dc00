"""What a step learns of the Brownian path."""

from typing import NamedTuple

import jax.numpy as jnp

from jaxsde.types import Leaves, Shapes


class Increment(NamedTuple):
    """The Brownian motion over one step.

    - `dW`: its increments, one for each leaf of noise; `None` where there is no noise.
    - `H`: its space-time Levy areas, 1/h times the integral of (W_s - W_t - (s - t)/h dW) ds over the step, which are
      independent of `dW` with variance h/12. `None` unless the method asks for them.
    """

    dW: Leaves
    H: Leaves | None = None


def no_increment(like: Shapes, space_time: bool = False) -> Increment:
    """That of a step of no length."""
    zeros = tuple(None if x is None else jnp.zeros(x.shape, x.dtype) for x in like)
    return Increment(zeros, zeros if space_time else None)
