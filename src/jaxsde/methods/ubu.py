"""UBU: half of the Langevin equation without force (U), a kick (B), and the other half; strong order 2.

Sanz-Serna and Zygalakis, "Wasserstein distance estimates for the distributions of numerical approximations to ergodic
stochastic differential equations", 2021. Without force the equation is linear and its solution known. With s the time
since the start of the step, c the friction, e(r) = exp(-c r), E(r) = (1 - e(r)) / c and S = sqrt(2 c T),

    middle = q + E(h/2) p + S int_0^{h/2} E(h/2 - s) dW
    q1 = q + E(h) p + E(h/2) h force(middle) + S int_0^h E(h - s) dW
    p1 = e(h) p + e(h/2) h force(middle) + S int_0^h e(h - s) dW

Of these three integrals, which are jointly normal, two follow from dW and H, the space-time area. Since
c E + e = 1, the integral in q1 is (dW - that in p1) / c; and that in p1 is a dW - b H, where a makes its covariance
with dW exact and b its variance. So q1 and p1 have the exact law where there is no force. The true integral is another
by what is of order 5/2 in h, with mean zero: what order 2 allows.

The third, in the middle, would need one normal more. It is that combination of dW and H which has its variance and its
covariance with dW; with H it has 1.09 to 1.15 times the right covariance, and back in time more, the longer the step
is: 1.2 times for c h = -4. It is an error of order 3/2 with mean zero, and only h times the force sees it: order 2
again.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxsde.brownian.increment import Increment
from jaxsde.flat_sde import FlatSDE, add, scale
from jaxsde.methods.method import Method
from jaxsde.methods.position_momentum import damping, force, split
from jaxsde.types import Args, Leaves, Time

# Of Gauss and Legendre on [0, 1]: exact to rounding for exponentials to this power.
NODES, WEIGHTS = (x / 2 for x in np.polynomial.legendre.leggauss(16))
MOST = 8.0


class Noise(NamedTuple):
    """The three integrals."""

    middle: Leaves
    q: Leaves
    p: Leaves


def step(sde: FlatSDE, y: Leaves, t: Time, h: Time, increment: Increment, args: Args) -> Leaves:
    q, p = split(y)
    x = damping(sde, h, args)
    noise, half = _noise(sde, y, t, h, x, increment, args), _travelled(x / 2, h / 2)
    kick = scale(h, force(sde, add(q, scale(half, p), noise.middle), t + h / 2, args))
    return (
        *add(q, scale(_travelled(x, h), p), scale(half, kick), noise.q),
        *add(scale(jnp.exp(-x), p), scale(jnp.exp(-x / 2), kick), noise.p),
    )


def inverse(sde: FlatSDE, y: Leaves, t: Time, h: Time, increment: Increment, args: Args) -> Leaves:
    q, p = split(y)
    x = damping(sde, h, args)
    noise, half = _noise(sde, y, t, h, x, increment, args), _travelled(x / 2, h / 2)
    kicked = scale(jnp.exp(x / 2), add(p, scale(-1, noise.p)))
    middle = add(q, scale(-half, kicked), scale(-1, noise.q), noise.middle)
    p = scale(jnp.exp(x / 2), add(kicked, scale(-h, force(sde, middle, t + h / 2, args))))
    return (*add(middle, scale(-half, p), scale(-1, noise.middle)), *p)


def _travelled(x: Time, h: Time) -> Time:
    """E(h), with x = c h."""
    return -h * jnp.expm1(-x) / x


def _noise(sde: FlatSDE, y: Leaves, t: Time, h: Time, x: Time, increment: Increment, args: Args) -> Noise:
    assert increment.H is not None
    dW, H = (split(sde.noise_term(y, t, args, w))[1] for w in (increment.dW, increment.H))
    mean, spread = _average(x)
    early, early_spread = _average(x / 2)
    of_H = jnp.sqrt(early_spread**2 / 8 + 0.75 * early**2)
    return Noise(
        add(scale(h * early / 4, dW), scale(h * of_H, H)),
        add(scale(h * mean, dW), scale(h * spread, H)),
        add(scale(-jnp.expm1(-x) / x, dW), scale(-x * spread, H)),
    )


def _average(x: Time) -> tuple[Time, Time]:
    """Of (1 - exp(-x v)) / x with v uniform on [0, 1]: its mean, and its deviation times that of 12 unit variances.

    In closed form digits cancel where x is small, so that there it is by quadrature.
    """
    small = jnp.where(jnp.abs(x) < MOST, x, 1.0)
    v, weights = (jnp.asarray(a, x.dtype) for a in (NODES + 0.5, WEIGHTS))
    values = -jnp.expm1(-small * v) / small
    mean = jnp.sum(weights * values)
    variance = jnp.sum(weights * (values - mean) ** 2)
    large = jnp.where(jnp.abs(x) < MOST, MOST, x)
    decay = -jnp.expm1(-large) / large
    mean = jnp.where(jnp.abs(x) < MOST, mean, (1 - decay) / large)
    variance = jnp.where(jnp.abs(x) < MOST, variance, (-jnp.expm1(-2 * large) / (2 * large) - decay**2) / large**2)
    return mean, jnp.sqrt(12 * variance)


UBU = Method(
    name="ubu",
    sde_types=("ito",),
    strong_order={"additive": 2.0},
    weak_order=2.0,
    evaluations=1,
    nodes=(0.5,),
    step=step,
    inverse=inverse,
    space_time=True,
    langevin=True,
)
