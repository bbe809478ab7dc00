"""What a solve asks of a Brownian path."""

from typing import Protocol, runtime_checkable

from jaxsde.brownian.increment import Increment
from jaxsde.types import Index, Shapes, TimeLike


@runtime_checkable
class BrownianPath(Protocol):
    """A Brownian path: any class with these members that JAX knows as a pytree of arrays.

    `jax.tree_util.register_dataclass` makes it known. Its arrays of floating point have gradients.

    - `has_space_time`: whether it answers for space-time areas too, which some methods need; no unless said.
    """

    @property
    def has_space_time(self) -> bool:
        return False

    def increment(self, k: Index, t: TimeLike, h: TimeLike, like: Shapes, space_time: bool = False) -> Increment:
        """The Brownian motion over step k, from t to t + h.

        **Arguments:**

        - `k`: the number of the step, from 0, or where a solve goes on from a `Solution` from that of its steps.
        - `t`, `h`: its start and its length, negative where times decrease; the law has |h|.
        - `like`: shape and dtype of the noise: with diagonal and additive noise one for each leaf of y, `None` where
          there is none; with scalar, commutative and general noise a single one.
        - `space_time`: whether the space-time areas are asked for.

        **Returns:** an `Increment`, whose leaves are like `like`. It is the same whenever it is asked for.
        """
        ...
