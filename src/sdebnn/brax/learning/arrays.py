"""Pytrees of parameters as named arrays, which is how checkpoints keep them."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from sdebnn.errors import InputError


def to_named_arrays(tree: PyTree) -> dict[str, np.ndarray]:
    """Every leaf under its path, like `network/0/w0/1`."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {_name(path): np.asarray(leaf) for path, leaf in leaves}


def from_named_arrays(named: Mapping[str, np.ndarray], like: PyTree) -> Any:
    """The pytree with the structure and the shapes of `like` (arrays or `jax.ShapeDtypeStruct`s) that has these leaves.

    **Raises:** `InputError` naming the first array that is missing, left over, or of another shape or dtype.
    """

    def leaf(path: Any, expected: Any) -> Any:
        name = _name(path)
        if name not in named:
            raise InputError(f"The checkpoint has no array {name!r}; it is of another model or configuration.")
        got = named[name]
        if got.shape != tuple(expected.shape) or got.dtype != expected.dtype:
            raise InputError(
                f"The checkpoint's array {name!r} is {got.dtype}{list(got.shape)}, but this model needs "
                f"{np.dtype(expected.dtype)}{list(expected.shape)}; it is of another model or configuration."
            )
        return jax.numpy.asarray(got)

    tree = jax.tree_util.tree_map_with_path(leaf, like)
    extra = sorted(set(named) - {_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(like)})
    if extra:
        raise InputError(
            f"The checkpoint has an array {extra[0]!r} that this model does not have; "
            "it is of another model or configuration."
        )
    return tree


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
