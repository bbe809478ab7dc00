"""The precision that a Bayesian layer computes in."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from jaxsde.forks import refuse_fork
from sdebnn.brax.layers.bayesian import Output, PairForArrayError, Params, widest
from sdebnn.errors import InputError


def precision(called: str, *trees: PyTree) -> Any:
    """The highest precision of the real numbers in these pytrees, as NumPy promotes them; whole numbers have none.

    **Raises:** `InputError`, which names the layer as `called`, for complex numbers and for what is no array.
    """
    refuse_fork()
    dtypes = []
    for leaf in jax.tree.leaves(trees, is_leaf=lambda x: isinstance(x, Output)):
        if isinstance(leaf, Output):
            raise PairForArrayError
        try:
            dtype = jnp.result_type(leaf)
        except (TypeError, ValueError) as error:
            raise InputError(f"{called} got a {type(leaf).__name__}; it takes arrays: {error}") from error
        if jnp.issubdtype(dtype, jnp.complexfloating):
            raise InputError(f"{called} got complex numbers ({dtype}); it takes real ones, such as x.real and x.imag.")
        if jnp.issubdtype(dtype, jnp.floating):
            dtypes.append(dtype)
    return widest(*dtypes) if dtypes else jnp.result_type(float)


def working(dtype: Any) -> Any:
    """The precision of states, noise and KL for outputs of that dtype. Small steps are lost in half precision."""
    return widest(dtype, jnp.float32)


def as_precision(dtype: Any, tree: PyTree, *, whole: bool = False) -> Any:
    """The pytree with its real numbers in that precision, and its whole numbers too where asked."""

    def leaf(x: Any) -> Any:
        x = jnp.asarray(x)
        return x.astype(dtype) if whole or jnp.issubdtype(x.dtype, jnp.floating) else x

    return jax.tree.map(leaf, tree)


def strong_types(tree: PyTree) -> Any:
    """The pytree as arrays whose dtypes are none that JAX holds for weak ones, as it does those of Python's numbers and
    of what is made of them: after a gradient step they are not, and what was compiled for them is compiled again.
    """

    def leaf(x: Any) -> Any:
        array = jnp.asarray(x if hasattr(x, "dtype") else np.asarray(x))
        return jnp.asarray(array, array.dtype)

    return jax.tree.map(leaf, tree)


def check_real(called: str, params: Params) -> None:
    """**Raises:** `InputError` for parameters that are not real numbers."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        dtype = getattr(leaf, "dtype", None)
        if not (isinstance(leaf, float) if dtype is None else jnp.issubdtype(dtype, jnp.floating)):
            kind = type(leaf).__name__ if dtype is None else dtype
            raise InputError(
                f"{called} has the parameter {jax.tree_util.keystr(path) or 'itself'} of {kind}; weights that are "
                "drawn are real numbers: keep others out of the parameters, in the functions of the layer."
            )
