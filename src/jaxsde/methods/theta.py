"""The drift-implicit theta methods: z = y + (1 - theta) f(y) h + theta f(z) h + g(y) dW. Kloeden and Platen, 1992.

With theta = 1 implicit Euler, with theta = 1/2 the trapezoidal rule, which others call Crank and Nicolson's. Noise is
taken at the start of a step, as Ito's calculus has it.
"""

import functools

import numpy as np

from jaxsde.brownian.increment import Increment
from jaxsde.flat_sde import FlatSDE, add, scale
from jaxsde.methods.method import Method, Step
from jaxsde.methods.newton import root
from jaxsde.times import is_known
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


def _method(theta: float, name: str, aliases: tuple[str, ...] = ()) -> Method:
    return Method(
        name=name,
        aliases=aliases,
        sde_types=("ito",),
        strong_order={"diagonal": 0.5, "additive": 1.0, "scalar": 0.5, "general": 0.5},
        weak_order=1.0,
        evaluations=1 if theta == 1 else 2,
        nodes=(1.0,) if theta == 1 else (0.0, 1.0),
        step=_step(theta),
        implicit=True,
    )


IMPLICIT_EULER = _method(1.0, "implicit_euler")
TRAPEZOIDAL = _method(0.5, "trapezoidal", ("crank_nicolson",))


def theta_method(theta: float) -> Method:
    """The drift-implicit method between `"trapezoidal"` and `"implicit_euler"`, for `method=`.

    A step is z = y + ((1 - theta) f(y) + theta f(z)) h + g(y) dW. With a theta a little above a half what is fast is
    damped, by (1 - theta) / theta in a long step, and slow parts have nearly the second order of the trapezoidal rule.

    **Arguments:**

    - `theta`: the weight of the end of a step, from 1/2, the trapezoidal rule, to 1, implicit Euler; known, not traced.

    **Returns:** a method; the same one for the same theta.

    **Raises:** `TypeError` or `ValueError` for a theta that is not as above.
    """
    if not is_known(theta):
        raise TypeError("theta is traced, and which method it is has to be known: pass a concrete number.")
    if np.ndim(theta) or np.asarray(theta).dtype.kind not in "fiu":
        raise TypeError(f"theta is {theta!r}; it is one real number from 1/2 to 1.")
    if not 0.5 <= float(theta) <= 1:
        reason = (
            "below 1/2 steps of a drift that decays at a rate L are stable up to 2 / ((1 - 2 theta) L) alone, so that "
            "they are solved for in vain: take an explicit method, or one from 1/2 on"
            if float(theta) < 0.5
            else "it is from 1/2 to 1"
        )
        raise ValueError(f"theta is {theta}; {reason}.")
    return _between(float(theta))


@functools.lru_cache(maxsize=256)
def _between(theta: float) -> Method:
    # What is compiled is looked up by the very object.
    known = {1.0: IMPLICIT_EULER, 0.5: TRAPEZOIDAL}
    return known[theta] if theta in known else _method(theta, f"theta_method({theta})")
