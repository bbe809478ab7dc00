"""Euler-Maruyama: y1 = y + f h + g dW. Maruyama, 1955."""

from jaxsde.brownian.increment import Increment
from jaxsde.flat_sde import FlatSDE, add, scale
from jaxsde.methods.method import Method
from jaxsde.types import Args, Leaves, Time


def step(sde: FlatSDE, y: Leaves, t: Time, h: Time, increment: Increment, args: Args) -> Leaves:
    return add(y, scale(h, sde.drift(y, t, args)), sde.noise_term(y, t, args, increment.dW))


EULER_MARUYAMA = Method(
    name="euler_maruyama",
    aliases=("euler",),
    sde_types=("ito",),
    strong_order={"diagonal": 0.5, "additive": 1.0, "scalar": 0.5, "general": 0.5},
    weak_order=1.0,
    evaluations=1,
    nodes=(0.0,),
    step=step,
)
