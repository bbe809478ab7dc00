"""When an iteration of quadratic convergence has arrived."""

from typing import Any

import jax.numpy as jnp

from jaxsde.types import Leaves


def is_last(correction: Leaves, found: Leaves, other: Leaves) -> Any:
    """Whether a correction is so small that what it leaves, which is of its square, is rounding.

    Entries are held against their own size, in what was found or in the `other` state, and the average one: an entry
    near zero need not be exact by itself.
    """

    def small(correction: Any, found: Any, other: Any) -> Any:
        size = jnp.maximum(jnp.abs(found), jnp.abs(other))
        return jnp.all(jnp.abs(correction) <= float(jnp.finfo(size.dtype).eps) ** 0.5 * (size + jnp.mean(size)))

    return jnp.stack(list(map(small, correction, found, other))).all()
