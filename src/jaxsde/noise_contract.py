"""Whether a diffusion is of the noise type that it is declared to be, found before any integration.

How g(y) depends on y is read off its jaxpr where that is enough: values that y does not reach, and values that are
reached entry by entry. Where it is not, as after an indexing or a matrix product, g is evaluated at a few points, and
derivatives of it. Parameters that are traced have no values then: numbers drawn at random take their places, so what
is found holds for parameters in general.
"""

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var
from jaxtyping import Array, PyTree

from jaxsde.compiled import recalled
from jaxsde.flat_sde import aligned
from jaxsde.types import Args, State, Time, TimeLike

# How a value depends on the state: not at all, entry by entry on the leaf of that number, or in another way.
Dependence = int | str | None
MIXED = "mixed"

# fmt: off
ENTRYWISE = frozenset({
    "abs", "acos", "acosh", "add", "and", "asin", "asinh", "atan", "atan2", "atanh", "broadcast_in_dim", "cbrt",
    "ceil", "clamp", "complex", "conj", "convert_element_type", "copy", "cos", "cosh", "div", "eq", "erf", "erf_inv",
    "erfc", "exp", "exp2", "expm1", "floor", "ge", "gt", "imag", "integer_pow", "is_finite", "le", "lgamma", "log",
    "log1p", "logistic", "lt", "max", "min", "mul", "ne", "neg", "not", "or", "pow", "real", "reduce_precision", "rem",
    "reshape", "round", "rsqrt", "select_n", "sign", "sin", "sinh", "sqrt", "square", "squeeze", "stop_gradient",
    "sub", "tan", "tanh", "xor",
})
# fmt: on


def depends_on_state(g: Callable[..., Any], y: State, t: TimeLike, args: Args) -> bool:
    """Whether g(y, t, args) is another one at another y."""
    y, time = jax.tree.map(jnp.asarray, (y, t))
    closed, dependences, _ = _traced(g, y, time, args)
    if all(d is None for d in dependences):
        return False
    with _at_once():
        try:
            return any(
                _differ(a, b)
                for values, points in _samples(closed, y, time)
                for a, b in itertools.combinations([values(*point) for point in points], 2)
            )
        except (TypeError, ValueError):  # A g with rules of its own for derivatives, among traced values.
            return False


def has_cross_terms(g: Callable[..., Any], y: State, t: TimeLike, args: Args, in_order: bool = False) -> bool:
    """Whether the derivative of an entry of g(y, t, args) by another entry of y, times the g of that one, is not zero.

    Diagonal noise has no such terms. Where it has none, the derivative of g along (g_1 z_1, g_2 z_2, ...) is z times
    that along g, for every z.

    Where g gathers entries by indices that are traced it may have them or not: yes, unless `in_order` takes an array of
    indices to be 0, 1, 2, ...
    """
    y, time = jax.tree.map(jnp.asarray, (y, t))
    closed, dependences, places = _traced(g, y, time, args)
    if all(d in (None, place) for d, place in zip(dependences, places, strict=True)):
        return False
    with _at_once():
        # Noise is real.
        z = _numbers([x.real for x in jax.tree.leaves(y)], 5)

        def crosses(values: Callable[..., Any], point: list[Any]) -> bool:
            def along(factors: list[Any]) -> list[Any]:
                directions = [jnp.zeros_like(x) for x in point]
                for k, value in zip(places, sigma, strict=True):
                    directions[k] = jnp.asarray(value, point[k].dtype) * jnp.asarray(factors[k], point[k].dtype)
                return jax.jvp(values, tuple(point), tuple(directions))[1]

            sigma = values(*point)
            own = along([jnp.ones_like(x) for x in z])
            expected = [jnp.asarray(z[k], x.dtype) * x for k, x in zip(places, own, strict=True)]
            # A derivative that is zero comes out as the rounding of terms of the size of g.
            size = max((float(jnp.abs(x).max(initial=0)) for x in sigma), default=0) ** 2
            return _differ(along(z), expected, [size] * len(expected))

        try:
            return any(
                crosses(values, point) for values, points in _samples(closed, y, time, in_order) for point in points
            )
        except (TypeError, ValueError):  # A g that has no derivative in forward mode.
            return False


def has_brackets(
    product: Callable[..., Any], y: State, noise: Array | jax.ShapeDtypeStruct, t: TimeLike, args: Args
) -> bool:
    """Whether columns of a diffusion do not commute: whether for some j and k their Lie bracket, the derivative of g_j
    along g_k less that of g_k along g_j, is not zero.

    It is linear in either, so that two combinations of all columns, drawn at random, stand for each pair.

    **Arguments:**

    - `product`: `((y, v), t, args)` to the pair of g(y, t, args) v and `None`.
    - `noise`: shape and dtype of v.
    """
    y, time = jax.tree.map(jnp.asarray, (y, t))
    with _at_once():
        one, other = (x - 1 for x in _numbers([noise, noise], 5))
    # Where no combination of columns depends on y, or there is one column, there is nothing to differ.
    alone = _traced(lambda y, t, args: product((y, one), t, args)[0], y, time, args)[1]
    if noise.size < 2 or all(d is None for d in alone):
        return False
    closed, _, places = _traced(product, (y, noise), time, args)
    with _at_once():

        def crosses(values: Callable[..., Any], point: list[Any]) -> bool:
            *y, _ = point

            def along(column: Array, by: Array) -> list[Any]:
                directions = [jnp.zeros_like(x) for x in y]
                for k, value in zip(places, values(*y, by), strict=True):
                    directions[k] = jnp.asarray(value, y[k].dtype)
                return jax.jvp(lambda *y: values(*y, column), tuple(y), tuple(directions))[1]

            # Terms of entry i of a bracket are of the size of g_i, in its unit, times a derivative in the state's.
            each = [abs(a) + abs(b) for a, b in zip(values(*y, one), values(*y, other), strict=True)]
            largest = max((float(x.max(initial=0)) for x in each), default=0)
            return _differ(along(one, other), along(other, one), [np.asarray(x, np.float64) * largest for x in each])

        try:
            return any(
                crosses(values, point)
                for values, points in _samples(closed, (y, one), time, in_order=True)
                for point in points
            )
        except (TypeError, ValueError):  # A g that has no derivative in forward mode.
            return False


@contextlib.contextmanager
def _at_once() -> Iterator[None]:
    """Computes with numbers while others are traced; a point outside of the domain of g is no error."""
    with jax.ensure_compile_time_eval(), jax.debug_nans(False), jax.debug_infs(False):
        yield


def _traced(g: Callable[..., Any], y: State, t: Time, args: Args) -> tuple[ClosedJaxpr, list[Dependence], list[int]]:
    """The jaxpr of the arrays that g gives, how each depends on y, and which leaf of y it belongs to."""
    places: list[int] = []
    leaves, treedef = jax.tree.flatten(jax.eval_shape(lambda y: y, y))

    def arrays(t: Time, *leaves: PyTree) -> list[Any]:
        y = jax.tree.unflatten(treedef, leaves)
        values = aligned(g(y, t, args), y)
        places[:] = [k for k, value in enumerate(values) if value is not None]
        return [values[k] for k in places]

    # Accelerators round what enters a matrix product, by more than `_differ` allows, unless told otherwise.
    with jax.default_matmul_precision("highest"):
        closed = jax.make_jaxpr(arrays)(jax.ShapeDtypeStruct((), t.dtype), *leaves)
    return closed, _follow(closed.jaxpr, [None, *range(len(leaves))]), places


def _follow(jaxpr: Jaxpr, dependences: list[Dependence]) -> list[Dependence]:
    """How the outputs of a jaxpr depend on the state, of how its inputs do."""
    known = dict(zip(jaxpr.invars, dependences, strict=True))

    def of(variable: Var | Literal) -> Dependence:
        return None if isinstance(variable, Literal) else known.get(variable)

    for eqn in jaxpr.eqns:
        inputs = [of(v) for v in eqn.invars]
        found = {d for d in inputs if d is not None}
        inner: Any = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
        outputs: list[Dependence] = [MIXED] * len(eqn.outvars)
        if not found or _is_zero(eqn):
            outputs = [None] * len(eqn.outvars)
        elif eqn.primitive.name in ("jit", "pjit", "closed_call", "custom_jvp_call", "checkpoint"):
            outputs = _follow(getattr(inner, "jaxpr", inner), inputs)
        elif len(found) == 1 and _keeps_entries(eqn, inputs):
            outputs = [found.pop()]
        known.update(zip(eqn.outvars, outputs, strict=True))
    return [of(v) for v in jaxpr.outvars]


def _is_zero(eqn: JaxprEqn) -> bool:
    """Whether it is a product with the number zero, as in `0 * y + 0.5`."""
    return eqn.primitive.name == "mul" and any(isinstance(v, Literal) and np.all(v.val == 0) for v in eqn.invars)


def _keeps_entries(eqn: JaxprEqn, inputs: list[Dependence]) -> bool:
    """Whether entry i of the output is made of entry i of each input, counted row by row."""
    operands: list[Any] = eqn.invars
    results: list[Any] = eqn.outvars
    return eqn.primitive.name in ENTRYWISE and all(
        v.aval.size == results[0].aval.size for v, d in zip(operands, inputs, strict=True) if d is not None
    )


def _samples(
    closed: ClosedJaxpr, y: State, t: Time, in_order: bool = False
) -> list[tuple[Callable[..., Any], list[list[Any]]]]:
    """For two times, g of the leaves of y, and points at which to take it: two of positive numbers, one of both signs
    and, where it is known, the start itself. None where g has effects, or closes over what no number stands for.
    """
    leaves = jax.tree.leaves(y)
    if closed.effects or not all(_is_number(x) for x in closed.consts if isinstance(x, jax.core.Tracer)):
        return []
    program, consts = recalled(closed)
    values = functools.partial(program, [_known(x, seed, in_order) for seed, x in enumerate(consts, 6)])
    points = [_numbers(leaves, seed) for seed in (1, 2)]
    points.append([x * jnp.sign(s - 1) for x, s in zip(points[0], _numbers(leaves, 3), strict=True)])
    if not any(isinstance(x, jax.core.Tracer) for x in leaves):
        points.append(leaves)
    start = _known(t, 0)
    return [(functools.partial(values, time), points) for time in (start, start + _numbers([start], 4)[0])]


def _is_number(x: Array) -> bool:
    return jnp.issubdtype(x.dtype, jnp.number) or x.dtype == jnp.bool


def _known(x: Array | np.ndarray, seed: int, in_order: bool = False) -> Any:
    return _numbers([x], seed, in_order)[0] if isinstance(x, jax.core.Tracer) else jnp.asarray(x)


def _numbers(like: list[Any], seed: int, in_order: bool = False) -> list[Any]:
    """Numbers between 1/2 and 3/2, of complex ones both parts, in place of those of arrays; for whole numbers, which
    may be indices, zeros, or those of an array 0, 1, 2, ... along its last axis; for truth values, true and false in
    turns.
    """
    rng = np.random.default_rng(seed)

    def stand_in(x: Any) -> Any:
        numbers = rng.uniform(0.5, 1.5, x.shape)
        if jnp.issubdtype(x.dtype, jnp.complexfloating):
            return numbers + 1j * rng.uniform(0.5, 1.5, x.shape)
        if jnp.issubdtype(x.dtype, jnp.inexact):
            return numbers
        if x.dtype == jnp.bool:
            return np.arange(x.size).reshape(x.shape) % 2 == 0
        return np.broadcast_to(np.arange(x.shape[-1]) if in_order and x.ndim else 0, x.shape)

    return [jnp.asarray(stand_in(x), x.dtype) for x in like]


def _differ(a: list[Any], b: list[Any], sizes: Sequence[float | np.ndarray] | None = None) -> bool:
    """Whether arrays differ where both are finite, by more than the rounding of numbers of their size and of `sizes`,
    of an array or of each of its entries.
    """

    def pair(size: float | np.ndarray, *numbers: Array) -> bool:
        rounding = float(jnp.finfo(numbers[0].dtype).eps)
        x, y = (np.asarray(v, np.result_type(v.dtype, np.float64)) for v in numbers)
        finite = np.isfinite(x) & np.isfinite(y)
        x, y, size = x[finite], y[finite], np.broadcast_to(size, finite.shape)[finite]
        own = np.maximum(np.abs(x), np.abs(y)).max(initial=0)
        return bool(np.any(np.abs(x - y) > rounding**0.5 * own + 100 * rounding * size))

    return any(pair(size, x, y) for size, x, y in zip(sizes or [0.0] * len(a), a, b, strict=True))
