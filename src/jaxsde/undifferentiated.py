"""What decides whether something happens: its derivative is refused."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def undifferentiated(x: Array, sentence: str) -> Array:
    """x. **Raises:** `TypeError` with the sentence, when what x depends on is differentiated, in either mode."""
    return x


def _refuse(sentence: str, primals: tuple[Array], tangents: tuple[Any]) -> tuple[Array, Array]:
    if type(tangents[0]) is not jax.custom_derivatives.SymbolicZero:
        raise TypeError(sentence)
    return primals[0], jnp.zeros_like(primals[0])


undifferentiated.defjvp(_refuse, symbolic_zeros=True)
