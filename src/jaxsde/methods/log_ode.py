"""The log-ODE method: over a step, the solution of an ODE that has the log-signature of the path; strong order 1.

    dz/du = f h + sum_j g_j dW_j + sum_{j < k} [g_j, g_k] A_jk,   u from 0 to 1

with the Levy areas A and the Lie brackets [g_j, g_k] = dg_k g_j - dg_j g_k. Castell and Gaines, "The ordinary
differential equation approach to asymptotically efficient schemes for solution of stochastic differential equations",
1996. Here the ODE is solved by one step of the midpoint rule, which has all terms of order 1; what it lacks of order
3/2 has mean 0, given the past, but for terms of order 2.
"""

from typing import Any

from jaxsde.brownian.increment import Increment
from jaxsde.flat_sde import FlatSDE, add, scale
from jaxsde.methods.columns import along_columns
from jaxsde.methods.method import Method
from jaxsde.types import Args, Leaves, Time


def step(sde: FlatSDE, y: Leaves, t: Time, h: Time, increment: Increment, args: Args) -> Leaves:
    def moved(y: Leaves, t: Time, g: Any) -> Leaves:
        return add(scale(h, sde.drift(y, t, args)), sde.product(g, increment.dW))

    half: Any = add(y, scale(0.5, moved(y, t, sde.diffusion(y, t, args))))
    middle = t + 0.5 * h
    g = sde.diffusion(half, middle, args)
    end = add(y, moved(half, middle, g))
    return end if increment.A is None else add(end, along_columns(sde, g, half, middle, args, increment.A))


LOG_ODE = Method(
    name="log_ode",
    sde_types=("stratonovich",),
    strong_order={"general": 1.0},
    weak_order=1.0,
    evaluations=2,
    nodes=(0.0, 0.5),
    step=step,
    area=True,
)
