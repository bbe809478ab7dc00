"""What a solve returns."""

import dataclasses
import enum
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from jaxsde.types import State


class Result(enum.IntEnum):
    """How a solve ended: a `Solution.result` is one of these numbers, and so is an `Expectation.result`."""

    SUCCESSFUL = 0
    # The steps came down to the shortest that there are, and had a larger error than asked for. Of an expectation: its
    # error is larger than asked for.
    TOLERANCE_NOT_MET = 1
    # The solution is NaN after the last output time that was reached: there were no steps left, or one was not finite
    # however short.
    MAX_STEPS_REACHED = 2
    # The solution is NaN since a rate of jumps was out of its bound, or there were more than there is room for.
    JUMPS_UNKNOWN = 3
    # The solution is NaN: it was to go on from one that ends at another time, or has left its region.
    NOT_BEGUN = 4
    # The solution is NaN: it is that of a coupled form, whose two solutions have parted.
    PARTED = 5


class Stats(NamedTuple):
    """What a solve took.

    - `steps`: of the solution, with jumps as many as there is room for; `tried_steps`: with those that adaptive steps
      rejected.
    - `evaluations`: of the drift, to find the grid and to step on it once; of an implicit method as if a step took one
      iteration.
    """

    steps: int | Int[Array, ""]
    tried_steps: int | Int[Array, ""]
    evaluations: int | Int[Array, ""]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Solution:
    """The solution of an SDE at n times; a pytree, so that `jit`, `vmap` and `grad` of a function may return it.

    - `ts`: the times, (n,), in the precision of the state.
    - `ys`: the solution there: a pytree like y0, or like `save(y0)`, with a leading axis of n; the first entry is y0.
    - `sums`: of `running`, from `ts[0]` to each time, with the same leading axis; `None` without `running`. Where this
      one goes on from another they begin with its sums, if it has any.
    - `stats`: what it took, with what came before where it went on from another.
    - `result`: a number of `Result`.
    - `exit_time`: with `first_exit`, when the solution left; infinite where it did not.
    - `end`: the state at the last time, a pytree like y0 whatever `save` keeps: `solve` goes on from there.
    """

    ts: Float[Array, "*batch n"]
    ys: State
    sums: PyTree | None
    stats: Stats
    result: Int[Array | np.ndarray, "*batch"] | np.int32
    exit_time: Float[Array, "*batch"] | None = None
    end: State = None
