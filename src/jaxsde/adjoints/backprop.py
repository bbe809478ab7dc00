"""Gradients by differentiating the loop: exact, any order, forward mode too; memory of all steps.

Of each step the state and the noise are kept, and what matrix products and convolutions gave; the rest of the step is
computed again from these when its turn comes. To keep all of it, as differentiation does by itself, costs more than to
compute it: a small network's activations are written to memory and read back, and a product that reads one of them
there leaves the fast kernel. On a neural SDE of 64-64 value and gradient take about half the time for it, in half the
memory.
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, Primitive, jaxpr_as_fun
from jaxtyping import PyTree

from jaxsde.brownian import BrownianPath, Increment
from jaxsde.engine import Interval, Scheme, solve
from jaxsde.types import Args, Carry, Time

DEAR = {"dot_general", "conv_general_dilated", "pure_callback", "ffi_call"}
# What `jax.checkpoint` is called in a program, by JAX's versions.
REMAT = {"checkpoint", "remat", "remat2"}


def backprop(scheme: Scheme, carry: Carry, args: Args, path: BrownianPath | None, xs: Interval) -> Any:
    def step(carry: Carry, args: Args, *where: Time | Increment) -> Any:
        closed, shape = jax.make_jaxpr(
            lambda carry, *where: scheme.step(carry, args, *where), return_shape=True
        )(carry, *where)  # fmt: skip
        moved = jaxpr_as_fun(closed) if _as_it_is(closed) else _recomputed(jaxpr_as_fun(closed))
        return jax.tree.unflatten(jax.tree.structure(shape), moved(*jax.tree.leaves((carry, where))))

    # The iterations of an implicit step are the work. Where jit is disabled functions are to see values.
    whole = scheme.implicit or jax.config.jax_disable_jit  # type: ignore[attr-defined]
    return solve(scheme if whole else scheme._replace(step=step), carry, args, path, xs)


def _recomputed(step: Callable[..., Any]) -> Callable[..., Any]:
    # The loop keeps both times apart; guards against it would only cost time.
    return jax.checkpoint(step, prevent_cse=False, policy=_is_dear)


def _is_dear(primitive: Primitive, *inputs: Any, **parameters: Any) -> bool:
    """Whether what it gives is kept: of products, of calls of other programs, and of functions with one within."""
    return not DEAR.isdisjoint((primitive.name, *_within(parameters)))


def _as_it_is(closed: ClosedJaxpr) -> bool:
    """Whether a step does what is not to be done twice, or its functions say themselves what is computed again."""
    return bool(closed.effects) or not REMAT.isdisjoint(_within(closed))


def _within(parameters: PyTree) -> Iterator[str]:
    """The names of the primitives of all programs in it, and in these."""
    for found in jax.tree.leaves(parameters, is_leaf=lambda x: isinstance(x, Jaxpr | ClosedJaxpr)):
        if isinstance(found, Jaxpr | ClosedJaxpr):
            for equation in found.eqns:
                yield equation.primitive.name
                yield from _within(equation.params)
