"""The number of inputs that each weight of a network competes with."""

import math
from typing import Any

import jax

from sdebnn.brax.layers.bayesian import Params


def fan_in(params: Params) -> Any:
    """The fan-in n of every array in the params of a layer or a network; 1 / sqrt(n) is its usual initial scale.

    That of a weight is the product of its sides but the last: the inputs of a matrix (in, out), the taps times the
    channels of a kernel (height, width, in, out). A bias has the largest fan-in among the weights beside it, in the
    same tuple, list or dict, and 1 where there are none. Biases are vectors, scalars, and arrays like (1, 1, 1, out).

    **Returns:** a pytree of floats with the structure of `params`.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(params)
    layers: dict[Any, int] = {}
    for path, leaf in leaves:
        layers[path[:-1]] = max(layers.get(path[:-1], 1), math.prod(leaf.shape[:-1]))
    return jax.tree.unflatten(
        structure, [float(layers[path[:-1]] if _is_bias(leaf) else math.prod(leaf.shape[:-1])) for path, leaf in leaves]
    )


def _is_bias(leaf: Any) -> bool:
    return leaf.ndim != 2 and math.prod(leaf.shape[:-1]) == 1
