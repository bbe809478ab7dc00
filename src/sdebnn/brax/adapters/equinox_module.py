"""Equinox modules as f_x."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from sdebnn.brax.adapters.module_call import module_call, output_shape
from sdebnn.brax.layers.bayesian import Depth, Hidden, Layer, Params, Shape
from sdebnn.errors import InputError


def from_equinox(module: Any, *, channels_first: bool = False) -> Layer:
    """An Equinox module as an (init, apply) pair, for example the f_x of an `SDEBNN`.

    The arrays that `eqx.filter_grad` would train become the layer's params, which are a module of the same kind, with
    its arrays in the layout that `fan_in` reads: outputs last, biases as vectors. All else, activation functions
    and arrays of integers, stays as it is.

    **Arguments:**

    - `module`: an `eqx.Module`, whose own weights are those that `init` returns, whatever the key; or a function from a
      key to such a module, so that `init` draws new ones. It acts on one example, as Equinox's modules do, and is
      mapped over the batch. Where its call has an argument named `t`, it gets the depth.
    - `channels_first`: for modules of images: they take and give (channels, height, width), as Equinox's convolutions
      do, while the hidden state is (batch, height, width, channels).

    **Raises:** `InputError` for a module with state (`eqx.nn.BatchNorm`), with Dropout that is switched on, with
    complex weights or without weights, and for one whose call needs more than an array and `t`.
    """
    fixed = isinstance(module, eqx.Module)
    example = module(jax.random.key(0)) if callable(module) and not fixed else module
    if not isinstance(example, eqx.Module):
        raise InputError(
            f"from_equinox got a {type(module).__name__}; it takes an eqx.Module or a function from a key to one. Of a "
            "pair (module, state) it cannot take the state."
        )
    _check(example)
    call = module_call(example)
    template, constants = eqx.partition(example, eqx.is_inexact_array)

    def init(rng: PRNGKeyArray, input_shape: Shape) -> tuple[Shape, Params]:
        params = _outputs_last(eqx.filter(example if fixed else module(rng), eqx.is_inexact_array))
        return output_shape(apply, params, input_shape), params

    def apply(params: Params, inputs: Hidden, *, t: Depth | None = None, **kwargs: Any) -> Any:
        module = eqx.combine(_as_stored(params, template), constants)
        if channels_first:
            inputs = jnp.moveaxis(inputs, -1, 1)
        outputs = jax.vmap(lambda x: call(module, x, t))(inputs)
        return jnp.moveaxis(outputs, 1, -1) if channels_first else outputs

    return Layer(init, apply)


def _check(module: eqx.Module) -> None:
    name = type(module).__name__
    for part in jax.tree.leaves(module, is_leaf=lambda part: isinstance(part, _REFUSED)):
        if isinstance(part, eqx.nn.StateIndex):
            raise InputError(
                f"{name} has state, as BatchNorm has, which cannot follow the weight SDE. Take a normalisation without "
                "state, such as eqx.nn.LayerNorm or eqx.nn.GroupNorm."
            )
        if isinstance(part, eqx.nn.Dropout) and not part.inference and part.p != 0:
            raise InputError(
                f"{name} has Dropout, which would redraw its mask at every step through depth, and the weights are "
                "random already; switch it off with eqx.nn.inference_mode(module)."
            )
    weights = jax.tree.leaves(eqx.filter(module, eqx.is_inexact_array))
    if not weights or any(jnp.iscomplexobj(leaf) for leaf in weights):
        raise InputError(f"{name} has {'complex' if weights else 'no'} weights; the weight SDE moves real ones.")


def _outputs_last(params: Params) -> Params:
    """Equinox stores (out, in, ...); `fan_in` counts all sides but the last."""
    vectors = _vectors(params)
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaf.ravel() if path in vectors else jnp.moveaxis(leaf, 0, -1) if leaf.ndim > 1 else leaf,
        jax.tree.map(jnp.asarray, params),
    )


def _as_stored(params: Params, template: Params) -> Params:
    vectors = _vectors(template)
    return jax.tree_util.tree_map_with_path(
        lambda path, like, leaf: (
            leaf.reshape(like.shape) if path in vectors else jnp.moveaxis(leaf, -1, 0) if like.ndim > 1 else leaf
        ),
        template,
        params,
    )


def _vectors(params: Params) -> set[Any]:
    """The paths of the weights that compete with no others: biases, and the scales of normalisations."""
    paths = set()
    for path, part in jax.tree_util.tree_leaves_with_path(params, is_leaf=lambda part: isinstance(part, _NORMS)):
        if isinstance(part, _NORMS):
            paths |= {(*path, *inner) for inner, _ in jax.tree_util.tree_leaves_with_path(part)}
        elif getattr(path[-1], "name", None) == "bias":
            paths.add(path)
    return paths


_NORMS = (eqx.nn.LayerNorm, eqx.nn.RMSNorm, eqx.nn.GroupNorm)
_REFUSED = (eqx.nn.StateIndex, eqx.nn.Dropout)
