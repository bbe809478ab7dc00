"""The explicit midpoint rule."""

from jaxsde.brownian.increment import Increment
from jaxsde.flat_sde import FlatSDE, add, scale
from jaxsde.methods.method import Method
from jaxsde.types import Args, Leaves, Time


def step(sde: FlatSDE, y: Leaves, t: Time, h: Time, increment: Increment, args: Args) -> Leaves:
    start = add(scale(h, sde.drift(y, t, args)), sde.noise_term(y, t, args, increment.dW))
    half, middle = add(y, scale(0.5, start)), t + 0.5 * h
    return add(y, scale(h, sde.drift(half, middle, args)), sde.noise_term(half, middle, args, increment.dW))


MIDPOINT = Method(
    name="midpoint",
    sde_types=("stratonovich",),
    strong_order={"diagonal": 1.0, "additive": 1.0, "scalar": 1.0, "commutative": 1.0, "general": 0.5},
    weak_order=1.0,
    evaluations=2,
    nodes=(0.0, 0.5),
    step=step,
    # Where there are no areas.
    aliases=("log_ode",),
)
