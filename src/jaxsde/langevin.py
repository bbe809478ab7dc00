"""The Langevin equation, which has more structure than a drift and a diffusion show."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from jaxsde.sde import SDE
from jaxsde.signatures import check_takes
from jaxsde.times import is_known
from jaxsde.types import Args, Drift, State, Time


@dataclasses.dataclass(frozen=True)
class Langevin:
    """dq = p dt, dp = force(q, t, args) dt - friction p dt + sqrt(2 friction temperature) dW, with masses of one.

    Its state is the pair (q, p) of position and momentum, two pytrees alike. Where the force is -grad U its stationary
    law is that of independent q and p, with densities proportional to exp(-U(q) / temperature) and
    exp(-|p|^2 / (2 temperature)): with U minus the logarithm of a posterior and a temperature of one it samples that.

    `solve` takes it in place of an `SDE`, with the splitting methods that are for it alone, or with any method for
    additive noise.

    **Arguments:**

    - `force`: gives what is like q.
    - `friction`: the rate at which momentum is lost, in units of one over time.
    - `temperature`: the variance of each entry of p.

    Friction and temperature are positive numbers, or scalar arrays, which may be traced and have gradients. Towards
    smaller times it is this equation still, with dt below zero and the noise of the length of time: friction makes
    momentum grow there, and the law is not stationary.

    **Raises:** `TypeError` or `ValueError` for a friction or a temperature that is not as above.
    """

    force: Drift
    friction: Any
    temperature: Any

    def __post_init__(self) -> None:
        check_takes("force", self.force, "q", "t", "args")
        for name in ("friction", "temperature"):
            value = getattr(self, name)
            if not (isinstance(value, int | float | np.number | np.ndarray | jax.Array) and _is_real_number(value)):
                raise TypeError(
                    f"{name} is {value!r}; it is one real number, or an array of shape () of one. "
                    "Where it differs from entry to entry take an SDE of (q, p) with additive noise and None for q."
                )
            if is_known(value) and not 0 < float(value) < np.inf:
                raise ValueError(f"{name} is {value}; it is a positive, finite number.")

    @property
    def sde(self) -> SDE:
        """The same equation, for methods that know nothing of its structure."""

        def drift(y: State, t: Time, args: Args) -> Any:
            q, p = y

            def change(force: Array, p: Array) -> Any:
                return force - jnp.asarray(self.friction, p.dtype) * p

            return _pair(y, p, jax.tree.map(change, self.force(q, t, args), p))

        def diffusion(y: State, t: Time, args: Args) -> Any:
            def size(p: Array) -> Any:
                friction, temperature = (jnp.asarray(x, p.dtype) for x in (self.friction, self.temperature))
                return jnp.broadcast_to(jnp.sqrt(2 * friction * temperature), p.shape)

            return _pair(y, None, jax.tree.map(size, y[1]))

        return SDE(drift, diffusion, noise="additive")

    def damping(self, h: Time, args: Args) -> Any:
        """Friction times a length of time."""
        return jnp.asarray(self.friction, h.dtype) * h


def _is_real_number(value: Any) -> bool:
    dtype = jnp.result_type(value)
    return np.shape(value) == () and (jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer))


def _pair(like: State, q: PyTree, p: PyTree) -> Any:
    """A pair of the type of `like`: a tuple, a named one, or a list."""
    return jax.tree.unflatten(jax.tree.structure(like, is_leaf=lambda x: x is not like), (q, p))
