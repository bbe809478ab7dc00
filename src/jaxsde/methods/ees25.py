"""EES(2,5): a Runge-Kutta method of order 2 whose own step with h and dW negated undoes it to order 5.

Explicit and effectively symmetric: Shmelev, Ebrahimi-Fard, Tapia and Salvi, "Explicit and effectively symmetric
Runge-Kutta methods", 2025. Here it is in two registers, y and the change of y, with the parameter 1/10 of the family.
Of a linear drift -L it takes steps up to h L = 3.09, where midpoint and Heun take 2.

It carries y alone, so it does not have what makes reversible Heun unstable, a second state beside it. The price is that
the step back, B, does not quite undo the step, S: B(S(y)) = y + E(y), where E is of order 6 in f h + g dW. But E can be
computed, and so what B finds can be corrected by it, y <- y - (B(S(y)) - B(y1)): an error e becomes E'(y) e, so that
the first correction leaves an error of order 12. At the usual steps it is the last. Where corrections do not get
smaller, because the step is too long for any of this, the state is NaN and so is the gradient.
"""

from typing import Any

import jax.numpy as jnp

from jaxsde import loops
from jaxsde.brownian.increment import Increment
from jaxsde.flat_sde import FlatSDE, add, scale
from jaxsde.methods.last_correction import is_last
from jaxsde.methods.method import Method
from jaxsde.types import Args, Leaves, Time
from jaxsde.undifferentiated import forward_only

A, B, C = (0.0, -7 / 15, -35 / 32), (1 / 3, 15 / 16, 2 / 5), (0.0, 1 / 3, 5 / 6)
CORRECTIONS = 10
NO_SECOND_GRADIENT = (
    "A gradient of a gradient: adjoint='reversible' undoes steps of 'ees25' in a loop that has no gradient. Pass "
    "adjoint='backprop' or 'checkpoint', or take forward mode over the gradient, as jax.hessian does."
)


def step(sde: FlatSDE, y: Leaves, t: Time, h: Time, increment: Increment, args: Args) -> Leaves:
    change: Leaves = (None,) * len(y)
    for a, b, c in zip(A, B, C, strict=True):
        at = t + c * h
        here = add(scale(h, sde.drift(y, at, args)), sde.noise_term(y, at, args, increment.dW))
        change = add(scale(a, change), here)
        y = add(y, scale(b, change))
    return y


def inverse(sde: FlatSDE, y: Leaves, t: Time, h: Time, increment: Increment, args: Args) -> Leaves:
    negated = Increment(scale(-1, increment.dW))

    def back(y: Leaves) -> Leaves:
        return step(sde, y, t + h, -h, negated, args)

    first = back(y)

    def correct(state: Any) -> Any:
        found, _, number = state
        correction = add(first, scale(-1, back(step(sde, found, t, h, increment, args))))
        return add(found, correction), is_last(correction, found, y), number + 1

    unknown = jnp.zeros((), bool), jnp.zeros((), jnp.int32)
    found, done, _ = loops.while_loop(lambda s: ~s[1] & (s[2] < CORRECTIONS), correct, (first, *unknown))
    return forward_only(tuple(jnp.where(done, x, jnp.nan) for x in found), NO_SECOND_GRADIENT)


EES25 = Method(
    name="ees25",
    sde_types=("stratonovich",),
    strong_order={"diagonal": 1.0, "additive": 1.0, "scalar": 1.0, "commutative": 1.0, "general": 0.5},
    weak_order=1.0,
    evaluations=3,
    nodes=C,
    step=step,
    inverse=inverse,
)
