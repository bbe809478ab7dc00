"""A Brownian path given by its increments."""

import dataclasses
from typing import Any

import jax

from jaxsde.brownian.increment import Increment
from jaxsde.types import Index, Shapes, TimeLike


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class ReplayedPath:
    """Brownian increments that are given: those of an earlier solve, of a coarser grid, or of another library.

    **Arguments:**

    - `increments`: a pytree like the noise (with diagonal and additive noise like y, `None` where g gives `None`; with
      scalar noise an array of n numbers; with commutative and general noise (n, m)), each leaf with a leading axis of
      n steps.
    - `space_time`: the space-time Levy areas H, shaped alike, for a method that needs them.
    - `area`: the Levy areas A, (n, m, m), antisymmetric, for a method that needs them; see `Increment`.
    """

    increments: Any
    space_time: Any = None
    area: Any = None

    @property
    def has_space_time(self) -> bool:
        return self.space_time is not None

    def increment(
        self,
        k: Index,
        t: TimeLike | None,
        h: TimeLike,
        like: Shapes,
        space_time: bool = False,
        area: bool = False,
    ) -> Increment:
        return Increment(self.increments, self.space_time if space_time else None, self.area if area else None)
