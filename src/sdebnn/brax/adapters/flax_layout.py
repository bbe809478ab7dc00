"""Flax's parameters in the layout that `fan_in` reads."""

import math
from typing import Any

import jax

from sdebnn.brax.layers.bayesian import Params


def one_output_axis(params: Params) -> Params:
    """Parameters, nested dicts, with one axis of outputs, the last, and with biases and scales as vectors.

    Flax stores (in, out) and (height, width, in, out), which need nothing. Layers with several axes of outputs, such as
    the heads of attention, have biases of several axes; their kernels become matrices. It undoes this to reshape every
    array to its shape in Flax.
    """
    leaves = jax.tree_util.tree_leaves_with_path(params)
    outputs = {path[:-1]: leaf.shape for path, leaf in leaves if path[-1].key == "bias"}

    def layout(path: Any, leaf: Any) -> Any:
        name, bias = path[-1].key, outputs.get(path[:-1], ())
        if name in ("bias", "scale"):
            return leaf.reshape(-1)
        return leaf.reshape(-1, math.prod(bias)) if name == "kernel" and len(bias) > 1 else leaf

    return jax.tree_util.tree_map_with_path(layout, params)


def as_in_flax(params: Params, like: Params) -> Params:
    """Undoes `one_output_axis`; `like` has the shapes of Flax."""
    return jax.tree.map(lambda leaf, spec: leaf.reshape(spec.shape), params, like)
