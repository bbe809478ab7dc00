"""Flax NNX modules as f_x."""

from typing import Any

import flax.errors
import jax
from flax import linen, nnx
from jaxtyping import PRNGKeyArray

from sdebnn.brax.adapters.flax_layout import as_in_flax, one_output_axis
from sdebnn.brax.adapters.module_call import module_call, output_shape
from sdebnn.brax.layers.bayesian import Depth, Hidden, Layer, Params, Shape
from sdebnn.errors import InputError


def from_nnx(module: Any) -> Layer:
    """A Flax NNX module as an (init, apply) pair, for example the f_x of an `SDEBNN`.

    The module's `nnx.Param`s become the layer's params, nested dicts; in layers with several axes of outputs, such as
    attention, kernels are matrices and biases vectors, so that `fan_in` counts their inputs. The module itself is never
    changed.

    **Arguments:**

    - `module`: an `nnx.Module`, whose own weights are those that `init` returns, whatever the key; or a function from
      `nnx.Rngs` to such a module, so that `init` draws new ones. It acts on a whole batch, as NNX's modules do. Where
      its call has an argument named `t`, it gets the depth.

    **Raises:** `InputError` for a module with variables that are no `nnx.Param`s (`nnx.BatchNorm`) or without weights,
    and for one whose call needs more than an array and `t`; when `init` is called, for Dropout that is switched on.
    """
    makes_modules = callable(module) and not isinstance(module, nnx.Module | linen.Module)
    example = module(nnx.Rngs(0)) if makes_modules else module
    if not isinstance(example, nnx.Module):
        raise InputError(
            f"from_nnx got a {type(module).__name__}; it takes an nnx.Module or a function from nnx.Rngs to one. For "
            "flax.linen there is from_linen."
        )
    name = type(example).__name__
    call = module_call(example)
    graph, weights, *others = nnx.split(example, nnx.Param, ...)
    like = nnx.to_pure_dict(weights)
    state = [v for v in jax.tree.leaves(others, is_leaf=_is_variable) if _is_variable(v)]
    state = [v for v in state if not isinstance(v, nnx.RngState)]
    if state:
        raise InputError(
            f"{name} has state ({type(state[0]).__name__}), as BatchNorm has; it cannot follow the weight SDE. Take a "
            "normalisation without state, such as nnx.LayerNorm or nnx.GroupNorm."
        )
    if not jax.tree.leaves(like):
        raise InputError(f"{name} has no weights; the weight SDE has nothing to move.")

    def init(rng: PRNGKeyArray, input_shape: Shape) -> tuple[Shape, Params]:
        params = one_output_axis(
            nnx.to_pure_dict(nnx.state(module(nnx.Rngs(rng)), nnx.Param)) if makes_modules else like
        )
        return output_shape(apply, params, input_shape), params

    def apply(params: Params, inputs: Hidden, *, t: Depth | None = None, **kwargs: Any) -> Any:
        module = nnx.merge(graph, as_in_flax(params, like), *others)
        try:
            return call(module, inputs, t)
        except flax.errors.TraceContextError as error:
            raise InputError(
                f"{name} changes its own variables when it is called, as Dropout counts its random numbers, but the "
                "weights are random already; switch it off with module.eval()."
            ) from error

    return Layer(init, apply)


def _is_variable(value: object) -> bool:
    return isinstance(value, nnx.Variable)
