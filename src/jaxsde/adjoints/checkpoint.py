"""Gradients by differentiating the loop in segments that are run again: exact, about 2 sqrt(n) states in memory.

Of n steps, every sqrt(n)-th state is kept; a segment's steps, its noise among them, are computed anew when its turn
comes.
"""

from typing import Any

import jax

from jaxsde.brownian import BrownianPath
from jaxsde.engine import Interval, Scheme, solve
from jaxsde.types import Args, Carry


def checkpoint(scheme: Scheme, carry: Carry, args: Args, path: BrownianPath | None, xs: Interval) -> Any:
    # The loop itself keeps the recomputation apart; guards against its elimination would only cost time.
    return solve(scheme, carry, args, path, xs, around=lambda run: jax.checkpoint(run, prevent_cse=False))
