"""The gradient of a reversible method, exact to rounding, with memory for a single step.

Each state is computed back from the next by the method's own inverse. Kidger, Foster, Li and Lyons,
"Efficient and accurate gradients for neural SDEs", 2021, section 3.

A coupled form forgets part of its carry at a fixed number of places; those carries are kept.

Where steps contract, backwards they expand, and rounding with them. So the walk is held against the first state, and
those that are kept, which are known: if it comes back to another one by more than rounding explains, the gradient is
NaN, with a warning.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from jaxsde.adjoints.backward_walk import States, walk_back
from jaxsde.adjoints.slots import empty, get, put
from jaxsde.brownian import BrownianPath, Increment
from jaxsde.engine import Interval, Scheme, Where, solve
from jaxsde.reports import report_unrecovered
from jaxsde.types import Args, Index, Time

ALLOWED = 1e-3


def reversible(scheme: Scheme, carry: PyTree, args: Args, path: BrownianPath | None, xs: Interval) -> Any:
    return walk_back(States(_forward, _before, _known, partial(_trusted, scheme)), scheme, carry, args, path, xs)


def _forward(
    scheme: Scheme, carry: PyTree, theta: PyTree, path: BrownianPath | None, xs: Interval
) -> tuple[Any, Any, Any]:
    kept = scheme.kept
    if kept is None:
        return *solve(scheme, carry, theta, path, xs), None

    def step(state: PyTree, theta: PyTree, *where: Time | Increment) -> Any:
        carry, slots = state
        number, is_kept = kept.place(carry)
        # The last slot is for what is not needed.
        slot = jnp.where(is_kept, number.astype(jnp.int32), kept.most)
        return scheme.step(carry, theta, *where), put(slots, slot, carry)

    keeping = scheme._replace(step=step, output=lambda state, theta: scheme.output(state[0], theta))
    slots = empty(kept.most + 1, carry)
    (last, slots), outputs = solve(keeping, (carry, slots), theta, path, xs)
    return last, outputs, (slots, jnp.ones((), bool))


def _before(
    scheme: Scheme,
    carry1: PyTree,
    memory: PyTree,
    theta: PyTree,
    path: BrownianPath | None,
    xs: Interval,
    k: Index,
    where: Where,
) -> tuple[Any, Any]:
    assert scheme.inverse is not None
    return _known(scheme, scheme.inverse(carry1, theta, *where), carry1, memory)


def _known(scheme: Scheme, found: PyTree, carry1: PyTree, memory: PyTree) -> tuple[Any, Any]:
    """The carry at the start of a step and the memory, from what was found there: what was kept in place of it."""
    if scheme.kept is None:
        return found, None
    slots, trusted = memory
    number, is_kept = scheme.kept.place(found)
    known = get(slots, number.astype(jnp.int32))
    trusted &= ~is_kept | _near(*map(scheme.recovered, (known, found, carry1)))
    return jax.tree.map(lambda a, b: jnp.where(is_kept, a, b), known, found), (slots, trusted)


def _near(known: PyTree, found: PyTree, after: PyTree) -> Any:
    """Whether a state was found again, on the way from the one after it."""

    def near(y0: Array, y: Array, y1: Array) -> Any:
        size = jnp.maximum(jnp.abs(y0), jnp.abs(y1))
        return jnp.all(jnp.abs(y - y0) <= ALLOWED * (size + jnp.mean(size)))

    return jnp.stack(jax.tree.leaves(jax.tree.map(near, known, found, after))).all()


def _trusted(scheme: Scheme, memory: PyTree, *carries: PyTree) -> Any:
    first, found, last = map(scheme.recovered, carries)
    trusted = _near(first, found, last) if memory is None else memory[1]
    # A solve that is not finite has no other gradient than NaN, and its own report.
    finite = jnp.stack([jnp.isfinite(y).all() for y in jax.tree.leaves(last)]).all()
    report_unrecovered(finite & ~trusted)
    return trusted
