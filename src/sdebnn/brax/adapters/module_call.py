"""How modules of other libraries are called, with or without depth, and what shape they give."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from sdebnn.brax.layers.bayesian import Depth, Hidden, Params, Shape
from sdebnn.errors import InputError


def module_call(module: Any) -> Callable[[Callable[..., Any], Any, Any], Any]:
    """The function `(module, inputs, t) -> outputs` that calls modules like this one: `module(inputs)`, and with depth
    where the module's call has an argument named `t`.

    **Raises:** `InputError` when the call needs any other argument.
    """
    name = type(module).__name__
    arguments = inspect.signature(module).parameters.values()
    needed = [a.name for a in arguments if a.default is a.empty and a.kind not in (a.VAR_POSITIONAL, a.VAR_KEYWORD)]
    others = [argument for argument in needed if argument != "t"]
    if len(others) > 1:
        raise InputError(
            f"{name} is called with ({', '.join(needed)}), but f_x gets an array and, under the name t, the depth; "
            f"give {' and '.join(others[1:])} a default."
        )
    takes_t = [argument.name for argument in arguments if argument.name == "t"]
    if not takes_t:
        return lambda module, inputs, t: module(inputs)

    def call(module: Callable[..., Any], inputs: Hidden, t: Depth) -> Any:
        if t is None:
            raise InputError(f"{name} takes the depth t and got none; use it inside a block, or call it with t=....")
        # Vector fields are often written (t, x), so the inputs go by position only where they come first.
        return module(t, inputs) if needed[0] == "t" else module(inputs, t=t)

    return call


def as_array_spec(input_shape: Shape) -> jax.ShapeDtypeStruct:
    """Inputs of the shape that `init` got, with one example where the batch is left open (-1)."""
    return jax.ShapeDtypeStruct(tuple(1 if side == -1 else int(side) for side in input_shape), jnp.result_type(float))


def output_shape(apply: Callable[..., Any], params: Params, input_shape: Shape) -> Shape:
    """The shape that a layer gives for inputs of `input_shape`; nothing is computed.

    **Raises:** `InputError` when it gives anything but one array.
    """
    outputs = jax.eval_shape(
        lambda params, inputs, t: apply(params, inputs, t=t), params, as_array_spec(input_shape), jnp.zeros(())
    )
    if not isinstance(outputs, jax.ShapeDtypeStruct):
        raise InputError(f"f_x must give one array, the change of the hidden state, but its module gives {outputs}.")
    return (input_shape[0], *outputs.shape[1:])
