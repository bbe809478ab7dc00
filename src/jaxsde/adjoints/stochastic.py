"""The stochastic adjoint: the gradient from an SDE solved backwards over the same Brownian path, in constant memory.

The continuous adjoint of Li, Wong, Chen and Duvenaud, "Scalable gradients for stochastic differential equations",
2020, is an SDE for the state and its cotangent, run from the end to the start. Written in Ito's calculus it has
correction terms with second derivatives of g, which is why others offer it for Stratonovich SDEs alone, or pay for
them. Here it is discretised by the scheme itself. Take y1 = S(y0), one step of the scheme over its increment. The
discrete adjoint is a0 = S'(y0)^T a1: Ito schemes have their Ito adjoint, corrections included, since S' is the
derivative of the very map that moved the state. What is left is y0, and that is the solution of y1 = S(y0).

S(y) = y + D(y), where D is of the order of sqrt(h) and so is its derivative. Hence y <- y1 - D(y) contracts: it starts
at y1 with an error of order h^1/2 and gains half an order each time; after i iterations a step's error is of
order h^((i + 1) / 2). With additive noise D' is of order h, and each iteration gains a whole order. The errors of the
steps add up over 1 / h of them, and reach the gradient through S' only. Three iterations, two with additive noise,
leave order 1 in the gradient, and in practice far less than a per cent at 64 steps. Should a step be so long that D
does not contract (h times the Lipschitz constant of f above one), the recovered states are wrong: take smaller steps or
another adjoint.

Where every state is kept anyway (the fixed grid without `save`) there is nothing to recover and the gradient is exact.
"""

from typing import Any

import jax

from jaxsde.adjoints.backward_walk import walk_back
from jaxsde.engine import Interval, Scheme

ITERATIONS = 3
ITERATIONS_ADDITIVE = 2


def stochastic(scheme: Scheme, carry: Any, args: Any, path: Any, xs: Interval) -> Any:
    return walk_back(_solve_for_start, scheme, carry, args, path, xs)


def _solve_for_start(scheme: Scheme, carry1: Any, args: Any, where: Any) -> Any:
    if scheme.inverse is not None:
        return scheme.inverse(carry1, args, *where)
    carry = carry1
    for _ in range(ITERATIONS_ADDITIVE if scheme.additive else ITERATIONS):
        carry = jax.tree.map(lambda y, y1, s: y + (y1 - s), carry, carry1, scheme.step(carry, args, *where))
    return carry
