"""From one calculus to the other: dy = f dt + g dB (Ito) is dy = (f - 1/2 g . dg) dt + g o dB (Stratonovich).

g . dg, the sum over Brownian motions j of (dg_j / dy) g_j, is the derivative of each column of g along itself.

That is for increasing time. Where the times of a solve decrease, from t1 down to t0, Ito's sum has g at the start of
each step as well, which is now its later end. With s = -t the equation is dy = -f ds + g dB in increasing s, whose
Stratonovich drift is -f - 1/2 g . dg; in terms of dt = -ds this is f + 1/2 g . dg. So the correction changes its sign:
`stratonovich_to_ito` and `ito_to_stratonovich` change places.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from jaxsde.choices import one_of
from jaxsde.flat_sde import BY_COLUMNS, aligned, real_dtype
from jaxsde.noise_contract import has_cross_terms
from jaxsde.problem import NOISES, check_additive
from jaxsde.signatures import check_takes
from jaxsde.types import Args, State, TimeLike

Function = Callable[[Any, Any, Any], Any]


def g_dg(g: Function, noise: str = "diagonal", noise_shape: tuple[int, ...] | None = None) -> Function:
    """The product `(y, t, args) -> g . dg`, like y.

    **Arguments:**

    - `g`: the diffusion, as the solvers take it. With diagonal noise the product is one Jacobian-vector product, as
      with scalar noise, if g_i depends on y_i alone; if it does not, it is one for each entry of y. With
      commutative and general noise it is one for each Brownian motion.
    - `noise`: the noise type; `noise_shape`: for noise by columns that is matrix-free.
    """
    one_of("noise", noise, NOISES)
    check_takes("g", g, "y", "t", "args")

    def along_itself(column: Callable[[Any], Any], y: State) -> Any:
        direction = _filled(column(y), y)
        return jax.jvp(lambda y: _filled(column(y), y), (y,), (direction,))[1]

    def along_each_entry(y: State, t: TimeLike, args: Args) -> Any:
        """Of diagonal noise whose column j is g_j alone, but may depend on all of y."""
        products = []
        for k, leaf in enumerate(jax.tree.leaves(y)):

            def of_entry(unit: Array, k: int = k) -> Any:
                def column(y: State) -> Any:
                    values = jax.tree.leaves(_filled(g(y, t, args), y))
                    entry = [unit * x if j == k else jnp.zeros_like(x) for j, x in enumerate(values)]
                    return jax.tree.unflatten(jax.tree.structure(y), entry)

                return jax.tree.leaves(along_itself(column, y))[k]

            units = jnp.eye(leaf.size, dtype=leaf.dtype).reshape(leaf.size, *leaf.shape)
            products.append(jax.vmap(of_entry)(units).sum(0))
        return jax.tree.unflatten(jax.tree.structure(y), products)

    def product(y: State, t: TimeLike, args: Args) -> Any:
        if noise == "additive":
            check_additive(g, y, t, args)
            return jax.tree.map(jnp.zeros_like, y)
        if noise == "diagonal" and has_cross_terms(g, y, t, args):
            return along_each_entry(y, t, args)
        if noise not in BY_COLUMNS:
            return along_itself(lambda y: g(y, t, args), y)
        shape = noise_shape or jax.tree.leaves(jax.eval_shape(g, y, t, args))[0].shape[-1:]
        size = math.prod(shape)
        basis = jnp.eye(size, dtype=real_dtype(jax.tree.leaves(y)[0].dtype)).reshape(size, *shape)

        def times(v: Array) -> Callable[[Any], Any]:
            if noise_shape is not None:
                return lambda y: g(y, t, args)(v)
            return lambda y: jax.tree.map(lambda x: jnp.tensordot(x, jnp.asarray(v, x.dtype), 1), g(y, t, args))

        return jax.tree.map(lambda x: x.sum(0), jax.vmap(lambda v: along_itself(times(v), y))(basis))

    return product


def _filled(tree: PyTree, y: State) -> Any:
    """A tree like y, with zeros where `tree` has None."""
    leaves = zip(aligned(tree, y), jax.tree.leaves(y), strict=True)
    return jax.tree.unflatten(
        jax.tree.structure(y), [jnp.zeros_like(b) if a is None else jnp.asarray(a, b.dtype) for a, b in leaves]
    )


def ito_to_stratonovich(
    f: Function, g: Function, noise: str = "diagonal", noise_shape: tuple[int, ...] | None = None
) -> Function:
    """The drift f - 1/2 g . dg, with which Stratonovich's calculus gives the Ito solution of f and g.

    For increasing times; where they decrease the sign changes, and `stratonovich_to_ito` is that drift.
    """
    return _shifted(f, g_dg(g, noise, noise_shape), -0.5)


def stratonovich_to_ito(
    f: Function, g: Function, noise: str = "diagonal", noise_shape: tuple[int, ...] | None = None
) -> Function:
    """The drift f + 1/2 g . dg, with which Ito's calculus gives the Stratonovich solution of f and g.

    For increasing times; where they decrease the sign changes, and `ito_to_stratonovich` is that drift.
    """
    return _shifted(f, g_dg(g, noise, noise_shape), 0.5)


def _shifted(f: Function, product: Function, factor: float) -> Function:
    check_takes("f", f, "y", "t", "args")

    def drift(y: State, t: TimeLike, args: Args) -> Any:
        return jax.tree.map(lambda a, b: a + factor * b, f(y, t, args), product(y, t, args))

    return drift
