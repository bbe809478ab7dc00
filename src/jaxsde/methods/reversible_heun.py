"""Reversible Heun: an algebraically reversible two-step relative of Heun's method, with one evaluation a step.

Kidger, Foster, Li and Lyons, "Efficient and accurate gradients for neural SDEs", 2021, section 3.1. Beside y it
carries z, at which f and g are evaluated:

    z1 = 2 y0 - z0 + f(z0) h + g(z0) dW
    y1 = y0 + (f(z0) + f(z1)) h / 2 + (g(z0) + g(z1)) dW / 2

Its inverse is the same formula with h and dW negated. It has little stability: of a decaying drift it takes small steps
only.

Proved are strong orders 1/2, and 1 with additive noise, and these are declared. With diagonal and scalar noise order 1
is often measured on equal steps: y - z is of order h^1/2, but alternates in sign from step to step, so that what it
does to y cancels in pairs. On unequal steps it need not.
"""

from typing import Any, NamedTuple

from jaxsde.brownian.increment import Increment
from jaxsde.flat_sde import FlatSDE, add, scale
from jaxsde.methods.method import Method
from jaxsde.types import Args, Leaves, Time


class Carry(NamedTuple):
    """y, z, and f and g at z; a matrix-free g is not an array that can be carried, and is evaluated anew."""

    y: Leaves
    z: Leaves
    f: Leaves
    g: Leaves | None


def init(sde: FlatSDE, y: Leaves, t: Time, args: Args) -> Carry:
    return Carry(y, y, sde.drift(y, t, args), None if sde.matrix_free else sde.diffusion(y, t, args))


def step(sde: FlatSDE, carry: Carry, t: Time, h: Time, increment: Increment, args: Args) -> Carry:
    return _move(sde, carry, t, t + h, h, increment.dW, args)


def inverse(sde: FlatSDE, carry: Carry, t: Time, h: Time, increment: Increment, args: Args) -> Carry:
    return _move(sde, carry, t + h, t, -h, scale(-1, increment.dW), args)


def _move(sde: FlatSDE, carry: Carry, t0: Time, t1: Time, h: Time, dW: Leaves, args: Args) -> Carry:
    y0, z0, f0, g0 = carry
    here = add(scale(h, f0), sde.product(sde.diffusion(z0, t0, args) if g0 is None else g0, dW))
    z1 = add(scale(2, y0), scale(-1, z0), here)
    f1, g1 = sde.drift(z1, t1, args), sde.diffusion(z1, t1, args)
    there = add(scale(h, f1), sde.product(g1, dW))
    return Carry(add(y0, scale(0.5, add(here, there))), z1, f1, None if sde.matrix_free else g1)


def state(carry: Carry) -> Leaves:
    return carry.y


def recovered(carry: Carry) -> Any:
    return carry.y, carry.z


REVERSIBLE_HEUN = Method(
    name="reversible_heun",
    sde_types=("stratonovich",),
    strong_order={"diagonal": 0.5, "additive": 1.0, "scalar": 0.5, "general": 0.5},
    weak_order=1.0,
    evaluations=1,
    nodes=(0.0, 1.0),
    step=step,
    init=init,
    state=state,
    inverse=inverse,
    recovered=recovered,
)
