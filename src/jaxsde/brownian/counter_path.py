"""The Brownian path of a fixed grid: increment k is a function of the key and of k alone."""

import dataclasses
import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from jaxsde.brownian.increment import Increment, no_increment
from jaxsde.brownian.keys import check_key, derive_key, fold_in
from jaxsde.brownian.normals import normals
from jaxsde.flat_sde import precision, scale
from jaxsde.times import known_times, lengths
from jaxsde.types import Index, Key, Leaves, Shapes, TimeLike, Times


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class CounterPath:
    """A Brownian path whose k-th increment is `sqrt(|h_k|) * normal(fold_in(key, k))`, with a key made of `rng`.

    It stores nothing, costs one draw a step, and can be walked backwards. With several leaves of noise the folded
    key is split, one key a leaf. The increments belong to a grid: another number of steps is another path. They are
    independent of whatever else is drawn from `rng`, and the same alone and under `vmap`, whatever generator it is of.

    **Arguments:**

    - `rng`: a JAX key, typed or raw, of any generator.
    - `cholesky`: for correlated noise, a matrix L, (m, m), applied to the last axis of every increment, so that their
      covariance is h L L^T. Methods of an Ito solution that take squares of increments, such as Milstein's, refuse it
      unless the noise is additive, or diagonal and each entry keeps the variance h.
    """

    rng: Any
    cholesky: Any = None
    has_space_time: ClassVar[bool] = True

    def increment(
        self,
        k: Index,
        t: TimeLike | None,
        h: TimeLike,
        like: Shapes,
        space_time: bool = False,
        area: bool = False,
    ) -> Increment:
        if all(x is None for x in like):
            return no_increment(like, space_time, area)
        dW = self._draw("jaxsde.CounterPath", k, jnp.sqrt(jnp.abs(h)), like)
        H = self._draw("jaxsde.CounterPath.H", k, jnp.sqrt(jnp.abs(h) / 12), like) if space_time or area else None
        return Increment(dW, H if space_time else None, self._area(k, h, dW[0], H[0]) if area and H else None)

    def _area(self, k: Index, h: TimeLike, dW: Any, H: Any) -> Any:
        """H (x) dW - dW (x) H, and of what is left of the path an area that has the right variance (Davie, 2014)."""
        size = dW.size
        # By rows and by columns, as correlated noise has it.
        like = jax.ShapeDtypeStruct((size, *dW.shape), dW.dtype)
        rows: Any = self._draw("jaxsde.CounterPath.A", k, jnp.abs(h) / math.sqrt(24), (like,))[0]
        both = self._correlated(rows.reshape(size, size).T.reshape(like.shape)).reshape(size, size)
        half = jnp.outer(H, dW) + both
        return half - half.T

    def _draw(self, purpose: str, k: Index, deviation: Float[Array, ""], like: Shapes) -> Leaves:
        z = normals(fold_in(derive_key(self.rng, purpose), k), like)
        return scale(deviation, tuple(None if x is None else self._correlated(x) for x in z))

    def _correlated(self, x: Any) -> Any:
        return x if self.cholesky is None else x @ jnp.asarray(self.cholesky, x.dtype).T


def brownian_increments(rng: Key, ts: Times, like: PyTree) -> Any:
    """The increments that a solve on the fixed grid `ts` draws from `rng`, all at once.

    For whoever needs the noise as well as the solution: draw once, solve with `brownian=ReplayedPath(increments)`, and
    hand the same increments to `path_kl`.

    **Arguments:**

    - `rng`: a JAX key.
    - `ts`: the grid, (n + 1,).
    - `like`: a pytree of arrays, or of `jax.ShapeDtypeStruct`, with the shapes and dtypes of the noise; a `None` in
      it draws nothing.

    **Returns:** a pytree like `like`, with a leading axis of n steps. Increments are in the square root of time.

    **Raises:** `TypeError` for what is not one key, or times that are no numbers; `ValueError` for times that `solve`
    refuses.
    """
    check_key(rng)
    leaves, treedef = jax.tree.flatten(jax.eval_shape(lambda x: x, like))
    if any(jnp.issubdtype(leaf.dtype, jnp.complexfloating) for leaf in leaves):
        raise TypeError("like has complex numbers; Brownian motions are real, of a complex state too: pass y.real.")
    h = lengths(known_times(ts), precision(leaves))
    path = CounterPath(rng)
    draws = jax.vmap(lambda k, h: path.increment(k, None, h, tuple(leaves)).dW)(jnp.arange(h.size), h)
    return jax.tree.unflatten(treedef, draws)
