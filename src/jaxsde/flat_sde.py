"""A stochastic differential equation as the methods see it: states and noise are tuples of arrays.

A user's pytrees become tuples of leaves here, once. A complex leaf stays one: noise is real, and derivatives are taken
along directions in the plane, by `jax.jvp`, which asks for no holomorphic function. In such a tuple `None` stands for
zero: a leaf of the state that has no noise of its own has `None` in place of its diffusion and its Brownian increment;
nothing is drawn or added.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from jaxsde.types import Args, Leaves, Noise, SDEType, Shapes, State, Time

# Of which g always gives a matrix, with a column for each Brownian motion, or the function v -> g v.
BY_COLUMNS = ("commutative", "general")


def aligned(prefix: PyTree, tree: PyTree) -> tuple[Any, ...]:
    """The leaves of `prefix`, one for each of `tree`; `None` in `prefix` stands for a whole subtree."""
    leaves: list[Any] = []
    jax.tree.map(
        lambda leaf, subtree: leaves.extend([leaf] * len(jax.tree.leaves(subtree))),
        prefix,
        tree,
        is_leaf=lambda leaf: leaf is None,
    )
    return tuple(leaves)


def real_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Of the real and the imaginary part of complex numbers; of real ones their own."""
    return jnp.finfo(dtype).dtype


def precision(tree: PyTree) -> np.dtype[Any]:
    """The precision that times have beside a state: that of its most precise leaf, single at least."""
    return np.result_type(np.float32, *(real_dtype(leaf.dtype) for leaf in jax.tree.leaves(tree)))


def add(*terms: Leaves) -> Leaves:
    """The sum of tuples of leaves; `None` is zero."""
    return tuple(_sum([leaf for leaf in leaves if leaf is not None]) for leaves in zip(*terms, strict=True))


def _nothing(y: State, t: Time, args: Args) -> None:
    return None


def _sum(leaves: list[Any]) -> Any:
    if not leaves:
        return None
    total = leaves[0]
    for leaf in leaves[1:]:
        total = total + leaf
    return total


def scale(factor: float | int | Array, leaves: Leaves) -> Leaves:
    """`factor` times every leaf, in the leaf's own precision; `None` stays `None`."""
    return tuple(None if x is None else jnp.asarray(factor, x.dtype) * x for x in leaves)


def combine(weights: Sequence[float], stages: Sequence[Leaves]) -> Leaves:
    """The sum of the first stages, one at least, by their weights; a weight of zero costs nothing."""
    weighted = [scale(weight, stage) for weight, stage in zip(weights, stages, strict=False) if weight]
    return add(*weighted) if weighted else (None,) * len(stages[0])


def size(leaves: Leaves, at_least: float | Time = 0.0) -> Leaves:
    """The size of every entry, or `at_least` where that is more; `None` stays `None`."""
    sizes = (None if x is None else jnp.abs(x) for x in leaves)
    return tuple(None if x is None else jnp.maximum(x, jnp.asarray(at_least, x.dtype)) for x in sizes)


def derivative(function: Callable[[Any], Leaves], y: tuple[Array, ...], direction: Leaves) -> Leaves:
    """Of a function of leaves at y, along a direction."""
    tangent = tuple(jnp.zeros_like(x) if v is None else v for v, x in zip(direction, y, strict=True))
    return jax.jvp(function, (y,), (tangent,))[1]


@dataclasses.dataclass(frozen=True)
class FlatSDE:
    """dy = f(y, t, args) dt + g(y, t, args) dB, with f and g in terms of leaves.

    **Arguments:**

    - `f`, `g`: the user's functions; `g` is `None` for an ODE.
    - `like`: a pytree with the structure and dtypes of y.
    - `noise_like`: shape and dtype, a real one, of every Brownian increment: a single one with scalar noise and noise
      by columns, else one for each leaf of y.
    - `damping`: of a Langevin equation, whose leaves are those of the position and after them those of the momentum, a
      function of a length of time and args: friction times that. `None` for any other equation.
    - `additive_matrix`: whether `g` has a column for each Brownian motion with additive noise too.
    - `matrix_free`: with noise by columns, whether `g` gives the function v -> g v instead of the matrix.
    """

    f: Callable[..., Any]
    g: Callable[..., Any] | None
    sde_type: SDEType
    noise: Noise
    like: Any
    noise_like: Shapes
    additive_matrix: bool = False
    matrix_free: bool = False
    damping: Callable[[Time, Args], Any] | None = None

    @property
    def by_columns(self) -> bool:
        """Whether `g` has a column for each Brownian motion."""
        return self.noise in BY_COLUMNS or self.additive_matrix

    @property
    def kind(self) -> Any:
        """Hashable: all of it but f and g."""
        leaves, tree = jax.tree.flatten(self.like)
        return self.sde_type, self.noise, tuple(leaves), tree, self.noise_like, self.by_columns, self.matrix_free

    def traceable(self, t: jax.ShapeDtypeStruct) -> dict[str, Any]:
        """f and g as functions that give arrays, each with an example of its arguments but args."""
        y, g = self.like, self.g
        functions: dict[str, Any] = {"f": (self.f, (y, t)), "g": None if g is None else (g, (y, t))}
        if g is not None and self.matrix_free:
            functions["g"] = (lambda y, t, v, args: g(y, t, args)(v), (y, t, self.noise_like[0]))
        return functions | {"damping": self.damping and (self.damping, (t,))}

    def of(self, functions: PyTree) -> "FlatSDE":
        """The equation with what was made of its `traceable` functions."""
        f, g = functions["f"], functions["g"]
        by_vector = (lambda y, t, args: lambda v: g(y, t, v, args)) if g is not None and self.matrix_free else g
        return dataclasses.replace(self, f=f, g=by_vector, damping=functions["damping"])

    def without_functions(self) -> "FlatSDE":
        return dataclasses.replace(self, f=_nothing, g=None, damping=None)

    def unflatten(self, y: PyTree) -> Any:
        return jax.tree.unflatten(jax.tree.structure(self.like), y)

    def drift(self, y: Leaves, t: Time, args: Args) -> Leaves:
        return self._leaves(self.f(self.unflatten(y), t, args))

    def diffusion(self, y: Leaves, t: Time, args: Args) -> Any:
        """g(y, t): leaves, or with matrix-free noise the user's function."""
        if self.g is None:
            return (None,) * len(y)
        g = self.g(self.unflatten(y), t, args)
        return g if self.matrix_free else self._leaves(g)

    def product(self, g: PyTree, dW: Leaves) -> Leaves:
        """g dW, where `g` is what `diffusion` gave."""
        if self.g is None:
            return g
        if self.matrix_free:
            return self._leaves(g(dW[0]))
        if self.noise == "scalar":
            assert dW[0] is not None
            return scale(dW[0], g)
        if self.by_columns:
            return tuple(None if x is None else jnp.tensordot(x, jnp.asarray(dW[0], x.dtype), 1) for x in g)
        return tuple(None if x is None else x * jnp.asarray(w, x.dtype) for x, w in zip(g, dW, strict=True))

    def noise_term(self, y: Leaves, t: Time, args: Args, dW: Leaves) -> Leaves:
        """g(y, t) dW."""
        return self.product(self.diffusion(y, t, args), dW)

    def _leaves(self, tree: PyTree) -> Leaves:
        return tuple(
            None if x is None else jnp.asarray(x, leaf.dtype)
            for x, leaf in zip(aligned(tree, self.like), jax.tree.leaves(self.like), strict=True)
        )
