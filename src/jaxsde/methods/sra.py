"""Stochastic Runge-Kutta methods of strong order 1.5 for additive noise, by a tableau.

Rößler, "Runge-Kutta methods for the strong approximation of solutions of stochastic differential equations", 2010.
Their noise is dW and I10 / h = dW / 2 + H, where I10 is the integral of the Brownian motion over the step and H the
space-time area. With f and g at the start alone it is the method of Euler and Maruyama, of strong order 1: what the two
differ by is, the sizes of its parts in f and in g added up, the estimate of the error, as in Rackauckas and Nie, 2017.
The part in g is as large as its standard deviation at least: where noise happens to be small it would be too, however
long the step.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxsde.brownian.increment import Increment
from jaxsde.flat_sde import FlatSDE, add, combine, scale, size
from jaxsde.methods.method import Method
from jaxsde.types import Args, Leaves, Time, Weights


class SRATableau(NamedTuple):
    """What a method is made of. Row i of a matrix has the weights of the stages before stage i, none after the last
    that it takes: of the drift with `A0`, of g, which are known beforehand, with `B0`.

    - `A0`, `B0`: of h and I10 / h, in the states at which the drift is asked for.
    - `c1`: the fractions of a step at which g is asked for, of which the first is 0.
    - `alpha`: of h, in the end of the step.
    - `beta1`, `beta2`: of dW and I10 / h, in the end of the step.
    """

    A0: tuple[Weights, ...]
    B0: tuple[Weights, ...]
    c1: Weights
    alpha: Weights
    beta1: Weights
    beta2: Weights


def sra(name: str, tableau: SRATableau, aliases: tuple[str, ...] = ()) -> Method:
    """The method of a tableau that fulfils the order conditions, by those names."""
    A0, B0, c1, alpha, beta1, beta2 = tableau
    # The fractions of a step at which the drift is asked for.
    c0 = [math.fsum(row) for row in A0]

    def embedded(sde: FlatSDE, y: Leaves, t: Time, h: Time, increment: Increment, args: Args) -> tuple[Leaves, Leaves]:
        assert increment.H is not None
        average = add(scale(0.5, increment.dW), increment.H)
        f, g = [sde.drift(y, t, args)], [sde.diffusion(y, t + c * h, args) for c in c1]
        for i in range(1, len(A0)):
            state = add(y, scale(h, combine(A0[i], f)), sde.product(combine(B0[i], g), average))
            f.append(sde.drift(state, t + c0[i] * h, args))

        # Weights add up to 1, those of beta2 to 0: so what is constant is exact in spite of rounding.
        of_f = scale(h, combine(alpha[1:], [add(x, scale(-1, f[0])) for x in f[1:]]))
        changes = [add(x, scale(-1, g[0])) for x in g[1:]]
        by_dW, by_average = (combine(beta[1:], changes) for beta in (beta1, beta2))
        of_g = add(sde.product(by_dW, increment.dW), sde.product(by_average, average))
        end = add(y, scale(h, f[0]), sde.product(g[0], increment.dW), of_f, of_g)
        spread = scale(jnp.sqrt(jnp.abs(h)), _deviation(by_dW, by_average, sde.by_columns))
        return end, add(size(of_f), _larger(size(of_g), spread))

    def step(sde: FlatSDE, y: Leaves, t: Time, h: Time, increment: Increment, args: Args) -> Leaves:
        return embedded(sde, y, t, h, increment, args)[0]

    return Method(
        name=name,
        sde_types=("ito", "stratonovich"),
        strong_order={"additive": 1.5},
        weak_order=2.0,
        evaluations=len(alpha),
        nodes=tuple(sorted(set(c0))),
        step=step,
        embedded=embedded,
        space_time=True,
        aliases=aliases,
    )


def _deviation(by_dW: Leaves, by_average: Leaves, by_columns: bool) -> Leaves:
    """That of what multiplies dW and the average, over a step of length 1: these have covariances 1, 1/2 and 1/3. Of
    several Brownian motions the variances add up.
    """

    def of(w: jax.Array, a: jax.Array) -> jax.Array:
        # A root has no derivative at 0; grids are not differentiated.
        variance = jnp.abs(w + a / 2) ** 2 + jnp.abs(a) ** 2 / 12
        return jax.lax.stop_gradient(jnp.sqrt(variance.sum(-1) if by_columns else variance))

    return tuple(None if w is None or a is None else of(w, a) for w, a in zip(by_dW, by_average, strict=True))


def _larger(one: Leaves, other: Leaves) -> Leaves:
    return tuple(None if x is None or y is None else jnp.maximum(x, y) for x, y in zip(one, other, strict=True))
