"""SRA1: a stochastic Runge-Kutta method of strong order 1.5 for additive noise. Rößler, 2010, table 6.3.

Its noise is I10 / h = dW / 2 + H, where I10 is the integral of the Brownian motion over the step and H the space-time
area. With f and g at the start alone it is the method of Euler and Maruyama, of strong order 1: what the two differ by
is, the sizes of its parts in f and in g added up, the estimate of the error, as in Rackauckas and Nie, 2017. The noise
in it is of its standard deviation at least: where it happens to be small the part in g would be, however long the step.
"""

import jax.numpy as jnp

from jaxsde.brownian.increment import Increment
from jaxsde.flat_sde import FlatSDE, add, scale, size
from jaxsde.methods.method import Method
from jaxsde.types import Args, Leaves, Time


def step(sde: FlatSDE, y: Leaves, t: Time, h: Time, increment: Increment, args: Args) -> Leaves:
    return embedded(sde, y, t, h, increment, args)[0]


def embedded(sde: FlatSDE, y: Leaves, t: Time, h: Time, increment: Increment, args: Args) -> tuple[Leaves, Leaves]:
    assert increment.H is not None
    average = add(scale(0.5, increment.dW), increment.H)
    rest = add(increment.dW, scale(-1, average))
    start, g = sde.drift(y, t, args), sde.diffusion(y, t, args)
    early = sde.product(g, average)
    g_end = sde.diffusion(y, t + h, args)
    late = sde.product(g_end, rest)
    middle = add(y, scale(0.75 * h, start), scale(1.5, early))
    end = sde.drift(middle, t + 0.75 * h, args)
    of_f = size(scale(2 * h / 3, add(end, scale(-1, start))))
    of_g = sde.product(size(add(g_end, scale(-1, g))), size(rest, at_least=jnp.sqrt(jnp.abs(h) / 3)))
    return add(y, scale(h / 3, start), scale(2 * h / 3, end), early, late), add(of_f, of_g)


SRA1 = Method(
    name="sra1",
    sde_types=("ito", "stratonovich"),
    strong_order={"additive": 1.5},
    weak_order=2.0,
    evaluations=2,
    nodes=(0.0, 0.75),
    step=step,
    embedded=embedded,
    space_time=True,
)
