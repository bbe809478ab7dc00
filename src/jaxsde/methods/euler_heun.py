"""Euler-Heun: Euler for the drift, the trapezoidal rule for the noise. Kloeden and Platen, 1992."""

from jaxsde.brownian.increment import Increment
from jaxsde.flat_sde import FlatSDE, add, scale
from jaxsde.methods.method import Method
from jaxsde.types import Args, Leaves, Time


def step(sde: FlatSDE, y: Leaves, t: Time, h: Time, increment: Increment, args: Args) -> Leaves:
    start = sde.noise_term(y, t, args, increment.dW)
    end = sde.noise_term(add(y, start), t + h, args, increment.dW)
    return add(y, scale(h, sde.drift(y, t, args)), scale(0.5, add(start, end)))


EULER_HEUN = Method(
    name="euler_heun",
    sde_types=("stratonovich",),
    strong_order={"diagonal": 1.0, "additive": 1.0, "scalar": 1.0, "commutative": 1.0, "general": 0.5},
    weak_order=1.0,
    evaluations=1,
    nodes=(0.0,),
    step=step,
)
