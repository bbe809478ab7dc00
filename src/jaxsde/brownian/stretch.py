"""A stretch of a Brownian motion with its space-time area: how two are joined, and how one is divided.

Given its increment dW and its area H, a stretch of length h is divided at the fraction a, b = 1 - a, by two independent
standard normals z1 and z2. With s = a^3 + b^3 and x = sqrt(a b s h) z1, r = sqrt(a b h / (12 s)) z2,

    dW_left = a dW + 6 a b H + x        dW_right = dW - dW_left
    H_left = a^2 H - a^2 x / (2 s) + b r        H_right = b^2 H - b^2 x / (2 s) - a r

which is the conditional law of these: Foster, Lyons and Oberhauser, "An optimal polynomial approximation of Brownian
motion", 2020; Jelinčič, Tao, Turner, Cass, Foster and Ni, "Single-seed generation of Brownian paths and integrals for
adaptive and high order SDE solvers", 2024.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxsde.brownian.increment import no_increment
from jaxsde.flat_sde import add, scale
from jaxsde.types import Leaves, Shapes, Time


class Stretch(NamedTuple):
    """Its length, positive or zero, its increments and its space-time areas."""

    length: Any
    dW: Leaves
    H: Any

    def followed_by(self, other: "Stretch") -> "Stretch":
        """Both together. Areas are no differences of large numbers: those of short stretches keep their digits."""
        length = self.length + other.length
        a = self.length / jnp.where(length == 0, 1, length)
        b = 1 - a
        H = add(scale(a, self.H), scale(b, other.H), scale(b / 2, self.dW), scale(-a / 2, other.dW))
        return Stretch(length, add(self.dW, other.dW), H)

    def divided(self, a: Time, normals: Leaves) -> tuple["Stretch", "Stretch"]:
        """The parts before and after the fraction a, by pairs of standard normals, (2, ...) for each leaf."""
        b = 1 - a
        s = 1 - 3 * a * b
        z1, z2 = (tuple(None if z is None else z[k] for z in normals) for k in (0, 1))
        x = scale(jnp.sqrt(a * b * s * self.length), z1)
        r = scale(jnp.sqrt(a * b * self.length / (12 * s)), z2)
        left = Stretch(
            a * self.length,
            add(scale(a, self.dW), scale(6 * a * b, self.H), x),
            add(scale(a * a, self.H), scale(-a * a / (2 * s), x), scale(b, r)),
        )
        right = Stretch(
            b * self.length,
            add(scale(b, self.dW), scale(-6 * a * b, self.H), scale(-1, x)),
            add(scale(b * b, self.H), scale(-b * b / (2 * s), x), scale(-a, r)),
        )
        return left, right


def no_stretch(like: Shapes, length: Time) -> Stretch:
    """That of no length; `length` is zero, in the precision of time."""
    nothing = no_increment(like, space_time=True)
    return Stretch(length, nothing.dW, nothing.H)
