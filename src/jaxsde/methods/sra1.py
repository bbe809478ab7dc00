"""SRA1: a stochastic Runge-Kutta method of strong order 1.5 for additive noise. Rößler, 2010, table 6.3.

Its noise is I10 / h = dW / 2 + H, where I10 is the integral of the Brownian motion over the step and H the space-time
area.
"""

from jaxsde.brownian.increment import Increment
from jaxsde.flat_sde import FlatSDE, add, scale
from jaxsde.methods.method import Method
from jaxsde.types import Args, Leaves, Time


def step(sde: FlatSDE, y: Leaves, t: Time, h: Time, increment: Increment, args: Args) -> Leaves:
    assert increment.H is not None
    average = add(scale(0.5, increment.dW), increment.H)
    start = sde.drift(y, t, args)
    early = sde.noise_term(y, t, args, average)
    late = sde.noise_term(y, t + h, args, add(increment.dW, scale(-1, average)))
    middle = add(y, scale(0.75 * h, start), scale(1.5, early))
    end = sde.drift(middle, t + 0.75 * h, args)
    return add(y, scale(h / 3, start), scale(2 * h / 3, end), early, late)


SRA1 = Method(
    name="sra1",
    sde_types=("ito", "stratonovich"),
    strong_order={"additive": 1.5},
    weak_order=2.0,
    evaluations=2,
    nodes=(0.0, 0.75),
    step=step,
    space_time=True,
)
