"""Flax Linen modules as f_x."""

from typing import Any

import flax.errors
import jax
import jax.numpy as jnp
from flax import linen
from jaxtyping import PRNGKeyArray

from sdebnn.brax.adapters.flax_layout import as_in_flax, one_output_axis
from sdebnn.brax.adapters.module_call import as_array_spec, module_call, output_shape
from sdebnn.brax.layers.bayesian import Depth, Hidden, Layer, Params, Shape
from sdebnn.errors import InputError


def from_linen(module: Any) -> Layer:
    """A Flax Linen module as an (init, apply) pair, for example the f_x of an `SDEBNN`.

    Params are the module's collection `"params"`; in layers with several axes of outputs, such as attention, kernels
    are matrices and biases vectors, so that `fan_in` counts their inputs.

    **Arguments:**

    - `module`: acts on a whole batch, as Linen's modules do. `init` draws its weights. Where its call has an argument
      named `t`, it gets the depth.

    **Raises:** `InputError` for what is no Linen module and for one whose call needs more than an array and `t`; when
    `init` is called, for collections other than `"params"` (`BatchNorm`), for Dropout that is switched on, and for no
    weights.
    """
    if not isinstance(module, linen.Module):
        raise InputError(
            f"from_linen got a {type(module).__name__}; it takes a flax.linen.Module. For flax.nnx there is from_nnx."
        )
    name = type(module).__name__
    call = module_call(module)

    def draw(rng: PRNGKeyArray, inputs: Hidden) -> Params:
        variables = module.init({"params": rng}, inputs, jnp.zeros(()), method=call)
        state = sorted(set(variables) - {"params"})
        if state:
            raise InputError(
                f"{name} has state ({', '.join(state)}), as BatchNorm has; it cannot follow the weight SDE. Take a "
                "normalisation without state, such as LayerNorm or GroupNorm."
            )
        if not jax.tree.leaves(variables):
            raise InputError(f"{name} has no weights; the weight SDE has nothing to move.")
        return variables["params"]

    def init(rng: PRNGKeyArray, input_shape: Shape) -> tuple[Shape, Params]:
        spec = as_array_spec(input_shape)
        params = one_output_axis(draw(rng, jnp.zeros(spec.shape, spec.dtype)))
        return output_shape(apply, params, input_shape), params

    def apply(params: Params, inputs: Hidden, *, t: Depth | None = None, **kwargs: Any) -> Any:
        stored = as_in_flax(params, jax.eval_shape(draw, jax.random.key(0), inputs))
        try:
            return module.apply({"params": stored}, inputs, t, method=call)
        except flax.errors.InvalidRngError as error:
            raise InputError(
                f"{name} draws random numbers when it is called, as Dropout does, but the weights are random already; "
                "switch it off with deterministic=True."
            ) from error

    return Layer(init, apply)
