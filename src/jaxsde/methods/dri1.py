"""DRI1: a stochastic Runge-Kutta method of weak order 2 for Ito's calculus, without derivatives of f and g.

Debrabant and Rößler, "Families of efficient second order Runge-Kutta methods for the weak approximation of Itô
stochastic differential equations", 2009: it has order 3 where there is no noise, and small error constants where there
is. With the columns b_k of g, one for each Brownian motion, differences of each between two states, to either side by
its own column times sqrt(h), stand in for its derivatives along itself. With diagonal and scalar noise these are the
same two states for all Brownian motions, so that a step evaluates g three times.

With noise by columns two more states for each, to either side by the others times I_kl / sqrt(h), stand in for the
derivatives along these. I_kl = (dW_k dW_l + V_kl) / 2 is in place of the integral of W_l over dW_k, where V_kl = -V_lk
is independent of dW with mean 0 and variance h^2, and uncorrelated with those of other pairs: moments are all that a
weak order asks for. V_kl = 12 H_k H_l for k < l, of the space-time areas H, has these moments. A step evaluates g at
4 m + 1 states then, for m Brownian motions. Where columns commute all V_kl cancel, and single paths have order 1.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxsde.brownian.increment import Increment
from jaxsde.flat_sde import BY_COLUMNS, FlatSDE, add, combine, scale
from jaxsde.methods.method import Method
from jaxsde.types import Args, Leaves, Time, Weights

# Of h and of g dW at the start, in the second state and in the third at which the drift is asked for.
A0: tuple[Weights, ...] = ((1 / 2,), (-1.0, 2.0))
B0: Weights = ((6 - 6**0.5) / 10, (3 + 2 * 6**0.5) / 5)
# Of h, in the end of the step.
ALPHA: Weights = (1 / 6, 2 / 3, 1 / 6)
# States to either side by the own column: the fraction of a step at which they are, and how far of sqrt(h) away.
A1, B1 = 342 / 491, 3 * (38 / 491) ** 0.5
# By the others: how far away, and the share in these columns of their mean at the states before.
B2, SHARE = 4 * (221 / 4955) ** 0.5, 491 / 1026


def step(sde: FlatSDE, y: Leaves, t: Time, h: Time, increment: Increment, args: Args) -> Leaves:
    # Ito's calculus knows the length of a step alone, the drift its direction too. A step of no length stays.
    length = jnp.where(h == 0, 1, jnp.abs(h))
    root = jnp.where(h == 0, 0, jnp.sqrt(length))
    dW = increment.dW
    square = tuple(
        None if w is None else (w * w / jnp.asarray(jnp.sqrt(length), w.dtype) - jnp.asarray(root, w.dtype)) / 2
        for w in dW
    )

    f, g = [sde.drift(y, t, args)], sde.diffusion(y, t, args)
    noise = sde.product(g, dW)
    for weights, of_noise in zip(A0, B0, strict=True):
        state = add(y, scale(h, combine(weights, f)), scale(of_noise, noise))
        f.append(sde.drift(state, t + sum(weights) * h, args))
    # Weights add up to 1: so what is constant is exact in spite of rounding.
    of_f = scale(h, combine(ALPHA[1:], [add(x, scale(-1, f[0])) for x in f[1:]]))
    euler = add(y, scale(h, f[0]), noise, of_f)

    middle, at = add(y, scale(A1 * h, f[0])), t + A1 * h
    if sde.noise not in BY_COLUMNS or sde.g is None:
        move = scale(B1 * root, g)
        forth, back = (sde.diffusion(add(middle, side), at, args) for side in (move, scale(-1, move)))
        slope, bend = _differences(g, forth, back)
        return add(
            euler, sde.product(scale(1 / (2 * B1**2), bend), dW), sde.product(scale(1 / (2 * B1), slope), square)
        )

    (w,), (i,) = dW, square
    assert w is not None
    assert i is not None
    assert increment.H is not None
    H = increment.H[0]
    assert H is not None
    units = jnp.eye(w.size, dtype=w.dtype).reshape(w.size, *w.shape)
    w, i, H = w.ravel(), i.ravel(), H.ravel()

    def to_either_side(y: Leaves, moves: Leaves, t: Time) -> tuple[Leaves, Leaves]:
        """Each column at the states that its move, of `moves` (m, ...), leads to forth and back."""

        def column(sign: Array, move: Leaves, unit: Array) -> Leaves:
            return sde.noise_term(add(y, scale(sign, move)), t, args, (unit,))

        # One program for all: compiling is what costs.
        both = jax.vmap(jax.vmap(column, (None, 0, 0)), (0, None, None))(jnp.asarray([1.0, -1.0]), moves, units)
        forth, back = (tuple(None if x is None else x[side] for x in both) for side in (0, 1))
        return forth, back

    columns = jax.vmap(lambda unit: sde.product(g, (unit,)))(units)
    slope, bend = _differences(columns, *to_either_side(middle, scale(B1 * root, columns), at))
    own = add(_sum(w / (2 * B1**2), bend), _sum(i / (2 * B1), slope))

    areas = jnp.outer(H, H)
    integrals = (jnp.outer(w, w) + 12 * (jnp.triu(areas) - jnp.tril(areas))) / 2 * (1 - jnp.eye(w.size, dtype=w.dtype))
    others = add(columns, scale(SHARE, bend))
    moves = _sum(B2 * integrals / jnp.asarray(jnp.sqrt(length), w.dtype), others)
    slope, bend = _differences(columns, *to_either_side(y, moves, t))
    roots = jnp.full_like(w, root / (2 * B2))
    return add(euler, own, _sum(w / (2 * B2**2), bend), _sum(roots, slope))


def _differences(start: Leaves, forth: Leaves, back: Leaves) -> tuple[Leaves, Leaves]:
    """The first, and half of the second."""
    return add(forth, scale(-1, back)), add(scale(0.5, add(forth, back)), scale(-1, start))


def _sum(weights: Float[Array, "... m"], columns: Leaves) -> Leaves:
    """Of all columns, along their first axis, by their weights."""
    return tuple(None if x is None else jnp.tensordot(jnp.asarray(weights, x.dtype), x, 1) for x in columns)


DRI1 = Method(
    name="dri1",
    sde_types=("ito",),
    strong_order={"diagonal": 1.0, "scalar": 1.0, "commutative": 1.0, "general": 0.5},
    weak_order=2.0,
    evaluations=3,
    nodes=(0.0, 0.5, 1.0),
    step=step,
    entrywise=True,
    space_time=True,
    areas_by_columns=True,
)
