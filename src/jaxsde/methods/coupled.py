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
z + (S(z) - z) = y1, by two rounds from z = y1, the first one Euler and Maruyama's, E:

    M(y1) = S(z) - z with z = y1 - (E(y1) - y1)

Whichever the first round is, z is from z0 by g dg dW^2 and the like, so that what is left is of the third order in dW,
as above; also where both rounds have the drift at y1, so that it is evaluated once. So it has weak order 1 and no more.
Of a method of weak order 2 the first round is its own, or a step that has its areas: with Euler's the error in the mean
is up to 1.7 times as large.

For a method of strong order 1.5 that is too much. With diagonal and scalar noise there is a way back as exact as the
step itself: the drift f - g dg, twice the correction between the calculi, with which the step of -h and -dW, an Ito
step in its own direction, solves the same equation. The area H of a step does not depend on its direction.

Backwards y - z is divided by l, and rounding with it, so that l must not be small in too many steps. Forwards, where
the drift decays at a rate L, y - z grows by l e^(L h) a step: l has to be small. The two are reconciled by segments.
The solve is cut into 16 of them, and at the start of each z is y again; that this changes z is of the order of the
method's error, as y - z is. What the walk back needs there is kept by the reversible adjoint: a fixed number of states
for any number of steps. Within a segment l is such that its steps together lose by it a quarter of the digits: a factor
of c = 54 in single precision, 8192 in double. So y - z grows in a segment by e^(L T / 16) / c, which is below one for
L T up to 64 in single precision and 144 in double. No segment is shorter than four steps: in one of a step or two the
solution is nearly that of the method itself, of another error, and orders would show on fine grids alone.

Beyond that, or where steps are longer than the coupling is stable for, y and z part, and y is no solution. In the mode
that grows they have opposite signs: with R, the factor of a step, it grows where l > R, and then
y / z = (R - l) / (l / R - l) < 0, so that they are further apart than the mean of their sizes. That alone proves
nothing: a state that begins at zero, or goes through it, is for a moment no larger than the error of a step. What has
parted is so again, segment after segment, of which each begins anew; or it grows in every step of one, where the errors
of steps come and go. Noise brings y and z together now and then, and not every segment ends with them apart. So each
that ends with two thirds of that mean between them counts, and each that does not takes one back: they have parted
where the count comes to four, three in a short solve. Or where they are as far apart within a segment, and have come
there a hundredfold by eight steps and more that all went apart.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from jaxsde.brownian.increment import Increment
from jaxsde.flat_sde import FlatSDE, add, derivative, precision, real_dtype, scale
from jaxsde.methods.euler_maruyama import EULER_MARUYAMA
from jaxsde.methods.method import Half, Kept, Method, back, forth
from jaxsde.types import Args, Leaves, State, Time

# Before the name of a method, the name of its reversible form.
COUPLED = "coupled_"
DIGITS = 1 / 4
# At most, and the fewest steps of one.
SEGMENTS, LEAST = 16, 4
# Of y - z: a share of the state at which y and z are apart. They have parted if so many more segments end so than not,
# or if within one y - z grew so many times in so many steps in a row.
# In a solve of few segments a smaller number has to do.
APART, MORE, FEW, GREW, RISES = 1 / 3, 4, 3, 100, 8


class Carry(NamedTuple):
    """The two solutions, and what tells whether they have parted: numbers, of floating point since adjoints ask for it.

    - `segment`, `step`: how many segments are behind, and how many steps of the present one.
    - `sizes`: of each leaf of y, its mean in the present segment where that was largest.
    - `gap`: y - z, in units of the state; `rises`: in how many steps in a row it grew, and `growth`: how many times.
    - `ends`: how many segments have ended with y and z apart, where each that has not takes one back.
    - `parted`: 1 where they have parted, or else 0.
    """

    y: Leaves
    z: Leaves
    segment: Any
    step: Any
    sizes: Leaves
    gap: Any
    rises: Any
    growth: Any
    ends: Any
    parted: Any


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


def _arrays(leaves: Leaves) -> tuple[Array, ...]:
    """Of a state, of which no leaf is `None`."""
    return tuple(x for x in leaves if x is not None)


def _watched(carry: Carry, needed: int) -> Carry:
    """The carry at the start of a step: it is seen how far y and z are apart, and z is y where a segment begins.

    - `needed`: of `ends`, where they have parted.
    """
    first = carry.step == 0
    y, z = map(_arrays, jax.lax.stop_gradient((carry.y, carry.z)))
    means = tuple(jnp.sum(jnp.abs(a)) / max(a.size, 1) for a in y)
    sizes = tuple(map(jnp.maximum, _arrays(carry.sizes), means))

    def apart(y: Array, z: Array, size: Array) -> Array:
        gap = jnp.abs(y - z)
        return jnp.max(jnp.where(gap == 0, 0, gap / (jnp.abs(y) + size)), initial=0)

    gaps = map(apart, y, z, sizes)
    gap = functools.reduce(jnp.maximum, (x.astype(carry.gap.dtype) for x in gaps))
    rose = (gap > carry.gap) & (carry.gap > 0)
    rises = jnp.where(rose, carry.rises + 1, 0)
    growth = jnp.where(rose, carry.growth * (gap / jnp.where(rose, carry.gap, 1)), 1)
    ends = jnp.where(gap > APART, carry.ends + 1, jnp.maximum(carry.ends - 1, 0))
    ends = jnp.where(first & (carry.segment > 0), ends, carry.ends)
    parted = (ends >= needed) | ((gap > APART) & (rises >= RISES) & (growth >= GREW))

    def begun(of_segment: PyTree, before: PyTree) -> Any:
        return jax.tree.map(lambda a, b: jnp.where(first, a, b), of_segment, before)

    return carry._replace(
        z=begun(carry.y, carry.z), sizes=begun(means, sizes), gap=begun(0, gap), rises=begun(0, rises),
        growth=begun(1, growth), ends=ends, parted=jnp.maximum(carry.parted, parted.astype(carry.parted.dtype)),
    )  # fmt: skip


def _state(carry: Carry) -> Any:
    """y, and NaN where it is no solution: by a factor, so that the gradient is NaN too."""
    right = jnp.where(carry.parted > 0, jnp.nan, 1)
    return tuple(y * right.astype(y.dtype) for y in _arrays(carry.y))


def _init(sde: FlatSDE, y: Leaves, t: Time, args: Args) -> Carry:
    zero = jnp.zeros((), precision(y))
    sizes = tuple(jnp.zeros((), real_dtype(a.dtype)) for a in _arrays(y))
    return Carry(y, y, zero, zero, sizes, zero, zero, zero + 1, zero, zero)


@functools.lru_cache(maxsize=256)
def coupled(method: Method, steps: int, in_reverse: bool, rounding: float) -> Method:
    """The method, which carries y alone, in a reversible form.

    - `steps`: in all, or more than there are.
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
    each = max(LEAST, -(-steps // SEGMENTS))
    factor = rounding ** (DIGITS / each)
    needed = max(FEW, min(MORE, -(-steps // each) - 1))
    corrected = not in_reverse and max(method.strong_order.values()) > 1

    def moved(sde: FlatSDE, y: Leaves, t: Time, h: Time, increment: Increment, args: Args) -> Leaves:
        if in_reverse or corrected:
            area = None if increment.A is None else -increment.A
            negated = increment._replace(dW=scale(-1, increment.dW), A=area)
            sde = _backwards(sde, h) if corrected else sde
            return _minus(y, method.step(sde, y, t + h, -h, negated, args))
        drift = sde.f(sde.unflatten(y), t, args)
        sde = dataclasses.replace(sde, f=lambda y, t, args: drift)
        first = method.first_round or (method if method.weak_order > 1 else EULER_MARUYAMA).step
        z = _minus(scale(2, y), first(sde, y, t, h, increment, args))
        return _minus(method.step(sde, z, t, h, increment, args), z)

    def begun(carry: Carry, nothing: tuple[()]) -> Carry:
        return _watched(carry, needed)

    def put_y(carry: Carry, end: Leaves) -> Carry:
        return carry._replace(y=add(end, scale(factor, _minus(carry.y, carry.z))))

    def take_y(carry: Carry, end: Leaves) -> Carry:
        return carry._replace(y=add(carry.z, scale(1 / factor, _minus(carry.y, end))))

    def put_z(carry: Carry, change: Leaves) -> Carry:
        last = carry.step == each - 1
        segment, step = jnp.where(last, carry.segment + 1, carry.segment), jnp.where(last, 0, carry.step + 1)
        return carry._replace(z=add(carry.z, change), segment=segment, step=step)

    def take_z(carry: Carry, change: Leaves) -> Carry:
        first = carry.step == 0
        segment, step = jnp.where(first, carry.segment - 1, carry.segment), jnp.where(first, each - 1, carry.step - 1)
        return carry._replace(z=_minus(carry.z, change), segment=segment, step=step)

    halves = (
        Half(lambda *_: (), begun, lambda carry, nothing: carry),
        Half(lambda carry, sde, *rest: method.step(sde, carry.z, *rest), put_y, take_y),
        Half(lambda carry, sde, *rest: moved(sde, carry.y, *rest), put_z, take_z),
    )

    def embedded(
        sde: FlatSDE, carry: Carry, t: Time, h: Time, increment: Increment, args: Args
    ) -> tuple[Carry, Leaves]:
        assert method.embedded is not None
        carry = _watched(carry, needed)
        end, error = method.embedded(sde, carry.z, t, h, increment, args)
        return forth(halves[2:], put_y(carry, end), sde, t, h, increment, args), error

    reverses = in_reverse or corrected
    return dataclasses.replace(
        method,
        weak_order=method.weak_order if reverses else min(method.weak_order, 1.0),
        evaluations=method.evaluations + (method.evaluations if reverses else 1),
        nodes=tuple(sorted({*method.nodes, *(1 - node for node in method.nodes if reverses)})),
        step=lambda sde, carry, *rest: forth(halves, carry, sde, *rest),
        embedded=method.embedded and embedded,
        init=_init,
        state=_state,
        inverse=lambda sde, carry, *rest: back(halves, carry, sde, *rest),
        halves=halves,
        recovered=_state,
        kept=Kept(SEGMENTS, lambda carry: (carry.segment, carry.step == 0)),
        parted=lambda carry: carry.parted,
    )
