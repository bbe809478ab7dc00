"""JAX's loops and branches, inside `jax.shard_map` too.

There JAX keeps account of which values may differ from device to device. A loop's carry has to do so from the start if
it ever does, and all branches alike: a state that is the same everywhere, moved by noise whose key is not, is refused.
Here the carry is made to vary over those axes of the mesh over which the body makes it vary. Outside of `shard_map`,
or where it is told not to check, these are JAX's own functions.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, PyTree

from jaxsde.types import Carry, Index


def scan(
    body: Callable[..., Any], carry: Carry, xs: PyTree, length: int | None = None, *, reverse: bool = False
) -> tuple[Any, Any]:
    """`jax.lax.scan`."""
    if _inside_shard_map():
        first = jax.tree.map(lambda x: x[0], xs)
        carry = settled(lambda carry: body(carry, first)[0], carry)

    def like_carry(carry: Carry, x: PyTree) -> Any:
        moved, y = body(carry, x)
        return vary_like(moved, carry), y

    return jax.lax.scan(like_carry, carry, xs, length, reverse=reverse)


def scan_in_segments(
    around: Callable[[Callable[..., Any]], Callable[..., Any]],
    size: int,
    body: Callable[..., Any],
    carry: Carry,
    xs: PyTree,
    length: int,
) -> tuple[Any, Any]:
    """A scan in segments of `size` steps, the last of which may be shorter, each run by what `around` makes of it: of
    `(carry, xs) -> (carry, ys)` the like.
    """
    segments, rest = divmod(length, size)

    def run(carry: Carry, xs: PyTree, length: int) -> tuple[Any, Any]:
        return around(lambda c, x: scan(body, c, x, length))(carry, xs)

    head = jax.tree.map(lambda x: x[: segments * size].reshape(segments, size, *x.shape[1:]), xs)
    carry, ys = scan(lambda c, x: run(c, x, size), carry, head, segments)
    ys = jax.tree.map(lambda y: y.reshape(segments * size, *y.shape[2:]), ys)
    if rest:
        carry, tail = run(carry, jax.tree.map(lambda x: x[segments * size :], xs), rest)
        ys = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), ys, tail)
    return carry, ys


def while_loop(goes_on: Callable[[Any], Any], body: Callable[[Any], Any], carry: Carry) -> Any:
    """`jax.lax.while_loop`."""
    carry = settled(body, carry)
    return jax.lax.while_loop(goes_on, lambda carry: vary_like(body(carry), carry), carry)


def fori_loop(start: Index, end: Index, body: Callable[[Any, Any], Any], carry: Carry) -> Any:
    """`jax.lax.fori_loop`."""
    carry = settled(lambda carry: body(start, carry), carry)
    return jax.lax.fori_loop(start, end, lambda i, carry: vary_like(body(i, carry), carry), carry)


def cond(which: Bool[Array, ""], if_true: Callable[..., Any], if_false: Callable[..., Any], *operands: PyTree) -> Any:
    """`jax.lax.cond`."""
    if _inside_shard_map():
        shapes = [jax.eval_shape(branch, *operands) for branch in (if_true, if_false)]
        branches = [
            lambda *operands, branch=branch: vary_like(vary_like(branch(*operands), shapes[0]), shapes[1])
            for branch in (if_true, if_false)
        ]
        return jax.lax.cond(which, *branches, *operands)
    return jax.lax.cond(which, if_true, if_false, *operands)


@jax.custom_batching.custom_vmap
def any_lane(which: Bool[Array, ""]) -> Any:
    """Whether it is so in any lane of the batches of `jax.vmap` around this: one answer for all, by which to branch.

    Of an answer for each lane, `jax.vmap` has both branches computed for every lane. What is computed by the one answer
    has to be left by the lanes of the other, by a select.
    """
    return which


@any_lane.def_vmap
def _any_lane_of_batch(size: int, batched: list[bool], which: Bool[Array, " lanes"]) -> tuple[Any, bool]:
    return any_lane(jnp.any(which) if batched[0] else which), False


def unless(skip: Bool[Array, ""], move: Callable[[Carry], Any], carry: Carry) -> Any:
    """The carry where it is to skip, and else `move(carry)`: not computed where every lane of a batch skips."""

    def moved(carry: Carry) -> Any:
        return jax.tree.map(lambda a, b: jax.lax.select(skip, a, b), carry, move(carry))

    return cond(any_lane(~skip), moved, lambda carry: carry, carry)


def settled(body: Callable[[Any], Any], carry: Carry) -> Any:
    """The carry, varying as it does after any number of steps."""
    while _inside_shard_map():
        settled = vary_like(carry, jax.eval_shape(body, carry))
        if all(_axes(a) == _axes(b) for a, b in zip(*map(jax.tree.leaves, (settled, carry)), strict=True)):
            break
        carry = settled
    return carry


def vary_alike(tree: PyTree) -> Any:
    """Every array of the tree, varying over all axes over which one of them does."""
    if not _inside_shard_map():
        return tree
    axes = frozenset[Any]().union(*(_axes(x) for x in jax.tree.leaves(tree) if isinstance(x, jax.Array)))
    return jax.tree.map(lambda x: _vary(x, axes) if isinstance(x, jax.Array) else x, tree)


def vary_like(tree: PyTree, like: PyTree) -> Any:
    """Every array of the tree, varying over the axes over which that in `like` does, and its own."""
    return jax.tree.map(lambda x, a: _vary(x, _axes(a)), tree, like) if _inside_shard_map() else tree


def sum_like(cotangents: PyTree, primals: PyTree) -> Any:
    """Every cotangent (or `None`), summed over the devices over which it varies and its primal does not."""

    def summed(a: PyTree, x: PyTree) -> Any:
        axes = () if a is None else tuple(_axes(a) - _axes(x))
        return jax.lax.psum(a, axes) if axes else a

    return jax.tree.map(summed, cotangents, primals, is_leaf=lambda a: a is None) if _inside_shard_map() else cotangents


def _inside_shard_map() -> bool:
    return bool(jax.sharding.get_abstract_mesh().manual_axes)


def _axes(x: ArrayLike | jax.ShapeDtypeStruct) -> frozenset[Any]:
    abstract = x if isinstance(x, jax.ShapeDtypeStruct) else jax.typeof(x)
    # Before version 0.10 JAX called it vma.
    kind = getattr(abstract, "manual_axis_type", None)
    found: frozenset[Any] | None = getattr(abstract, "vma", None) if kind is None else kind.varying
    return found or frozenset()


def _vary(x: ArrayLike, axes: frozenset[Any]) -> Any:
    missing = tuple(axes - _axes(x))
    if not missing:
        return x
    if hasattr(jax.lax, "pcast"):
        return jax.lax.pcast(x, missing, to="varying")
    return jax.lax.pvary(x, missing)  # type: ignore[attr-defined]  # its name before
