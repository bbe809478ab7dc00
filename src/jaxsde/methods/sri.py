"""Stochastic Runge-Kutta methods of strong order 1.5 for Ito's calculus with diagonal or scalar noise, by a tableau.

Rößler, "Runge-Kutta methods for the strong approximation of solutions of stochastic differential equations", 2010.
Beside dW they need the iterated integrals I11 = (dW^2 - h) / 2 and I111 = (dW^3 - 3 h dW) / 6, and that of the Brownian
motion over the step, I10 = h (dW / 2 + H), with the space-time area H. They ask for no derivative of g.

Without I10 and I111 the same stages, with the drift at the start alone, make a method of strong order 1. What the two
differ by is the estimate of the error, as in Rackauckas and Nie, "Adaptive methods for stochastic differential
equations via natural embeddings and rejection sampling with memory", 2017. Its three parts, of the drift, of I10 and of
I111, are added up by their sizes, with integrals of their standard deviation at least: where noise happens to be small
these would be next to nothing, however long the step.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp

from jaxsde.brownian.increment import Increment
from jaxsde.flat_sde import FlatSDE, add, combine, scale, size
from jaxsde.methods.method import Method
from jaxsde.types import Args, Leaves, Time, Weights


class SRITableau(NamedTuple):
    """What a method is made of. Row i of a matrix has the weights of the stages before stage i, none after the last
    that it takes; the stages are those of the drift with `A0` and `A1`, of g with `B0` and `B1`.

    - `A0`, `B0`: of h and I10 / h, in the states at which the drift is asked for.
    - `A1`, `B1`: of h and sqrt(h), in the states at which g is asked for.
    - `alpha`: of h, in the end of the step.
    - `beta1`, `beta2`, `beta3`, `beta4`: of dW, I11 / sqrt(h), I10 / h and I111 / h, in the end of the step.
    """

    A0: tuple[Weights, ...]
    B0: tuple[Weights, ...]
    A1: tuple[Weights, ...]
    B1: tuple[Weights, ...]
    alpha: Weights
    beta1: Weights
    beta2: Weights
    beta3: Weights
    beta4: Weights


def sri(name: str, tableau: SRITableau, aliases: tuple[str, ...] = ()) -> Method:
    """The method of a tableau that fulfils the order conditions, by those names."""
    A0, B0, A1, B1, alpha, *betas = tableau
    # The fractions of a step at which the stages are.
    c0, c1 = ([math.fsum(row) for row in A] for A in (A0, A1))

    def embedded(sde: FlatSDE, y: Leaves, t: Time, h: Time, increment: Increment, args: Args) -> tuple[Leaves, Leaves]:
        assert increment.H is not None
        dW = increment.dW
        # Ito's calculus knows the length of a step alone, the drift its direction too. A step of no length stays.
        length = jnp.where(h == 0, 1, jnp.abs(h))
        root = jnp.where(h == 0, 0, jnp.sqrt(length))
        square = tuple(None if w is None else w * w / jnp.asarray(length, w.dtype) for w in dW)
        I11 = tuple(None if x is None else (x - 1) * jnp.asarray(root / 2, x.dtype) for x in square)
        I10 = add(scale(0.5, dW), increment.H)
        I111 = tuple(None if x is None or w is None else (x - 3) * w / 6 for x, w in zip(square, dW, strict=True))

        f, g = [sde.drift(y, t, args)], [sde.diffusion(y, t, args)]
        for i in range(1, len(B1)):
            if i < len(A0):
                noise = sde.product(combine(B0[i], g), I10)
                f.append(sde.drift(add(y, scale(h, combine(A0[i], f)), noise), t + c0[i] * h, args))
            state = add(y, scale(h, combine(A1[i], f)), scale(root, combine(B1[i], g)))
            g.append(sde.diffusion(state, t + c1[i] * h, args))

        # Weights add up to 1, or to 0 but for the first: so what is constant is exact in spite of rounding.
        of_f = scale(h, combine(alpha[1:], [add(x, scale(-1, f[0])) for x in f[1:]]))
        changes = [add(x, scale(-1, g[0])) for x in g[1:]]
        by_dW, by_I11, by_I10, by_I111 = (combine(beta[1:], changes) for beta in betas)
        first_order = add(y, scale(h, f[0]), sde.product(add(g[0], by_dW), dW), sde.product(by_I11, I11))
        end = add(first_order, of_f, sde.product(by_I10, I10), sde.product(by_I111, I111))
        error = add(
            size(of_f),
            sde.product(size(by_I10), size(I10, at_least=root / 3**0.5)),
            sde.product(size(by_I111), size(I111, at_least=root / 6**0.5)),
        )
        return end, error

    def step(sde: FlatSDE, y: Leaves, t: Time, h: Time, increment: Increment, args: Args) -> Leaves:
        return embedded(sde, y, t, h, increment, args)[0]

    return Method(
        name=name,
        sde_types=("ito",),
        strong_order={"diagonal": 1.5, "scalar": 1.5},
        # g is asked for sqrt(h) B1 g away: where it is not linear, h^2.5 stays in the mean error of a step.
        weak_order=1.5,
        evaluations=len(alpha),
        nodes=tuple(sorted(set(c0))),
        step=step,
        embedded=embedded,
        entrywise=True,
        space_time=True,
        aliases=aliases,
    )
