"""The drift-implicit theta methods: z = y + (1 - theta) f(y) h + theta f(z) h + g(y) dW. Kloeden and Platen, 1992.

With theta = 1 implicit Euler, with theta = 1/2 the trapezoidal rule, which others call Crank and Nicolson's. Noise is
taken at the start of a step, as Ito's calculus has it.
"""

from jaxsde.brownian.increment import Increment
from jaxsde.flat_sde import FlatSDE, add, scale
from jaxsde.methods.method import Method, Step
from jaxsde.methods.newton import root
from jaxsde.types import Args, Leaves, Time


def _step(theta: float) -> Step:
    def step(sde: FlatSDE, y: Leaves, t: Time, h: Time, increment: Increment, args: Args) -> Leaves:
        end = t + h
        moved = add(y, sde.noise_term(y, t, args, increment.dW))
        known = moved if theta == 1 else add(moved, scale((1 - theta) * h, sde.drift(y, t, args)))

        def residual(z: Leaves) -> Leaves:
            return add(z, scale(-1, known), scale(-theta * h, sde.drift(z, end, args)))

        return root(residual, moved)

    return step


IMPLICIT_EULER = Method(
    name="implicit_euler",
    sde_types=("ito",),
    strong_order={"diagonal": 0.5, "additive": 1.0, "scalar": 0.5, "general": 0.5},
    weak_order=1.0,
    evaluations=1,
    nodes=(1.0,),
    step=_step(1.0),
    implicit=True,
)

TRAPEZOIDAL = Method(
    name="trapezoidal",
    aliases=("crank_nicolson",),
    sde_types=("ito",),
    strong_order={"diagonal": 0.5, "additive": 1.0, "scalar": 0.5, "general": 0.5},
    weak_order=1.0,
    evaluations=2,
    nodes=(0.0, 1.0),
    step=_step(0.5),
    implicit=True,
)
