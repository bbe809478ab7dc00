"""Standard normals for the leaves of the noise."""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Float, UInt32

from jaxsde import loops
from jaxsde.brownian import threefry
from jaxsde.types import Key, Leaves, Shapes, Size

# What a batch is drawn by gives: the draws, and that they are of the batch.
Drawn = tuple[Float[Array, "..."], bool]
# XLA's compiler for CPUs vectorises no loop of fewer turns, but those of eight.
SHORT, VECTOR = 16, 8
# Draws that are worth the start of a program of their own: of short rows, and of others.
FEW, MANY = 32, 256


def normals(key: Key, like: Shapes) -> Leaves:
    """One array for each leaf of `like`, and `None` for a `None`. Several leaves split the key, one key a leaf."""
    words = jax.random.key_data(key)
    noisy = [x for x in like if x is not None]
    keys = iter([words] if len(noisy) == 1 else threefry.split(words, max(len(noisy), 1)))
    return tuple(None if x is None else _leaf(next(keys), x.shape, np.dtype(x.dtype)) for x in like)


def _leaf(words: UInt32[Array, "2"], shape: tuple[Size, ...], dtype: np.dtype) -> Float[Array, "..."]:
    # Symbols of two exported programs may not be compared, as what a compiled function is looked up by is.
    known = not any(map(export.is_symbolic_dim, shape))
    return _compiled(words, shape, dtype) if known else _draws(shape, dtype)(words)


@functools.partial(jax.jit, static_argnums=(1, 2), inline=True)
def _compiled(words: UInt32[Array, "2"], shape: tuple[Size, ...], dtype: np.dtype) -> Float[Array, "..."]:
    """Of draws outside of any program, so that the second is not compiled anew."""
    return _draws(shape, dtype)(words)


def _draws(shape: tuple[Size, ...], dtype: np.dtype) -> Callable[[UInt32[Array, "2"]], Float[Array, "..."]]:
    """A draw of one leaf from the words of a key, which knows what to do with many keys."""
    size, axes = math.prod(shape), [n for n in shape if n != 1]
    apart = FEW if axes and _is_short(axes[-1]) else MANY

    def row(key: threefry.Words) -> Float[Array, " size"]:
        return threefry.normal(key, jnp.arange(size, dtype=jnp.uint32), dtype)

    def rows(keys: threefry.Words) -> Float[Array, "batch size"]:
        if _is_short(size) and _least(keys[0].size) > size:
            places = jnp.arange(size, dtype=jnp.uint32)
            return jax.vmap(lambda place: threefry.normal(keys, place, dtype))(places).T
        return jax.vmap(row)(keys)

    @custom_vmap
    def draw(key: UInt32[Array, "2"]) -> Float[Array, "..."]:
        words = key[0], key[1]
        return (_apart(row, words) if _least(size) >= apart else row(words)).reshape(shape)

    @custom_vmap
    def draw_each(keys: UInt32[Array, "batch 2"]) -> Float[Array, "..."]:
        words, batch = (keys[:, 0], keys[:, 1]), keys.shape[0]
        many = _least(batch) * _least(size) >= apart and not _is_shared_out(keys)
        return (_apart(rows, words) if many else rows(words)).reshape(batch, *shape)

    @draw.def_vmap
    def _(axis_size: Size, in_batched: list[bool], keys: UInt32[Array, "batch 2"]) -> Drawn:
        return draw_each(keys), True

    @draw_each.def_vmap
    def _(axis_size: Size, in_batched: list[bool], keys: UInt32[Array, "outer batch 2"]) -> Drawn:
        if _is_shared_out(keys):
            return jax.vmap(jax.vmap(lambda key: row((key[0], key[1])).reshape(shape)))(keys), True
        return draw_each(keys.reshape(-1, 2)).reshape(*keys.shape[:2], *shape), True

    return draw


def _is_short(axis: Size) -> bool:
    return 1 < _least(axis) < SHORT and axis != VECTOR


def _is_shared_out(keys: UInt32[Array, "..."]) -> bool:
    """Over the devices of an explicit mesh, where a batch is neither sliced nor made one with another."""
    return any(axis is not None for axis in jax.typeof(keys).sharding.spec)


def _least(axis: Size) -> int:
    """An axis whose size an exported program is given later counts as one."""
    return 1 if export.is_symbolic_dim(axis) else int(axis)


def _apart(draw: Callable[[threefry.Words], Array], keys: threefry.Words) -> Array:
    """`draw(keys)` in a program of its own on CPUs.

    XLA would make one of the draw and of what the numbers are for, and go over it by the state's axes. Where the last
    is short nothing of it is vectorised, and a normal takes six times as long as one of a long row. What is in a
    branch of a condition is left alone, and that a word with its last bit set is not zero, XLA doesn't see.
    """
    if jax.default_backend() != "cpu":
        return draw(keys)
    out = jax.eval_shape(draw, keys)
    return loops.cond((keys[0].ravel()[0] | 1) != 0, draw, lambda _: jnp.zeros(out.shape, out.dtype), keys)
