"""Any explicit method of one step, made algebraically reversible.

McCallum and Foster, "Efficient, accurate and stable gradients for neural ODEs", 2024. Beside y there is a second
solution z, and each step of one is taken from the other. With S, a step of the method, and M(y1), about how far it has
moved if it arrives at y1,

    y1 = S(z0) + l (y0 - z0)
    z1 = z0 + M(y1)

so that z0 = z1 - M(y1), and then y0 = z0 + (y1 - S(z0)) / l: algebra, whatever S and M are. What they are decides about
convergence. From step to step y - z is multiplied by l, and to it comes S(z0) - z0 - M(S(z0)), the error of M: where
that is of the order of the method's own error in a step, in mean square and in the mean, the order of the method is
kept, for z follows it and y is as near to z.

In the paper, on ODEs, M(y) = y - S(y) with h negated. With h and dW negated that is right for Stratonovich's calculus,
whose rules are those of smooth paths, and for additive noise: what is left is of order 3/2 in the mean square and,
being odd in dW, of order 2 in the mean. It is wrong for Ito's. There g is taken at the start of a step, so that of

    z1 = z0 + g(y1) dW = z0 + g(z0) dW + g dg dW^2 + ...

the mean moves by g dg h: in the limit z is the solution of another equation, with the drift f + g dg, to which y is
tied. The step itself, forwards, has the right correction whatever it is. So there M is found from it, as z in
z + (S(z) - z) = y1, by two rounds from z = y1: M(y1) = S(z) - z with z = y1 - (S(y1) - y1). What is left is of the
third order in dW, as above, also where both rounds have the drift at y1, so that it is evaluated once. So it has weak
order 1 and no more.

For a method of strong order 1.5 that is too much. With diagonal and scalar noise there is a way back as exact as the
step itself: the drift f - g dg, twice the correction between the calculi, with which the step of -h and -dW, an Ito
step in its own direction, solves the same equation. The area H of a step does not depend on its direction.

Backwards y - z is divided by l, and rounding with it. So l is such that all n steps together, whatever n is, lose by it
a quarter of the digits: a factor of c = 54 in single precision, 8192 in double. It buys stability: where the drift
decays at a rate L over a time T, y - z grows forwards by e^(L T) / c, which with l = 1 would be e^(L T).
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxsde.brownian.increment import Increment
from jaxsde.flat_sde import FlatSDE, add, derivative, scale
from jaxsde.methods.method import Method
from jaxsde.types import Args, Leaves, State, Time

# Before the name of a method, the name of its reversible form.
COUPLED = "coupled_"
DIGITS = 1 / 4


class Carry(NamedTuple):
    """The two solutions."""

    y: Leaves
    z: Leaves


def _minus(a: Leaves, b: Leaves) -> Leaves:
    return add(a, scale(-1, b))


def _backwards(sde: FlatSDE, h: Time) -> FlatSDE:
    """The Ito equation whose solution in the direction of -h runs through that of `sde` in the direction of h."""

    def drift(y: State, t: Time, args: Args) -> Any:
        leaves: Any = tuple(jax.tree.leaves(y))
        g = sde.diffusion(leaves, t, args)
        g_dg = derivative(lambda y: sde.diffusion(y, t, args), leaves, g)
        return sde.unflatten(add(sde.drift(leaves, t, args), scale(-jnp.sign(h), g_dg)))

    return dataclasses.replace(sde, f=drift)


@functools.lru_cache(maxsize=256)
def coupled(method: Method, steps: int, in_reverse: bool, rounding: float) -> Method:
    """The method, which carries y alone, in a reversible form.

    - `steps`: in all; more of them make rounding grow more on the way back.
    - `in_reverse`: whether the step of -h and -dW leads back: not for Ito's calculus, unless noise is additive.
    - `rounding`: of the state, relative: its machine epsilon.

    **Raises:** `ValueError` for a method that carries more than y, and for an implicit one.
    """
    if method.implicit:
        raise ValueError(
            f"method {method.name!r} is for stiff equations, on which two coupled solutions part: it has no reversible "
            "form; take adjoint='stochastic', which has constant memory too."
        )
    if not method.carries_state_alone:
        instead = f"{method.name!r} itself, which has an inverse"
        if method.inverse is None:
            instead = "'coupled_heun', or with adjoint='reversible' 'heun'"
        raise ValueError(
            f"method {method.name!r} carries more than the state from step to step, so that two of its solutions "
            f"cannot be coupled: take {instead}."
        )
    factor = rounding ** (DIGITS / steps)
    corrected = not in_reverse and max(method.strong_order.values()) > 1

    def moved(sde: FlatSDE, y: Leaves, t: Time, h: Time, increment: Increment, args: Args) -> Leaves:
        if in_reverse or corrected:
            area = None if increment.A is None else -increment.A
            negated = increment._replace(dW=scale(-1, increment.dW), A=area)
            sde = _backwards(sde, h) if corrected else sde
            return _minus(y, method.step(sde, y, t + h, -h, negated, args))
        drift = sde.f(sde.unflatten(y), t, args)
        sde = dataclasses.replace(sde, f=lambda y, t, args: drift)
        z = _minus(scale(2, y), method.step(sde, y, t, h, increment, args))
        return _minus(method.step(sde, z, t, h, increment, args), z)

    def after(sde: FlatSDE, carry: Carry, end: Leaves, t: Time, h: Time, increment: Increment, args: Args) -> Carry:
        """The next carry, from the end of the step from z."""
        y, z = carry
        y = add(end, scale(factor, _minus(y, z)))
        return Carry(y, add(z, moved(sde, y, t, h, increment, args)))

    def step(sde: FlatSDE, carry: Carry, t: Time, h: Time, increment: Increment, args: Args) -> Carry:
        return after(sde, carry, method.step(sde, carry.z, t, h, increment, args), t, h, increment, args)

    def inverse(sde: FlatSDE, carry: Carry, t: Time, h: Time, increment: Increment, args: Args) -> Carry:
        y, z = carry
        z = _minus(z, moved(sde, y, t, h, increment, args))
        return Carry(add(z, scale(1 / factor, _minus(y, method.step(sde, z, t, h, increment, args)))), z)

    def embedded(
        sde: FlatSDE, carry: Carry, t: Time, h: Time, increment: Increment, args: Args
    ) -> tuple[Carry, Leaves]:
        assert method.embedded is not None
        end, error = method.embedded(sde, carry.z, t, h, increment, args)
        return after(sde, carry, end, t, h, increment, args), error

    back = in_reverse or corrected
    return dataclasses.replace(
        method,
        weak_order=method.weak_order if back else min(method.weak_order, 1.0),
        evaluations=method.evaluations + (method.evaluations if back else 1),
        nodes=tuple(sorted({*method.nodes, *(1 - node for node in method.nodes if back)})),
        step=step,
        embedded=method.embedded and embedded,
        init=lambda sde, y, t, args: Carry(y, y),
        state=lambda carry: carry.y,
        inverse=inverse,
        recovered=tuple,
    )
