"""The gradient of a solve by a walk from its end to its start, over the same Brownian path.

At each step, from the last to the first: the state at its start is found, and the cotangent is pulled back by the
derivative of the scheme's own step there. So no step's inner values are kept, every output time contributes its
cotangent as it is passed, and the noise is drawn again from its key. How states are found is what tells the reversible
adjoint from the stochastic one.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun
from jaxtyping import Array, PyTree

from jaxsde import loops
from jaxsde.brownian import BrownianPath, Increment
from jaxsde.engine import Interval, Scheme, Where, solve
from jaxsde.methods.method import Half, forth
from jaxsde.types import Args, Carry, Index, Time
from jaxsde.undifferentiated import reverse_only

NO_FORWARD_MODE = (
    "Forward mode, as of jax.jvp or jax.jacfwd, is for adjoint='backprop' and 'checkpoint': 'stochastic', the default "
    "of sdeint_ito and sdeint_strat, and 'reversible' walk backwards. Pass adjoint='checkpoint'."
)


class States(NamedTuple):
    """How the walk finds states. What it remembers between steps is a pytree of arrays, `memory`.

    - `forward`: `(scheme, carry, theta, path, xs)` to the last carry, the outputs and the memory; `theta` are the args
      of that scheme.
    - `before`: `(scheme, carry, memory, theta, path, xs, k, (t, h, increment))` to the carry at the start of step k, of
      all steps, and the memory for step k - 1; `carry` is that at the end.
    - `known`: of a walk that undoes steps, `(scheme, found, carry, memory)`, the carry that it found at the start of a
      step, that at its end and the memory, to what `before` gives. With it steps that are made of halves are undone
      here, and each half is computed once for that and for its derivative.
    - `trusted`: `(memory, first, found, last)`, what the walk remembers at its end, the true first carry, the one that
      it came back to and the last one, to whether the states on the way are right. The gradient is NaN if not.
    """

    forward: Callable[..., tuple[Any, Any, Any]]
    before: Callable[..., tuple[Any, Any]]
    known: Callable[..., tuple[Any, Any]] | None = None
    trusted: Callable[..., Any] | None = None


def walk_back(states: States, scheme: Scheme, carry: Carry, args: Args, path: BrownianPath | None, xs: Interval) -> Any:
    """The last carry and the outputs of the solve."""
    arrays, with_arrays = _select(args, lambda x: isinstance(x, float | np.ndarray | np.generic | jax.Array))
    carry, arrays, path, xs = loops.vary_alike((carry, arrays, path, xs))
    where = _first_step(scheme, path, xs)
    carry = loops.settled(lambda carry: scheme.step(carry, args, *where), carry)
    scheme, hoisted = _convert(scheme, carry, args, arrays, with_arrays, where)
    solver = jax.custom_vjp(lambda carry, theta, path, xs: solve(scheme, carry, theta, path, xs))

    def forward(carry: Carry, theta: PyTree, path: BrownianPath | None, xs: Interval) -> tuple[Any, Any]:
        last, outputs, memory = states.forward(scheme, carry, theta, path, xs)
        return (last, outputs), (last, memory, carry, theta, path, xs)

    def backward(residuals: PyTree, cotangents: PyTree) -> Any:
        return loops.sum_like(_backward(states, scheme, residuals, cotangents), residuals[2:])

    solver.defvjp(forward, backward)
    return solver(*reverse_only((carry, (arrays, hoisted), path, xs), NO_FORWARD_MODE))


def _first_step(scheme: Scheme, path: BrownianPath | None, xs: Interval) -> Any:
    interval = jax.tree.map(lambda x: x[0], xs)
    if scheme.substeps > 1:
        interval = interval._replace(path=jax.tree.map(lambda x: x[0], interval.path))
    return scheme.locate(path, interval, 0)


def _convert(
    scheme: Scheme, carry: Carry, args: Args, arrays: list[Array], with_arrays: Callable[[Any], Any], where: Where
) -> tuple[Scheme, Any]:
    """The scheme as functions of all that they differentiate: what f, g and save close over becomes an argument."""
    hoisted: list[list[Any]] = []

    def explicit(function: Callable[..., Any], *where: Time | Increment) -> Callable[..., Any]:
        converted, values = _hoist(lambda c, a, *where: function(c, with_arrays(a), *where), carry, arrays, *where)
        number = len(hoisted)
        hoisted.append(values)
        return lambda c, theta, *where: converted(c, theta[0], *where, theta[1][number])

    scheme = scheme._replace(output=explicit(scheme.output))
    if scheme.halves is None:
        inverse = scheme.inverse and explicit(scheme.inverse, *where)
        return scheme._replace(step=explicit(scheme.step, *where), inverse=inverse), hoisted
    halves = tuple(half._replace(find=explicit(half.find, *where)) for half in scheme.halves)
    return scheme._replace(step=partial(forth, halves), inverse=None, halves=halves), hoisted


def _hoist(function: Callable[..., Any], *example: PyTree) -> tuple[Callable[..., Any], list[Any]]:
    """The function with what it closes over and is traced as one more argument, a list, and that list.

    `jax.closure_convert` leaves integers and legacy keys where they are, and their tracers would leak from a vmap.
    """
    closed, shape = jax.make_jaxpr(function, return_shape=True)(*example)
    traced, with_traced = _select(closed.consts, lambda x: isinstance(x, jax.core.Tracer))

    def hoisted(*inputs: PyTree) -> Any:
        *arguments, values = inputs
        leaves = jaxpr_as_fun(ClosedJaxpr(closed.jaxpr, with_traced(values)))(*jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(shape), leaves)

    return hoisted, traced


def _backward(states: States, scheme: Scheme, residuals: PyTree, cotangents: PyTree) -> Any:
    last, memory, carry0, theta, path, xs = residuals
    a_last, cotangents = cotangents
    parameters, with_parameters = _select((theta, path), _is_floating)
    # Integers that `save` keeps have no cotangent.
    kept, _ = _select(cotangents, lambda x: x.dtype != jax.dtypes.float0)

    def output(carry: Carry, parameters: list[Any]) -> list[Any]:
        return _select(scheme.output(carry, with_parameters(parameters)[0]), _is_floating)[0]

    def step(state: PyTree, x: Interval, k: Index, j: Index) -> Any:
        """Through one step: the carry at its start, the memory, and the cotangents of that, of the parameters, of x."""
        carry, memory, a, a_parameters = state
        where, pull_where = jax.vjp(
            lambda p, t, h, s: scheme.locate(with_parameters(p)[1], x._replace(t=t, h=h, path=s), j),
            parameters,
            x.t,
            x.h,
            x.path,
        )

        def vjp(function: Callable[..., Any], carry: Carry) -> tuple[Any, Any]:
            return jax.vjp(lambda c, p, where: function(c, with_parameters(p)[0], *where), carry, parameters, where)

        if scheme.halves is None or states.known is None:
            start, memory = states.before(scheme, carry, memory, theta, path, xs, k, where)
            _, pull = vjp(scheme.step, start)
        else:
            found, pull = _undone(scheme.halves, carry, vjp)
            start, memory = states.known(scheme, found, carry, memory)
        a, from_step, a_where = pull(a)
        from_where, a_t, a_h, a_path = pull_where(a_where)
        return (start, memory, a, _add(a_parameters, from_step, from_where)), (a_t, a_h, a_path)

    def interval(state: PyTree, scanned: PyTree) -> Any:
        carry, memory, a, a_parameters = state
        number, x, cotangent = scanned
        _, pull = jax.vjp(output, carry, parameters)
        from_output, a_from_output = pull(cotangent)
        state = carry, memory, _add(a, from_output), _add(a_parameters, a_from_output)
        if scheme.substeps == 1:
            return step(state, x, number, 0)

        def substep(inner: PyTree, p: PyTree) -> Any:
            j, state, sum_t, sum_h = inner
            state, (a_t, a_h, a_path) = step(state, x._replace(path=p), number * scheme.substeps + j, j)
            return (j - 1, state, sum_t + a_t, sum_h + a_h), a_path

        latest = jnp.asarray(scheme.substeps - 1, jnp.int32)
        inner = latest, state, 0 * x.t, 0 * x.h
        (_, state, a_t, a_h), a_path = loops.scan(substep, inner, x.path, scheme.substeps, reverse=True)
        return state, (a_t, a_h, a_path)

    state = last, memory, a_last, jax.tree.map(jnp.zeros_like, parameters)
    numbers = jnp.arange(xs.t.shape[0], dtype=jnp.int32)
    scanned = (numbers, xs, [c[1:] for c in kept])
    (found, memory, a, a_parameters), (a_t, a_h, a_path) = loops.scan(interval, state, scanned, reverse=True)
    if states.trusted is not None:
        trusted = states.trusted(memory, carry0, found, last)
        a, a_parameters, a_t, a_h, a_path = jax.tree.map(
            lambda x: jnp.where(trusted, x, jnp.nan) if _is_floating(x) else x, (a, a_parameters, a_t, a_h, a_path)
        )
    _, pull = jax.vjp(output, carry0, parameters)
    from_output, a_from_output = pull([c[0] for c in kept])
    # Integers and keys have no cotangent: None.
    a_theta, a_path_ = with_parameters(_add(a_parameters, a_from_output), others=None)
    return _add(a, from_output), a_theta, a_path_, Interval(None, a_t, a_h, a_path, None)


def _undone(halves: tuple[Half, ...], carry: Carry, vjp: Callable[..., tuple[Any, Any]]) -> tuple[Any, Any]:
    """The carry at the start of a step, from that at its end, and what pulls a cotangent back through the step."""
    pulls = []
    for half in reversed(halves):
        found, pull_found = vjp(half.find, carry)
        carry = half.take(carry, found)
        _, pull_put = jax.vjp(half.put, carry, found)
        pulls.append((pull_put, pull_found))

    def pull(a: PyTree) -> Any:
        others = []
        for pull_put, pull_found in pulls:
            a, a_found = pull_put(a)
            from_found, *rest = pull_found(a_found)
            a = _add(a, from_found)
            others.append(tuple(rest))
        return a, *_add(*others)

    return carry, pull


def _is_floating(x: Array | np.ndarray) -> bool:
    return jnp.issubdtype(x.dtype, jnp.inexact)


def _select(tree: PyTree, chosen: Callable[[Any], bool]) -> tuple[list[Any], Callable[..., Any]]:
    """The chosen leaves of a tree, and the function that puts such leaves back among the others."""
    leaves, treedef = jax.tree.flatten(tree)
    mask = [chosen(x) for x in leaves]

    def put_back(selected: list[Any], **replaced: PyTree) -> Any:
        new, rest = iter(selected), [replaced.get("others", x) for x in leaves]
        return jax.tree.unflatten(treedef, [next(new) if m else x for m, x in zip(mask, rest, strict=True)])

    return [jnp.asarray(x) for x, m in zip(leaves, mask, strict=True) if m], put_back


def _add(*trees: PyTree) -> Any:
    return jax.tree.map(lambda *x: sum(x[1:], start=x[0]), *trees)
