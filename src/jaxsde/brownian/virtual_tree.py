"""A Brownian motion that can be asked at any time, in any order, and stores nothing.

The interval is halved again and again. The value in the middle of a cell, given those at its ends, is their mean plus
a normal of variance length / 4, drawn from the key and the cell's number alone: so W(t) is a function of the key and t,
and costs one draw a level. Below the tolerance the walk stops, at a cell of length c, and W at the fraction a of it is
drawn from the Brownian bridge, (1 - a) W_left + a W_right + sqrt(a (1 - a) c) Z, with one Z for the whole cell.
"""

import dataclasses
import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from jaxsde import loops
from jaxsde.brownian.increment import Increment
from jaxsde.brownian.keys import derive_key
from jaxsde.brownian.normals import normals
from jaxsde.sde import Leaves, add, scale


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class VirtualTree:
    """A Brownian path on [t0, t1], the same one on every grid: for adaptive steps, and to compare step sizes.

    Its law is exact at the dyadic points, and so is that of any increments between times of different cells. Within
    one cell, a stretch of time no longer than `tol`, all times share one normal, so that increments there have the
    right variance from the cell's ends only. A step costs log2((t1 - t0) / tol) draws: where the grid is fixed
    beforehand `CounterPath` is far cheaper. Gradients do not flow to the times through it.

    **Arguments:**

    - `rng`: a JAX key, typed or raw, of any generator. What else is drawn from it is independent of the path.
    - `t0`, `t1`: the interval, t0 < t1, concrete numbers. A solve may run through it in either direction.
    - `tol`: the length at which halving stops, in units of time. In single precision times near one are 6e-8 apart:
      there is no use in less than 2^-20 of the span.

    **Raises:** `ValueError` for an interval or a tolerance that is not as above.
    """

    rng: Any
    t0: Any = dataclasses.field(metadata={"static": True})
    t1: Any = dataclasses.field(metadata={"static": True})
    tol: Any = dataclasses.field(metadata={"static": True})
    sliced: ClassVar[bool] = False
    has_space_time: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if any(isinstance(x, jax.core.Tracer) for x in (self.t0, self.t1, self.tol)):
            raise TypeError(
                "VirtualTree got t0, t1 or tol traced; its depth follows from them: pass concrete numbers (floats)."
            )
        for name in ("t0", "t1", "tol"):
            object.__setattr__(self, name, float(getattr(self, name)))
        if not -math.inf < self.t0 < self.t1 < math.inf:
            raise ValueError(
                f"VirtualTree got the interval from {self.t0} to {self.t1}; t0 is before t1 and both are finite, also "
                "for a solve that runs from t1 to t0."
            )
        span = self.t1 - self.t0
        if not span * 2.0**-30 <= self.tol <= span:
            raise ValueError(
                f"VirtualTree got tol={self.tol}; it is a length of time between 2^-30 of the span and the span, "
                f"{span}: 2^-14 of it serves most solves."
            )

    @property
    def depth(self) -> int:
        """How many times the interval is halved."""
        return math.ceil(math.log2((self.t1 - self.t0) / self.tol))

    def increment(self, k: Any, t: Any, h: Any, like: Leaves, space_time: bool = False) -> Increment:
        return Increment(add(self.value(t + h, like), scale(-1, self.value(t, like))))

    def value(self, t: Any, like: Leaves) -> Leaves:
        """W(t) - W(t0), for each leaf of `like`; NaN outside the interval."""
        key, t = loops.vary_alike((derive_key(self.rng, "jaxsde.VirtualTree"), t))
        span = self.t1 - self.t0
        fraction = (jax.lax.stop_gradient(jnp.asarray(t)) - self.t0) / span
        # A time on the edge may be a rounding error outside.
        inside = jnp.abs(fraction - 0.5) <= 0.5 + 8 * jnp.finfo(fraction.dtype).eps
        fraction = jnp.where(inside, jnp.clip(fraction, 0.0, 1.0), jnp.nan)

        def bridge(node: Any, a: Any, length: Any, left: Leaves, right: Leaves) -> Leaves:
            deviation = jnp.sqrt(a * (1 - a) * length)
            z = normals(jax.random.fold_in(key, node), like)
            return add(scale(1 - a, left), scale(a, right), scale(deviation, z))

        def halve(level: Any, cell: Any) -> Any:
            # A cell's number is one bit for each time that the right half was taken, after a leading one. Doubling the
            # fraction and taking one off it are free of rounding.
            node, a, length, left, right = cell
            middle = bridge(node, jnp.asarray(0.5, a.dtype), length, left, right)
            second = 2 * a >= 1
            left = jax.tree.map(lambda w, m: jnp.where(second, m, w), left, middle)
            right = jax.tree.map(lambda w, m: jnp.where(second, w, m), right, middle)
            return 2 * node + second.astype(node.dtype), 2 * a - second.astype(a.dtype), length / 2, left, right

        end = scale(math.sqrt(span), normals(jax.random.fold_in(key, 0), like))
        root = (jnp.ones((), jnp.uint32), fraction, jnp.full_like(fraction, span), scale(0, end), end)
        return bridge(*loops.fori_loop(0, self.depth, halve, root))
