"""Split-step backward Euler: z = y + f(z) h, then y1 = z + g(z) dW. Higham, Mao and Stuart, Strong convergence of
Euler-type methods for nonlinear stochastic differential equations, 2002.

The drift is taken at the end of a step, where time is concerned; the noise at its start, as Ito's calculus has it.
"""

import dataclasses

from jaxsde.brownian.increment import Increment
from jaxsde.flat_sde import FlatSDE, add
from jaxsde.methods.theta import IMPLICIT_EULER
from jaxsde.types import Args, Leaves, Time


def step(sde: FlatSDE, y: Leaves, t: Time, h: Time, increment: Increment, args: Args) -> Leaves:
    moved = IMPLICIT_EULER.step(dataclasses.replace(sde, g=None), y, t, h, increment, args)
    return add(moved, sde.noise_term(moved, t, args, increment.dW))


SPLIT_STEP = dataclasses.replace(IMPLICIT_EULER, name="split_step", step=step)
