"""Threefry-2x32 (Salmon et al., 2011) on the words of a key: the numbers of JAX's keys of that name, made for speed.

On CPUs `jax.random` runs the twenty rounds as a loop of small programs, which is half of what a step of a small solve
costs. Here they are one expression, which XLA makes one program of, with the folded key before it and the normals after
it. The numbers are those of `jax.random` to the bit, with its default `jax_threefry_partitionable=True`.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt32

from jaxsde.types import Index

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))

Words = tuple[UInt32[Array, "..."], UInt32[Array, "..."]]


def block(key: Words, counter: Words) -> Words:
    """The two words that a key makes of a counter, entry by entry."""
    first, second = key
    schedule = first, second, first ^ second ^ np.uint32(0x1BD11BDA)
    a, b = counter[0] + first, counter[1] + second
    for group in range(5):
        for rotation in ROTATIONS[group % 2]:
            a = a + b
            b = a ^ ((b << np.uint32(rotation)) | (b >> np.uint32(32 - rotation)))
        a = a + schedule[(group + 1) % 3]
        b = b + schedule[(group + 2) % 3] + np.uint32(group + 1)
    return a, b


@jax.jit
def fold_in(key: UInt32[Array, "2"], number: Index) -> UInt32[Array, "2"]:
    """As `jax.random.fold_in`."""
    low = jnp.asarray(number).astype(jnp.uint32)
    return jnp.stack(block((key[0], key[1]), (jnp.zeros_like(low), low)))


@functools.partial(jax.jit, static_argnums=1)
def split(key: UInt32[Array, "2"], parts: int) -> UInt32[Array, "parts 2"]:
    """As `jax.random.split`."""
    low = jnp.arange(parts, dtype=jnp.uint32)
    return jnp.stack(block((key[0], key[1]), (jnp.zeros_like(low), low)), axis=-1)


@functools.partial(jax.jit, static_argnums=2)
def normal(key: Words, place: UInt32[Array, "..."], dtype: np.dtype) -> Float[Array, "..."]:
    """The standard normals at these places of what `jax.random.normal` draws from the key, as if in one long row."""
    high, low = block(key, (jnp.zeros_like(place), place))
    info, word = jnp.finfo(dtype), np.dtype(f"uint{8 * dtype.itemsize}")
    # Fewer bits than a mantissa has are drawn by eight.
    drawn = info.bits if info.nmant >= 8 else 8
    if drawn == 64:
        bits = (high.astype(word) << word.type(32)) | low.astype(word)
    else:
        bits = (high ^ low).astype(f"uint{drawn}").astype(word)
    one = np.ones((), dtype)
    mantissa = (bits >> word.type(drawn - info.nmant)) | one.view(word)
    least = np.nextafter(-one, np.zeros((), dtype), dtype=dtype)
    uniform = (jax.lax.bitcast_convert_type(mantissa, dtype) - one) * (one - least) + least
    return np.sqrt(2).astype(dtype) * jax.lax.erf_inv(jnp.maximum(least, uniform))
