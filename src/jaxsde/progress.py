"""How far a solve has come, said while it runs.

Python is called about once a percent, with one number and nothing else, so no number of the solution changes. It is
called in the solve forwards alone: a gradient's walk backwards computes steps again and says nothing. Of a batch that
`vmap` makes it is one call, with the share of the slowest; of several devices in `jax.shard_map` the first one calls.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxsde.steps import AdaptiveSteps, FixedSteps
from jaxsde.types import Index

# Of the whole, from 0 to 1.
Progress = Callable[[float], None]

CALLS = 100


@dataclasses.dataclass(frozen=True)
class ProgressBar:
    """A bar of tqdm, in a terminal or a notebook, for `solve(..., progress=ProgressBar())`.

    Bars of one label are equal, so that a new one does not compile a solve anew.

    **Arguments:**

    - `label`: what stands before the bar.
    """

    label: str = "solve"
    _shown: list[Any] = dataclasses.field(default_factory=list, init=False, repr=False, compare=False)

    def __call__(self, share: float) -> None:
        """Shows that the share, from 0 to 1, is behind: a new bar with 0, the end of it with 1."""
        from tqdm.auto import tqdm

        if share == 0:
            self._close()
            self._shown.append(tqdm(total=100, desc=self.label, bar_format="{l_bar}{bar}| {elapsed}<{remaining}"))
        for bar in self._shown:
            bar.update(100 * share - bar.n)
        if share == 1:
            self._close()

    def _close(self) -> None:
        while self._shown:
            self._shown.pop().close()


def check_progress(progress: object, steps: FixedSteps | AdaptiveSteps, adjoint: str) -> None:
    """Refuses what cannot be called or be told from others, and a gradient that would be heard as solves."""
    if progress is None:
        return
    if not (callable(progress) and getattr(progress, "__hash__", None) is not None):
        raise TypeError(
            f"progress is {progress!r}; it is a function of the share that is behind, a number from 0 to 1, with a "
            "hash: ProgressBar() of jaxsde, say."
        )
    if adjoint == "checkpoint" and isinstance(steps, FixedSteps):
        raise ValueError(
            "adjoint='checkpoint' runs the loop over steps again on its way back, which progress would hear as another "
            "solve; take 'stochastic', 'reversible' or 'backprop', or leave progress out."
        )


class Meter:
    """Calls `progress` from within a compiled program. Steps are in order, since each needs the last."""

    def __init__(self, progress: Progress) -> None:
        self.progress, self.last = progress, -1.0

    def step(self, k: Index, total: int) -> None:
        """Says that step k of so many begins, where that is another hundredth, or is the last."""
        k = jnp.asarray(k, jnp.int32)
        last = k == total - 1
        self._call_if(last | (k % max(total // CALLS, 1) == 0), jnp.where(last, 1.0, k / total), last & (k == 0))

    def reach(self, before: Float[Array, ""], after: Float[Array, ""]) -> None:
        """Says that a share is behind, which was `before` until now, where that is another hundredth."""
        before, after = _slowest(before), _slowest(after)
        begins = (before == 0) & (after < 1)
        self._call_if(
            begins | (jnp.floor(CALLS * after) > jnp.floor(CALLS * before)),
            jnp.where(begins, 0 * after, after),
            (before == 0) & (after >= 1),
        )

    def _call_if(self, due: Bool[Array, ""], share: Float[Array, ""], alone: Bool[Array, ""]) -> None:
        for axis in jax.sharding.get_abstract_mesh().manual_axes:
            due &= jax.lax.axis_index(axis) == 0
        jax.lax.cond(due, lambda x: jax.debug.callback(self._call, *x), lambda x: None, (share, alone))

    def _call(self, given: Array | np.ndarray, alone: Array | np.ndarray) -> None:
        share = float(np.asarray(given)[()])
        if np.asarray(alone)[()]:
            # One step is the whole solve.
            self.progress(0.0)
            self.last = 0.0
        # What is padded or tried again is at the same place.
        if share != self.last:
            self.last = share
            self.progress(share)


@jax.custom_batching.custom_vmap
def _slowest(share: Array) -> Array:
    return share


@_slowest.def_vmap
def _slowest_of_batch(axis_size: int, in_batched: list[bool], share: Array) -> tuple[Any, Any]:
    return _slowest(share.min() if in_batched[0] else share), False
