"""The gradient of a reversible method, exact to rounding, with memory for a single step.

Each state is computed back from the next by the method's own inverse. Kidger, Foster, Li and Lyons,
"Efficient and accurate gradients for neural SDEs", 2021, section 3.

Where steps contract, backwards they expand, and rounding with them. So the walk is held against the first state, which
is known: if it comes back to another one by more than rounding explains, the gradient is NaN, with a warning.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from jaxsde.adjoints.backward_walk import States, walk_back
from jaxsde.brownian import BrownianPath
from jaxsde.engine import Interval, Scheme, Where, solve
from jaxsde.reports import report_unrecovered
from jaxsde.types import Args, Index

ALLOWED = 1e-3


def reversible(scheme: Scheme, carry: PyTree, args: Args, path: BrownianPath | None, xs: Interval) -> Any:
    return walk_back(States(_forward, _before, partial(_trusted, scheme)), scheme, carry, args, path, xs)


def _forward(
    scheme: Scheme, carry: PyTree, theta: PyTree, path: BrownianPath | None, xs: Interval
) -> tuple[Any, Any, None]:
    return *solve(scheme, carry, theta, path, xs), None


def _before(
    scheme: Scheme,
    carry1: PyTree,
    memory: None,
    theta: PyTree,
    path: BrownianPath | None,
    xs: Interval,
    k: Index,
    where: Where,
) -> tuple[Any, None]:
    assert scheme.inverse is not None
    return scheme.inverse(carry1, theta, *where), None


def _trusted(scheme: Scheme, *carries: PyTree) -> Any:
    def near(y0: Array, y: Array, y1: Array) -> Any:
        size = jnp.maximum(jnp.abs(y0), jnp.abs(y1))
        return jnp.all(jnp.abs(y - y0) <= ALLOWED * (size + jnp.mean(size)))

    first, found, last = map(scheme.recovered, carries)
    trusted = jnp.stack(jax.tree.leaves(jax.tree.map(near, first, found, last))).all()
    # A solve that is not finite has no other gradient than NaN, and its own report.
    finite = jnp.stack([jnp.isfinite(y).all() for y in jax.tree.leaves(last)]).all()
    report_unrecovered(finite & ~trusted)
    return trusted
