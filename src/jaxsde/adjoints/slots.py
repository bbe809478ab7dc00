"""Room for some of the carries of a solve. Arrays that are shared out over devices stay so in it."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from jaxsde.types import Carry, Index


def empty(number: int, carry: Carry) -> Any:
    """So many slots for what is like `carry`."""
    return jax.tree.map(lambda y: jax.lax.broadcast(jnp.zeros_like(y), (number,)), carry)


def put(slots: PyTree, slot: Index, carry: Carry) -> Any:
    """The slots with a carry in one of them."""
    return jax.tree.map(lambda kept, y: jax.lax.dynamic_update_index_in_dim(kept, y, slot, 0), slots, carry)


def get(slots: PyTree, slot: Index) -> Any:
    """The carry in a slot."""
    return jax.tree.map(lambda kept: kept[slot], slots)
