"""The path of a user's own class as the program of its increments, so that what they read may change between calls."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from jaxsde.brownian.counter_path import CounterPath
from jaxsde.brownian.increment import Increment
from jaxsde.brownian.path import BrownianPath
from jaxsde.brownian.replayed_path import ReplayedPath
from jaxsde.brownian.virtual_tree import VirtualTree
from jaxsde.types import Args, Index, Shapes, Time, TimeLike


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TracedPath:
    """A path whose increments are `draw(arrays, k, t, h, closed_over)`."""

    arrays: Any
    closed_over: Any
    draw: Callable[..., Increment] = dataclasses.field(metadata={"static": True})
    has_space_time: ClassVar[bool] = True

    def increment(self, k: Index, t: TimeLike, h: TimeLike, like: Shapes, space_time: bool = False) -> Increment:
        return self.draw(self.arrays, k, t, h, self.closed_over)


def is_own(path: BrownianPath | None) -> bool:
    """Whether a path is of a class of the user's, a subclass of one of ours among them."""
    return path is not None and type(path) not in (CounterPath, ReplayedPath, VirtualTree)


def traceable(
    path: BrownianPath, like: Shapes, space_time: bool, t: jax.ShapeDtypeStruct
) -> tuple[Any, tuple[Any, ...]]:
    """Its increments as a function that gives arrays, with an example of its arguments but args."""
    arrays, tree = jax.tree.flatten(path)

    def draw(arrays: list[Array | np.ndarray], k: Index, t: Time, h: Time, args: Args) -> PyTree:
        return jax.tree.unflatten(tree, arrays).increment(k, t, h, like, space_time)

    return draw, (jax.eval_shape(lambda x: x, arrays), jax.ShapeDtypeStruct((), jnp.int32), t, t)
