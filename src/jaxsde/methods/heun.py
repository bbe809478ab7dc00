"""Heun: the trapezoidal rule with an Euler predictor. Rümelin, 1982."""

from jaxsde.brownian.increment import Increment
from jaxsde.flat_sde import FlatSDE, add, scale
from jaxsde.methods.method import Method
from jaxsde.types import Args, Leaves, Time


def step(sde: FlatSDE, y: Leaves, t: Time, h: Time, increment: Increment, args: Args) -> Leaves:
    start = add(scale(h, sde.drift(y, t, args)), sde.noise_term(y, t, args, increment.dW))
    predicted = add(y, start)
    end = add(scale(h, sde.drift(predicted, t + h, args)), sde.noise_term(predicted, t + h, args, increment.dW))
    return add(y, scale(0.5, add(start, end)))


HEUN = Method(
    name="heun",
    sde_types=("stratonovich",),
    strong_order={"diagonal": 1.0, "additive": 1.0, "scalar": 1.0, "commutative": 1.0, "general": 0.5},
    weak_order=1.0,
    evaluations=2,
    nodes=(0.0, 1.0),
    step=step,
)
