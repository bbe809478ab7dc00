"""Platen's explicit scheme of weak order 2 for general noise. Kloeden and Platen, 1992, section 15.1.

With the columns b_j of g, the supporting values R = y + f h ± b_r sqrt(h) and U = y ± b_r sqrt(h) of each Brownian
motion r stand in for derivatives of g along its columns. Where r and j differ the iterated integral I_rj is replaced by
(dW_r dW_j + V_rj) / 2, where V_rj = -V_jr is independent of dW with mean 0 and variance h^2, and uncorrelated with
those of other pairs: moments are all that a weak order asks for. V_rj = 12 H_r H_j for r < j, of the space-time areas
H, has these moments. A step evaluates g at 4 m + 1 states for m Brownian motions, all columns at once.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxsde.brownian.increment import Increment
from jaxsde.flat_sde import FlatSDE, add, scale
from jaxsde.methods.method import Method
from jaxsde.types import Args, Leaves, Time


def step(sde: FlatSDE, y: Leaves, t: Time, h: Time, increment: Increment, args: Args) -> Leaves:
    if sde.g is None:
        f = sde.drift(y, t, args)
        return add(y, scale(h / 2, add(f, sde.drift(add(y, scale(h, f)), t + h, args))))
    assert increment.H is not None
    (dW,), (H,) = increment.dW, increment.H
    assert dW is not None
    assert H is not None
    m = dW.size
    length = jnp.asarray(jnp.where(h == 0, 1, jnp.abs(h)), dW.dtype)
    root = jnp.where(h == 0, 0, jnp.sqrt(length))
    square = dW * dW / jnp.sqrt(length) - root

    f, g = sde.drift(y, t, args), sde.diffusion(y, t, args)
    noise, moved = sde.product(g, (dW,)), add(y, scale(h, f))

    def of_motion(unit: Float[Array, "..."], number: Array) -> Leaves:
        """What the supporting values of one Brownian motion add to the step."""
        column = scale(root, sde.product(g, (unit,)))
        back = scale(-1, column)
        own = unit * dW
        others = dW - own
        after = jnp.sign(jnp.arange(m) - number).astype(dW.dtype).reshape(dW.shape)
        integrals = (others * own.sum() + 12 * after * H * (unit * H).sum()) / jnp.sqrt(length)
        states = add(moved, column), add(moved, back), add(y, column), add(y, back)
        vectors = own + unit * square, own - unit * square, others + integrals, others - integrals
        supports = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
        # One program for all four: compiling is what costs.
        values = jax.vmap(lambda y, t, v: sde.noise_term(y, t, args, (v,)))(
            supports, jnp.stack([t + h, t + h, t, t]), jnp.stack(vectors)
        )
        return add(_sum(values), sde.product(g, (2 * own - 2 * others,)))

    units = jnp.eye(m, dtype=dW.dtype).reshape(m, *dW.shape)
    each = jax.vmap(of_motion)(units, jnp.arange(m))
    end = sde.drift(add(moved, noise), t + h, args)
    return add(y, scale(h / 2, add(f, end)), scale(0.25, _sum(each)))


def first_round(sde: FlatSDE, y: Leaves, t: Time, h: Time, increment: Increment, args: Args) -> Leaves:
    """Milstein's step with the areas of the method, I_rj less h / 2 where r = j, and differences of columns in place of
    their derivatives: g at m + 1 states. It is the step up to terms of order 3/2.
    """
    moved = add(y, scale(h, sde.drift(y, t, args)))
    if sde.g is None:
        return moved
    assert increment.H is not None
    (dW,), (H,) = increment.dW, increment.H
    assert dW is not None
    assert H is not None
    g, w = sde.diffusion(y, t, args), dW.ravel()
    units, areas = jnp.eye(w.size, dtype=w.dtype), 12 * jnp.outer(H, H)
    length = jnp.asarray(jnp.abs(h), w.dtype)
    integrals = (jnp.outer(w, w) + jnp.triu(areas) - jnp.tril(areas) - length * units) / 2

    def along(weights: Float[Array, "..."], unit: Float[Array, "..."]) -> Leaves:
        return sde.noise_term(add(y, sde.product(g, (weights,))), t, args, (unit,))

    each = jax.vmap(along)(*(x.reshape(-1, *dW.shape) for x in (integrals.T, units)))
    # Of all differences the columns at y, at once.
    return add(moved, sde.product(g, (dW - 1,)), _sum(each))


def _sum(leaves: Leaves) -> Leaves:
    """Over the first axis."""
    return tuple(None if x is None else x.sum(0) for x in leaves)


PLATEN_WEAK2 = Method(
    name="platen_weak2",
    sde_types=("ito",),
    strong_order={"general": 0.5},
    weak_order=2.0,
    evaluations=2,
    nodes=(0.0, 1.0),
    step=step,
    first_round=first_round,
    space_time=True,
)
