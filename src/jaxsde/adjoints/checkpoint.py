"""Gradients by differentiating the loop in segments that are run again: exact, about 2 sqrt(n) states in memory.

Of n steps, every sqrt(n)-th state is kept; a segment's steps, its noise among them, are computed anew when its turn
comes.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from jaxsde import loops
from jaxsde.brownian import BrownianPath
from jaxsde.engine import Interval, Scheme, solve
from jaxsde.types import Args, Carry


def checkpoint(scheme: Scheme, carry: Carry, args: Args, path: BrownianPath | None, xs: Interval) -> Any:
    return solve(scheme, carry, args, path, xs, scan=_scan_in_segments)


def _scan_in_segments(body: Callable[..., Any], carry: Carry, xs: PyTree, length: int) -> tuple[Any, Any]:
    """A scan in segments of about sqrt(length), each under `jax.checkpoint`."""
    size = max(1, math.isqrt(length))
    segments, rest = divmod(length, size)

    def run(carry: Carry, xs: PyTree, length: int) -> tuple[Any, Any]:
        # The loop itself keeps the recomputation apart; guards against its elimination would only cost time.
        return jax.checkpoint(lambda c, x: loops.scan(body, c, x, length), prevent_cse=False)(carry, xs)

    head = jax.tree.map(lambda x: x[: segments * size].reshape(segments, size, *x.shape[1:]), xs)
    carry, ys = loops.scan(lambda c, x: run(c, x, size), carry, head, segments)
    ys = jax.tree.map(lambda y: y.reshape(segments * size, *y.shape[2:]), ys)
    if rest:
        carry, tail = run(carry, jax.tree.map(lambda x: x[segments * size :], xs), rest)
        ys = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), ys, tail)
    return carry, ys
