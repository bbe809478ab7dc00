"""First exit: a solution that ends where it leaves a region.

Of a Brownian motion that is inside at both ends of a step, nobody knows whether it was out between them: taken for
inside, it leaves too late by the square root of the step. What is known is its law between the ends, that of a Brownian
bridge. With d the distance to the boundary, in the direction of the noise and its unit, it was out with probability

    exp(-2 d0 d1 / h)

and given that, s = tau / (h - tau) has the inverse Gaussian law of mean d0 / d1 and shape d0^2 / h, of a time tau in
the step; by reflection the same where the end is outside, with |d1| (Baldi, Exact asymptotics for the probability of
exit from a domain and applications to simulation, 1995; Gobet, Weak approximation of killed diffusion using Euler
schemes, 2000). Where drift and noise are constant and the boundary is straight that is exact for any step; else what is
left is of the order of the step.

Whether a path leaves does not change smoothly with what it depends on: with noise a derivative is refused.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxsde import loops
from jaxsde.brownian.increment import Increment
from jaxsde.brownian.keys import fold_in
from jaxsde.engine import Scheme
from jaxsde.flat_sde import FlatSDE, add, scale
from jaxsde.methods import Method
from jaxsde.signatures import check_takes
from jaxsde.types import Args, Carry, Leaves, State, Time
from jaxsde.undifferentiated import undifferentiated

REFUSAL = (
    "Whether a path leaves the region depends on what is differentiated, and does not change smoothly with it: the "
    "derivative of a path is not that of an expectation, and is refused. Take finite differences of means with the "
    "same keys, or a smooth weight in place of the end, by running=."
)


@dataclasses.dataclass(frozen=True)
class FirstExit:
    """The solution ends where it first leaves a region: from then on it stays where it left.

    **Arguments:**

    - `inside`: a function `inside(y, t, args)` that is positive in the region and negative outside, one number, with a
      derivative that is not zero at the boundary: for an interval min(y - low, high - y), say.

    **Raises:** `TypeError` for what is no function.
    """

    inside: Callable[[State, Time, Args], Any]

    def __post_init__(self) -> None:
        check_takes("inside", self.inside, "y", "t", "args")

    def traceable(self, like: State, t: jax.ShapeDtypeStruct) -> dict[str, Any]:
        """Its function, with an example of its arguments but args."""
        return {"inside": (self.inside, (like, t))}


def ending(
    method: Method,
    inside: Callable[..., Any],
    key: Key[Array, ""] | None,
    left_at: Time | None,
    behind: Float[Array, ""],
) -> Method:
    """The method, which stops where the solution leaves. Its carry has the number of the step and the time of exit
    beside that of the method.

    **Arguments:**

    - `inside`: of `FirstExit`.
    - `key`: of what is drawn of the path between the ends of a step; `None` for an ODE.
    - `left_at`: when it left before the start; infinite, or `None`, where it did not.
    - `behind`: how many steps were taken before the start. Step k of a key draws the same.
    """

    def distance(sde: FlatSDE, y: Leaves, t: Time, args: Args) -> Any:
        d = jnp.asarray(inside(sde.unflatten(y), t, args), t.dtype)
        return d if sde.g is None else undifferentiated(d, REFUSAL)

    def init(sde: FlatSDE, y: Leaves, t: Time, args: Args) -> Any:
        d = distance(sde, y, t, args)
        at = jnp.where(d > 0, jnp.asarray(jnp.inf, t.dtype), jnp.where(d <= 0, t, jnp.nan))
        if left_at is not None:
            at = jnp.where(jnp.isinf(left_at), at, jnp.asarray(left_at, t.dtype))
        # Adjoints take a carry of floating point; to 2^24 it counts exactly.
        return method.init(sde, y, t, args), behind, at

    def step(sde: FlatSDE, carry: Carry, t: Time, h: Time, increment: Increment, args: Args) -> Any:
        inner, steps, at = carry

        def move(carry: tuple[Carry, Any]) -> Any:
            return leave(sde, carry[0], t, h, increment, args, steps)

        inner, at = loops.unless((at != jnp.inf) | (h == 0), move, (inner, at))
        return inner, steps + 1, at

    def leave(
        sde: FlatSDE, inner: Carry, t: Time, h: Time, increment: Increment, args: Args, steps: Float[Array, ""]
    ) -> Any:
        moved = method.step(sde, inner, t, h, increment, args)
        start, end = method.state(inner), method.state(moved)
        d0, d1 = distance(sde, start, t, args), distance(sde, end, t + h, args)
        span = jnp.abs(h)
        variance = span * _towards_boundary(sde, inside, start, t, args)[1]
        if key is None:
            left, part = d1 <= 0, d0 / (d0 - jnp.minimum(d1, 0))
        else:
            crossing, *law = jax.random.split(fold_in(key, steps.astype(jnp.int32)), 3)
            noisy = jnp.where(variance > 0, variance, 1)
            between = jnp.where(variance > 0, jnp.exp(-2 * d0 * d1 / noisy), 0)
            left = (d1 <= 0) | (jax.random.uniform(crossing, dtype=t.dtype) < between)
            # Where the end is at the boundary the mean is infinite, and hardly matters.
            ratio = _inverse_gaussian(law, d0 / jnp.maximum(jnp.abs(d1), 1e-6 * d0), d0**2 / variance)
            part = jnp.where(jnp.isfinite(ratio), ratio / (1 + ratio), 1)
        at = t + part * h
        way = add(scale(1 - part, start), scale(part, end))
        # From the straight line to the boundary itself.
        direction, _ = _towards_boundary(sde, inside, way, at, args)
        # Elsewhere it may be none, and at the boundary what it is multiplied by is next to nothing: so is its
        # derivative.
        direction = jax.lax.stop_gradient(jax.tree.map(lambda x: jnp.where(left, x, 0).astype(x.dtype), direction))
        exact = add(way, scale(-distance(sde, way, at, args), direction))
        stopped = method.init(sde, jax.tree.map(lambda x, y: x.astype(y.dtype), exact, start), at, args)
        kept = jax.tree.map(lambda x, y: jnp.where(left, x, y), stopped, moved)
        found = jnp.where(left, at, jnp.asarray(jnp.inf, t.dtype))
        return kept, jnp.where(jnp.isfinite(d0) & jnp.isfinite(d1), found, jnp.nan)

    return method.within(init, step)


def with_exit_time(scheme: Scheme) -> Scheme:
    """The scheme of an `ending` method, whose outputs are pairs of what they were and the time of exit."""
    return scheme._replace(
        output=lambda carry, args: (scheme.output(carry, args), carry[2]), ended=lambda carry: carry[2] != jnp.inf
    )


def _towards_boundary(sde: FlatSDE, inside: Callable[..., Any], y: Leaves, t: Time, args: Args) -> Any:
    """The change of y that takes the distance up by one, along the noise where it has a part in that; and the variance
    of the distance by the noise, per unit of time.
    """
    # Inside of shard_map what is the same everywhere would have the sum over devices for its derivative.
    y, t, args = loops.vary_alike((y, t, args))
    rise = jax.grad(lambda y: jnp.asarray(inside(sde.unflatten(y), t, args), t.dtype))(y)
    along = scale(1 / _product(rise, rise, t), rise)
    if sde.g is None:
        return along, jnp.zeros((), t.dtype)
    g = sde.diffusion(y, t, args)
    still = tuple(None if x is None else jnp.zeros(x.shape, x.dtype) for x in sde.noise_like)
    _, still = loops.vary_alike((rise, still))
    by_noise = jax.grad(lambda dW: _product(rise, sde.product(g, dW), t))(still)
    variance = _product(by_noise, by_noise, t)
    noisy = scale(1 / jnp.where(variance > 0, variance, 1), sde.product(g, by_noise))
    either = [
        b if b is None else jnp.where(variance > 0, 0 * b if a is None else a, b)
        for a, b in zip(noisy, along, strict=True)
    ]
    return tuple(either), variance


def _product(a: Leaves, b: Leaves, t: Time) -> Any:
    """The inner product, in the precision of time."""
    parts = [
        jnp.sum(x.astype(t.dtype) * y.astype(t.dtype))
        for x, y in zip(a, b, strict=True)
        if not (x is None or y is None)
    ]
    return sum(parts, start=jnp.zeros((), t.dtype))


def _inverse_gaussian(keys: Any, mean: Float[Array, ""], shape: Float[Array, ""]) -> Any:
    """Michael, Schucany and Haas, Generating random variates using transformations with multiple roots, 1976; with the
    roots of a quadratic equation as they lose no digits.
    """
    half = 0.5 * mean * jax.random.normal(keys[0], dtype=mean.dtype) ** 2 / shape
    spread = 1 + half + jnp.sqrt(2 * half + half**2)
    small, large = mean / spread, mean * spread
    return jnp.where(jax.random.uniform(keys[1], dtype=mean.dtype) * (mean + small) <= mean, small, large)
