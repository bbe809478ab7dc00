"""The root of an equation by Newton's method, and its derivative by the implicit function theorem.

The derivative by all of the state is a matrix, found column by column and factorised in each iteration. It ends
with a correction that is no larger than the one before and small enough to be the last: small alone may be a function
that is steep where the guess is. The root is NaN where that does not come. What is differentiated is the equation at
its root, not the iterations.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxsde import loops
from jaxsde.flat_sde import precision
from jaxsde.methods.last_correction import is_last
from jaxsde.types import Leaves

ITERATIONS = 30


def root(residual: Callable[[Leaves], Leaves], guess: Leaves) -> Leaves:
    """The z with residual(z) = 0 to which Newton's method goes from `guess`; NaN where it goes to none.

    **Arguments:**

    - `residual`: gives leaves like those it takes.
    - `guess`: where to begin.
    """
    leaves: tuple[Any, ...] = guess
    dtype = precision(leaves)
    ends = np.cumsum([x.size for x in leaves])[:-1]

    def flat(values: Leaves) -> Any:
        return jnp.concatenate([jnp.asarray(x, dtype).ravel() for x in values])

    def leaves_of(vector: Array) -> Any:
        parts = zip(jnp.split(vector, ends), leaves, strict=True)
        return tuple(jnp.asarray(part, x.dtype).reshape(x.shape) for part, x in parts)

    def equation(vector: Array) -> Any:
        return flat(residual(leaves_of(vector)))

    def solve(equation: Callable[[Array], Array], start: Array) -> Any:
        def correct(state: Any) -> Any:
            z, _, before, number = state
            correction = -_inverse(*jax.linearize(equation, z))
            now = jnp.linalg.norm(correction)
            done = is_last(*map(leaves_of, (correction, z + correction, start))) & (now <= before)
            return z + correction, done, now, number + 1

        def goes_on(state: Any) -> Any:
            _, done, now, number = state
            return ~done & jnp.isfinite(now) & (number < ITERATIONS)

        unknown = jnp.zeros((), bool), jnp.zeros((), dtype), jnp.zeros((), jnp.int32)
        z, done, *_ = loops.while_loop(goes_on, correct, (start, *unknown))
        return jnp.where(done, z, jnp.nan)

    def tangent(linear: Callable[[Array], Array], value: Array) -> Any:
        return _inverse(value, linear)

    return leaves_of(jax.lax.custom_root(equation, flat(leaves), solve, tangent))


def _inverse(value: Array, linear: Callable[[Array], Array]) -> Any:
    """The x with linear(x) = value."""
    units, value = loops.vary_alike((jnp.eye(value.size, dtype=value.dtype), value))
    return jnp.linalg.solve(jax.vmap(linear)(units).T, value)
