"""What iterated integrals add to a step, of noise by a matrix with columns g_j: sum_jk (dg_k g_j) I_jk.

The sum over j is one direction for each k, so that it takes a derivative of g for each Brownian motion and no Jacobian.
Of antisymmetric I_jk it is the sum over j < k of the Lie bracket [g_j, g_k] = dg_k g_j - dg_j g_k, times I_jk.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxsde.flat_sde import FlatSDE, derivative
from jaxsde.types import Args, Leaves, Time


def along_columns(
    sde: FlatSDE, g: Any, y: tuple[Array, ...], t: Time, args: Args, integrals: Float[Array, "m m"]
) -> Leaves:
    """That sum; `g` is the diffusion at y and t, and `integrals[j, k]` is I_jk, of m Brownian motions in all."""
    like = sde.noise_like[0]
    assert like is not None

    def column_along(weights: Array, unit: Array) -> Leaves:
        direction = sde.product(g, (weights,))
        return derivative(lambda y: sde.noise_term(y, t, args, (unit,)), y, direction)

    units = jnp.eye(integrals.shape[0], dtype=integrals.dtype)
    each = (x.reshape(-1, *like.shape) for x in (integrals.T, units))
    return jax.tree.map(lambda x: x.sum(0), jax.vmap(column_along)(*each))
