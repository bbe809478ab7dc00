"""BAOAB: the Langevin equation split into kick (B), drift (A) and friction with noise (O), each solved exactly.

Leimkuhler and Matthews, "Rational construction of stochastic numerical methods for molecular sampling", 2013. In the
order of its name: half a kick by the force, half a drift of the position, the whole of friction and noise, and the
other halves. On a harmonic potential positions have the right law for every step that is stable; in general the
error of the law is of order 2.

The last kick has the force of the next step's first, so that a step evaluates it once. Each part can be undone.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxsde.brownian.increment import Increment
from jaxsde.flat_sde import FlatSDE, add, scale
from jaxsde.methods.method import Method
from jaxsde.methods.position_momentum import damping, force, split
from jaxsde.types import Args, Leaves, Time


class Carry(NamedTuple):
    """The state, and the force there."""

    y: Leaves
    force: Leaves


def init(sde: FlatSDE, y: Leaves, t: Time, args: Args) -> Carry:
    return Carry(y, force(sde, split(y)[0], t, args))


def step(sde: FlatSDE, carry: Carry, t: Time, h: Time, increment: Increment, args: Args) -> Carry:
    q, p = split(carry.y)
    decay, noise = _friction(sde, carry.y, t, h, increment, args)
    p = add(p, scale(h / 2, carry.force))
    q = add(q, scale(h / 2, p))
    p = add(scale(decay, p), noise)
    q = add(q, scale(h / 2, p))
    end = force(sde, q, t + h, args)
    return Carry((*q, *add(p, scale(h / 2, end))), end)


def inverse(sde: FlatSDE, carry: Carry, t: Time, h: Time, increment: Increment, args: Args) -> Carry:
    q, p = split(carry.y)
    decay, noise = _friction(sde, carry.y, t, h, increment, args)
    p = add(p, scale(-h / 2, carry.force))
    q = add(q, scale(-h / 2, p))
    p = scale(1 / decay, add(p, scale(-1, noise)))
    q = add(q, scale(-h / 2, p))
    start = force(sde, q, t, args)
    return Carry((*q, *add(p, scale(-h / 2, start))), start)


def _friction(sde: FlatSDE, y: Leaves, t: Time, h: Time, increment: Increment, args: Args) -> tuple[Time, Leaves]:
    """The factor of momentum over a step, and the noise, whose variance is that of the exact solution."""
    x = damping(sde, h, args)
    size = jnp.sqrt(-jnp.expm1(-2 * x) / (2 * x))
    return jnp.exp(-x), scale(size, split(sde.noise_term(y, t, args, increment.dW))[1])


def state(carry: Carry) -> Leaves:
    return carry.y


def recovered(carry: Carry) -> Any:
    return carry.y


BAOAB = Method(
    name="baoab",
    sde_types=("ito",),
    strong_order={"additive": 1.0},
    weak_order=2.0,
    evaluations=1,
    nodes=(0.0, 1.0),
    step=step,
    init=init,
    state=state,
    inverse=inverse,
    recovered=recovered,
    langevin=True,
)
