"""f_x in half the precision."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from sdebnn.brax.layers.bayesian import Layer, Params


def Bfloat16(fx: Any) -> Layer:
    """`fx` computed in bfloat16, which has the range of float32 and 3 digits.

    Hidden states, weights, their drift and the KL keep their own precision: of `SDEBNN(Bfloat16(fx), process)` f_x
    alone is rounded. It pays where the device multiplies in bfloat16, as GPUs and TPUs do; XLA's convolutions on CPUs
    do not.

    **Arguments:** `fx`: a pair (init, apply), as of `SDEBNN`; its parameters stay as they are.
    """
    init, exact = fx

    def rounded(leaf: Any) -> Any:
        return jnp.asarray(leaf, jnp.bfloat16)

    def apply(params: Params, inputs: Float[Array, "..."], **kwargs: Any) -> Float[Array, "..."]:
        if "t" in kwargs:
            kwargs["t"] = rounded(kwargs["t"])
        outputs = exact(jax.tree.map(rounded, params), rounded(inputs), **kwargs)
        return outputs.astype(inputs.dtype)

    return Layer(init, apply)
