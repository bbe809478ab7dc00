"""What a step learns of the Brownian path."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from jaxsde.types import Leaves, Shapes


class Increment(NamedTuple):
    """The Brownian motion over one step.

    - `dW`: its increments, one for each leaf of noise; `None` where there is no noise.
    - `H`: its space-time Levy areas, 1/h times the integral of (W_s - W_t - (s - t)/h dW) ds over the step, which are
      independent of `dW` with variance h/12. `None` unless the method asks for them.
    - `A`: with commutative and general noise its Levy areas, (m, m), antisymmetric: entry (j, k) is half of the
      integral of W_j over dW_k less that of W_k over dW_j, both from the start of the step. `None` unless the method
      asks for them.
    """

    dW: Leaves
    H: Leaves | None = None
    A: Array | None = None


def no_increment(like: Shapes, space_time: bool = False, area: bool = False) -> Increment:
    """That of a step of no length."""
    zeros = tuple(None if x is None else jnp.zeros(x.shape, x.dtype) for x in like)
    single = zeros[0]
    no_area = jnp.zeros(2 * (single.size,), single.dtype) if area and single is not None else None
    return Increment(zeros, zeros if space_time else None, no_area)
