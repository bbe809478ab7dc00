"""SRIW1: a stochastic Runge-Kutta method of strong order 1.5 for Ito's calculus, with diagonal or scalar noise.

Rößler, "Runge-Kutta methods for the strong approximation of solutions of stochastic differential equations", 2010.
Beside dW it needs the iterated integrals I11 = (dW^2 - h) / 2 and I111 = (dW^3 - 3 h dW) / 6, and that of the Brownian
motion over the step, I10 = h (dW / 2 + H), with the space-time area H. It asks for no derivative of g.

Without I10 and I111 the same stages, with the drift at the start alone, make a method of strong order 1. What the two
differ by is the estimate of the error, as in Rackauckas and Nie, "Adaptive methods for stochastic differential
equations via natural embeddings and rejection sampling with memory", 2017. Its three parts, of the drift, of I10 and of
I111, are added up by their sizes, with integrals of their standard deviation at least: where noise happens to be small
these would be next to nothing, however long the step.
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
    dW = increment.dW
    # Ito's calculus knows the length of a step alone, the drift its direction too. A step of no length goes nowhere.
    length = jnp.where(h == 0, 1, jnp.abs(h))
    root = jnp.where(h == 0, 0, jnp.sqrt(length))
    square = tuple(None if w is None else w * w / jnp.asarray(length, w.dtype) for w in dW)
    I11 = tuple(None if x is None else (x - 1) * jnp.asarray(root / 2, x.dtype) for x in square)
    I10 = add(scale(0.5, dW), increment.H)
    I111 = tuple(None if x is None or w is None else (x - 3) * w / 6 for x, w in zip(square, dW, strict=True))

    f1, g1 = sde.drift(y, t, args), sde.diffusion(y, t, args)
    f2 = sde.drift(add(y, scale(0.75 * h, f1), scale(1.5, sde.product(g1, I10))), t + 0.75 * h, args)
    early, late = add(y, scale(0.25 * h, f1)), add(y, scale(h, f1))
    g2 = sde.diffusion(add(early, scale(0.5 * root, g1)), t + 0.25 * h, args)
    g3 = sde.diffusion(add(late, scale(-root, g1)), t + h, args)
    shift = add(scale(-5, g1), scale(3, g2), scale(0.5, g3))
    g4 = sde.diffusion(add(early, scale(root, shift)), t + 0.25 * h, args)

    first_order = add(
        y,
        scale(h, f1),
        sde.product(add(scale(-1, g1), scale(4 / 3, g2), scale(2 / 3, g3)), dW),
        sde.product(add(scale(-1, g1), scale(4 / 3, g2), scale(-1 / 3, g3)), I11),
    )
    of_f = scale(2 * h / 3, add(f2, scale(-1, f1)))
    by_I10 = add(scale(2, g1), scale(-4 / 3, g2), scale(-2 / 3, g3))
    by_I111 = add(scale(-2, g1), scale(5 / 3, g2), scale(-2 / 3, g3), g4)
    end = add(first_order, of_f, sde.product(by_I10, I10), sde.product(by_I111, I111))
    error = add(
        size(of_f),
        sde.product(size(by_I10), size(I10, at_least=root / 3**0.5)),
        sde.product(size(by_I111), size(I111, at_least=root / 6**0.5)),
    )
    return end, error


SRIW1 = Method(
    name="sriw1",
    sde_types=("ito",),
    strong_order={"diagonal": 1.5, "scalar": 1.5},
    weak_order=2.0,
    evaluations=2,
    nodes=(0.0, 0.75),
    step=step,
    embedded=embedded,
    entrywise=True,
    space_time=True,
)
