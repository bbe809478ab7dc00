"""Keys of our own, made of the user's.

Two things are wrong with drawing from a user's key as it is. The key may be of a generator whose numbers depend on what
else is drawn beside them: JAX's `rbg` and `unsafe_rbg` give a batch under `vmap` other numbers than each of its paths
alone, and a path has to be a function of its key and of time. And users draw from their keys as well, by `split` and
`fold_in`, or hand one key to two of our functions: normals that are drawn twice are a law that nobody asked for. So
every use of randomness takes a threefry key, which is a function of the key's bits and of what it is used for.
"""

import zlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxsde.brownian import threefry
from jaxsde.forks import refuse_fork
from jaxsde.types import Index, Key

RAW_SIZES = (2, 4)


def check_key(rng: Key | None) -> None:
    """Refuses what is neither a typed key nor a legacy one, and any in a process where JAX cannot compute."""
    refuse_fork()
    dtype, shape = getattr(rng, "dtype", None), getattr(rng, "shape", None)
    if dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key):
        good = shape == ()
    else:
        good = dtype == jnp.uint32 and shape in {(size,) for size in RAW_SIZES}
    if not good:
        batch = " For a batch of solves take jax.vmap over its keys." if dtype is not None and shape else ""
        raise TypeError(
            f"rng is {type(rng).__name__} {'' if shape is None else shape} {rng if dtype is None else dtype}; the "
            "noise needs one JAX key, such as jax.random.key(0), or a raw one of 2 (threefry) or 4 (rbg) numbers in "
            f"uint32.{batch}"
        )


def threefry_key(rng: Key | None) -> Any:
    """The threefry key that has the bits of `rng`: a key of threefry is itself.

    **Arguments:**

    - `rng`: one JAX key: typed, of any generator, or raw.

    **Raises:** `TypeError` for what is not one key.
    """
    check_key(rng)
    assert rng is not None
    typed = jnp.issubdtype(rng.dtype, jax.dtypes.prng_key)
    words = jnp.asarray(jax.random.key_data(rng) if typed else rng).reshape(-1)
    key = jax.random.wrap_key_data(words[:2], impl="threefry2x32")
    for word in range(2, words.size):
        key = fold_in(key, words[word])
    return key


def fold_in(key: Key, number: Index) -> Any:
    """As `jax.random.fold_in` of a threefry key, without its loop of small programs."""
    return jax.random.wrap_key_data(threefry.fold_in(jax.random.key_data(key), number), impl="threefry2x32")


def derive_key(rng: Key | None, purpose: str) -> Any:
    """The threefry key that `rng` gives for a purpose, which is a name that no other use of randomness has.

    It is neither the key of another purpose, nor any of `jax.random.split(rng, n)` or `jax.random.fold_in(rng, k)` for
    numbers below 2^31.
    """
    return fold_in(threefry_key(rng), np.uint32(2**31 | zlib.crc32(purpose.encode())))
