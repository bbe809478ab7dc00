"""Going on from where a solve ended.

What must not be repeated is its noise. Steps are counted on from those behind, and increment k of a path is one of k or
of time: so the same key, or the same path, is the noise that comes next, and two solves are one. What is drawn for a
solve as a whole, a tree on its times or its jumps, has a key made of the user's and of the number of steps behind.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from jaxsde.brownian.keys import check_key, derive_key, fold_in
from jaxsde.solution import Result, Solution, Stats
from jaxsde.times import is_known
from jaxsde.types import Key, State


class Behind(NamedTuple):
    """What is behind at the start of a solve.

    - `y`: the state; NaN where the solution is known to have stopped at run time alone.
    - `sums`: those of `running`; `None` where there are none yet.
    - `stats`: what it took.
    - `result`: a number of `Result`.
    - `exit_time`: with `first_exit`, when the solution left; infinite where it did not.
    """

    y: State
    sums: PyTree | None
    stats: Stats
    result: Int[Array | np.ndarray, ""] | np.int32
    exit_time: Float[Array, ""] | None = None

    @property
    def is_nothing(self) -> bool:
        return isinstance(self.stats.steps, int) and self.stats.steps == 0

    def key(self, rng: Key | None) -> Any:
        """That of what is drawn for a solve as a whole; `rng` itself where no step is behind."""
        if rng is None or self.is_nothing:
            return rng
        check_key(rng)
        return fold_in(derive_key(rng, "jaxsde.Solution"), self.stats.steps)

    def counted(self, first: Int[Array, " rows"]) -> Any:
        """The numbers of steps, with those behind."""
        return first if self.is_nothing else first + jnp.asarray(self.stats.steps, first.dtype)


def nothing_behind(y0: State) -> Behind:
    """That of a solve of its own."""
    return Behind(y0, None, Stats(0, 0, 0), np.int32(Result.SUCCESSFUL))


def behind(first: Solution, ts: Float[Array, " n"], ends: bool) -> Behind:
    """What `first` leaves to a solve at `ts`, in the precision of the state, that `ends` at a first exit or does not.

    **Raises:** `ValueError` for a solution that ended early, a batch of them, and times that begin elsewhere. Where
    these are traced the state is NaN. Of first exits one that has left stays where it is.
    """
    if jnp.ndim(first.ts) != 1:
        raise ValueError(
            f"y0 is a Solution with ts of shape {jnp.shape(first.ts)}, a batch of them; solve goes on from one: take "
            "jax.vmap over solutions and keys."
        )
    end, last, result, exit_time = ts[0], first.ts[-1], first.result, first.exit_time
    # A rounding of the times apart, as long as that is little of the time to come.
    rounding = jnp.minimum(float(jnp.finfo(ts.dtype).eps) * jnp.abs(end), jnp.abs(ts[-1] - end) / 1000)
    meets = jnp.abs(end - jnp.asarray(last, ts.dtype)) <= rounding
    if is_known(meets) and not meets:
        raise ValueError(
            f"y0 is a Solution that ends at t = {last}, and ts begins at {end}; ts[0] is the time of y0: let ts begin "
            "at the last time of the solution."
        )
    if is_known(result) and result != Result.SUCCESSFUL:
        raise ValueError(
            f"y0 is a Solution with result {Result(int(result)).name}: there is nothing right to go on from; solve it "
            "again, with what its warning asks for, or pass the state that you trust."
        )
    inside = jnp.asarray(True) if exit_time is None or ends else jnp.isinf(exit_time)
    if is_known(inside) and not inside:
        raise ValueError(
            f"y0 is a Solution that left its region at t = {exit_time}, where it ended; with first_exit= it stays "
            "there, and without there is nothing to go on from."
        )
    if first.end is None:
        raise ValueError("y0 is a Solution of an older version, without `end`, the last state; pass its ys[-1].")
    y, right = first.end, meets & inside & (jnp.asarray(result) == Result.SUCCESSFUL)
    if not is_known(right):
        ended = jnp.asarray(result) != Result.SUCCESSFUL
        result = jnp.where(ended | right, result, int(Result.NOT_BEGUN))
        y = jax.tree.map(lambda x: jnp.where(right, x, jnp.asarray(jnp.nan, x.dtype)), y)
    sums = None if first.sums is None else jax.tree.map(lambda x: x[-1], first.sums)
    return Behind(y, sums, first.stats, result, exit_time)
