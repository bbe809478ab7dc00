"""Sums over the steps of a solve, added up on the way, so that the path itself need not be kept."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from jaxsde.brownian import Increment, no_increment
from jaxsde.engine import Scheme
from jaxsde.flat_sde import FlatSDE
from jaxsde.methods import Method
from jaxsde.methods.method import Half
from jaxsde.types import Args, Carry, Time


def noise_of_user(sde: FlatSDE, dW: PyTree) -> Any:
    """A Brownian increment as `running` gets it."""
    return dW[0] if sde.by_columns or sde.noise == "scalar" else sde.unflatten(dW)


def add_running(
    scheme: Scheme,
    sde: FlatSDE,
    method: Method,
    running: Callable[..., Any],
    carry: Carry,
    args: Args,
    t0: Time,
    sums: PyTree | None = None,
    padded: bool = False,
) -> tuple[Scheme, Any]:
    """The scheme whose carry holds beside that of `scheme` the sums of `running(y, t, h, dW, args)`, and its first
    carry. Sums begin with `sums`, or with zero. Where steps are padded, those of no length add nothing.

    The sums move nothing, so undoing a step leaves them as they are: no gradient reads their value.
    """

    def value(carry: Carry, args: Args, t: Time, h: Time, increment: Increment) -> Any:
        dW = increment.dW
        noise = noise_of_user(sde, dW)
        return running(sde.unflatten(method.state(carry)), t, h, noise, args)

    def addend(inner: Carry, args: Args, t: Time, h: Time, increment: Increment) -> Any:
        nothing = h == 0
        # What divides by the length is to have a derivative where there is none.
        found = value(inner, args, t, jnp.where(nothing, 1, h) if padded else h, increment)
        return jax.tree.map(lambda x: jnp.where(nothing, 0, x).astype(x.dtype), found) if padded else found

    def added(carry: Carry, found: PyTree) -> Any:
        return carry[0], jax.tree.map(jnp.add, carry[1], found)

    def step(carry: Carry, args: Args, t: Time, h: Time, increment: Increment) -> Any:
        inner, sums = added(carry, addend(carry[0], args, t, h, increment))
        return scheme.step(inner, args, t, h, increment), sums

    def beside_sums(half: Half) -> Half:
        return Half(
            lambda carry, *rest: half.find(carry[0], *rest),
            lambda carry, found: (half.put(carry[0], found), carry[1]),
            lambda carry, found: (half.take(carry[0], found), carry[1]),
        )

    inverse, recovered, kept = scheme.inverse, scheme.recovered, scheme.kept
    restart = scheme.restart
    first = Half(lambda carry, *rest: addend(carry[0], *rest), added, lambda carry, found: carry)
    extended = scheme._replace(
        step=step,
        inverse=inverse and (lambda carry, *where: (inverse(carry[0], *where), carry[1])),
        halves=scheme.halves and (first, *map(beside_sums, scheme.halves)),
        recovered=lambda carry: recovered(carry[0]),
        kept=kept and kept._replace(place=lambda carry: kept.place(carry[0])),
        output=lambda carry, args: (scheme.output(carry[0], args), carry[1]),
        restart=restart and (lambda output: (restart(output[0]), output[1])),
    )
    nothing = no_increment(sde.noise_like)
    shapes = jax.eval_shape(lambda carry, args: value(carry, args, t0, t0, nothing), carry, args)
    for s in jax.tree.leaves(shapes):
        if not jnp.issubdtype(s.dtype, jnp.floating):
            raise TypeError(f"running gives an array of dtype {s.dtype}; what is added up has to be of floating point.")
    if sums is None:
        return extended, (carry, jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes))
    given, needed = (jax.tree.map(lambda x: (x.shape, x.dtype), tree) for tree in (sums, shapes))
    if given != needed:
        raise ValueError(
            f"running gives {needed}, and y0 is a Solution whose sums are {given}, in shapes and dtypes: sums go on "
            "with what they began with; to begin other ones, pass y0.end and another key."
        )
    return extended, (carry, sums)
