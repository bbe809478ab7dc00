"""The state of a Langevin equation as the splitting methods see it: positions, and after them momenta."""

import jax.numpy as jnp

from jaxsde.flat_sde import FlatSDE
from jaxsde.types import Args, Leaves, Time


def split(leaves: Leaves) -> tuple[Leaves, Leaves]:
    """Positions and momenta of a state, or of what is like one."""
    half = len(leaves) // 2
    return leaves[:half], leaves[half:]


def force(sde: FlatSDE, q: Leaves, t: Time, args: Args) -> Leaves:
    """The drift of a momentum that is zero."""
    nothing = tuple(None if x is None else jnp.zeros_like(x) for x in q)
    return split(sde.drift((*q, *nothing), t, args))[1]


def damping(sde: FlatSDE, h: Time, args: Args) -> Time:
    """Friction times h, never zero, so that what is divided by it has its limit in a step of no length."""
    assert sde.damping is not None
    x = sde.damping(h, args)
    return jnp.where(x == 0, jnp.finfo(x.dtype).tiny ** 0.5, x)
