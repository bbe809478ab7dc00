"""What is called outside of `jax.jit` is compiled once a process, whatever functions the user makes anew.

JAX caches what it compiles by the identity of the functions traced. Those that a solve loops over are made in each call
and would be compiled in each. Here the user's functions are traced in every call, which costs milliseconds, and what
was compiled is looked up by the programs that came out: so a fresh lambda is the same function. Arrays that they close
over, tracers among them, and numbers that they calculate with become arguments, and are no part of the program. No
function is kept alive; the last 256 compilations are.

A program does not show the rules of `jax.custom_jvp` and `jax.custom_vjp`: where it has one, its derivative is traced
and compared too, and where that cannot be, nothing is looked up. Callbacks are compared by identity.
"""

import dataclasses
import functools
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, Var, jaxpr_as_fun
from jaxtyping import Array, PyTree

from jaxsde.types import Args

Function = Callable[..., Any]

# What loses no more than its rounding if it is computed with rounded numbers.
WELL_CONDITIONED = frozenset({
    "abs", "broadcast_in_dim", "convert_element_type", "copy", "div", "exp", "integer_pow", "max", "min", "mul", "neg",
    "pow", "reshape", "rsqrt", "sqrt", "square",
})  # fmt: skip


# Whose numbers may as well be arguments. Powers are not among them: a square root is faster where it is known for one.
ARITHMETIC = frozenset({
    "add", "broadcast_in_dim", "div", "eq", "ge", "gt", "jit", "le", "lt", "max", "min", "mul", "ne", "pjit", "sub",
})  # fmt: skip


class Same:
    """Equal to another of the very same object alone."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def once(
    run: Callable[..., Any],
    static: Hashable,
    functions: Mapping[str, tuple[Function, tuple[Any, ...]] | None],
    args: Args,
    *arrays: PyTree,
) -> Any:
    """`run(functions, args, *arrays)`, compiled once for all calls alike, except in a caller's `jit` or without any.

    **Arguments:**

    - `run`: calls each of `functions` with its example's arguments, and `args` last. It is kept: it closes over nothing
      of the user's.
    - `static`: hashable; equal where `run` is.
    - `functions`: each with an example of its arguments, without `args`; or `None`.
    - `args`: what the functions get; `run` hands on what it is given in their place.
    - `arrays`: pytrees of arrays.
    """
    compiled = compiled_once(run, static, functions, args)
    if compiled is None:
        return run({name: pair and pair[0] for name, pair in functions.items()}, args, *arrays)
    return compiled(*arrays)


def compiled_once(
    run: Callable[..., Any],
    static: Hashable,
    functions: Mapping[str, tuple[Function, tuple[Any, ...]] | None],
    args: Args,
) -> Function | None:
    """What `once` calls with its arrays; `None` in a caller's `jit` or without any, and where a function cannot be told
    from others.
    """
    if inside_jit() or jax.config.jax_disable_jit:  # type: ignore[attr-defined]
        return None
    programs, closed_over = {}, {}
    for name, pair in functions.items():
        if pair is not None:
            programs[name], closed_over[name] = _trace(pair[0], pair[1], args)
    if any(program.key is None for program in programs.values()):
        return None
    task = _Task(run, programs, tuple(functions), (static, tuple((name, p.key) for name, p in programs.items())))
    return functools.partial(_compiled(task), closed_over)


def inside_jit() -> bool:
    """Whether all that is computed here is traced."""
    return isinstance(jax.lax.add(np.float32(0), np.float32(0)), jax.core.Tracer)


@dataclasses.dataclass(frozen=True)
class _Program:
    """A function of arrays and of what it closes over; `key` is `None` where it cannot be told from others."""

    jaxpr: Jaxpr
    tree: Any
    key: Any

    def __call__(self, closed_over: PyTree, *inputs: PyTree) -> Any:
        leaves = jaxpr_as_fun(ClosedJaxpr(self.jaxpr, closed_over))(*jax.tree.leaves(inputs))
        return jax.tree.unflatten(self.tree, leaves)


@dataclasses.dataclass(frozen=True)
class _Task:
    """What is compiled; equal to another of the same `key`."""

    run: Callable[..., Any] = dataclasses.field(compare=False)
    programs: Mapping[str, _Program] = dataclasses.field(compare=False)
    names: tuple[str, ...]
    key: Any

    def __call__(self, closed_over: PyTree, *arrays: PyTree) -> Any:
        def function(name: str) -> Function | None:
            program = self.programs.get(name)
            return program and (lambda *inputs: program(inputs[-1][name], *inputs[:-1]))

        return self.run({name: function(name) for name in self.names}, closed_over, *arrays)


@functools.lru_cache(maxsize=256)
def _compiled(task: _Task) -> Callable[..., Any]:
    return jax.jit(task.__call__)


def recalled(closed: ClosedJaxpr) -> tuple[Function, list[Any]]:
    """A program whose outputs are a list, as a function of a list and its inputs, compiled once for all alike; and the
    list, of what it closes over.
    """
    closed = _with_numbers_as_arguments(closed)
    customised: list[str] = []
    key = _key(closed.jaxpr, customised)
    if customised:  # Their derivatives are no part of the key.
        return lambda consts, *inputs: jaxpr_as_fun(ClosedJaxpr(closed.jaxpr, consts))(*inputs), closed.consts
    program = _Program(closed.jaxpr, jax.tree.structure([0] * len(closed.jaxpr.outvars)), key)
    task = _Task(_evaluate, {"program": program}, ("program",), ("recalled", key))
    return lambda consts, *inputs: _compiled(task)({"program": consts}, *inputs), closed.consts


def _evaluate(functions: Mapping[str, Function], closed_over: PyTree, *inputs: PyTree) -> Any:
    return functions["program"](*inputs, closed_over)


def _trace(function: Function, example: tuple[Any, ...], args: Args) -> tuple[_Program, list[Any]]:
    def trace(args: Args) -> Any:
        return jax.make_jaxpr(lambda *inputs: function(*inputs, args), return_shape=True)(*example)

    try:
        # Numbers become arrays, of which other values are no other program.
        closed, shape = trace(jax.tree.map(lambda x: jnp.asarray(x) if isinstance(x, float | np.floating) else x, args))
        as_arrays = not _needs_numbers(closed.jaxpr)
    except Exception:
        # But a function may need them for a decision: whatever it says of arrays, it may not say of numbers.
        as_arrays = False
    if not as_arrays:
        closed, shape = trace(args)
    closed, tree = _with_numbers_as_arguments(closed), jax.tree.structure(shape)
    consts = [c if isinstance(c, jax.Array) else np.asarray(c) for c in closed.consts]
    customised: list[str] = []
    key: Any = _key(closed.jaxpr, customised)
    if customised:
        try:
            derivative = _derivative(closed, "custom_vjp" in "".join(customised))
        except Exception:
            # It has none, as with a callback, or none in all of its inputs.
            return _Program(closed.jaxpr, tree, None), consts
        key = key, _closed_key(derivative, [])
    return _Program(closed.jaxpr, tree, (key, tree)), consts


def _with_numbers_as_arguments(closed: ClosedJaxpr) -> ClosedJaxpr:
    """The same program, which closes over the numbers that it calculates with: those of a sweep are no programs of
    their own.
    """
    variables, values, equations = list(closed.jaxpr.constvars), list(closed.consts), []

    def argument(operand: Any) -> Any:
        aval: Any = operand.aval
        if not (isinstance(operand, Literal) and aval.shape == () and jnp.issubdtype(aval.dtype, jnp.floating)):
            return operand
        variables.append(Var(aval))
        values.append(np.asarray(operand.val, aval.dtype))
        return variables[-1]

    for equation in closed.jaxpr.eqns:
        if equation.primitive.name in ARITHMETIC:
            equation = equation.replace(invars=list(map(argument, equation.invars)))
        equations.append(equation)
    return ClosedJaxpr(closed.jaxpr.replace(constvars=variables, eqns=equations), values)


def _needs_numbers(jaxpr: Jaxpr) -> bool:
    """Whether numbers that became arrays are added or compared with each other, or the like.

    Python does so in double precision: the difference of two dates, or 1 - rho^2, may be nothing in single precision.
    """
    constants: list[Any] = jaxpr.constvars
    numbers = {v for v in constants if v.aval.shape == () and v.aval.dtype.itemsize < 8}
    for equation in jaxpr.eqns:
        operands: list[Any] = equation.invars
        variables = [v for v in operands if not isinstance(v, Literal)]
        if variables and numbers.issuperset(variables) and all(v.aval.shape == () for v in operands):
            if equation.primitive.name not in WELL_CONDITIONED:
                return True
            numbers.update(equation.outvars)
    return False


def _derivative(closed: ClosedJaxpr, reverse: bool) -> ClosedJaxpr:
    """The program of the derivative, in which the rules that users give are written out."""
    inputs = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in (*closed.jaxpr.constvars, *closed.jaxpr.invars)]
    count = len(closed.consts)
    moving = [i for i, x in enumerate(inputs) if jnp.issubdtype(x.dtype, jnp.floating)]

    def derivative(inputs: list[Any], directions: list[Any]) -> Any:
        def function(*chosen: Array) -> Any:
            values = list(inputs)
            for i, x in zip(moving, chosen, strict=True):
                values[i] = x
            outputs = jaxpr_as_fun(ClosedJaxpr(closed.jaxpr, values[:count]))(*values[count:])
            return [x for x in outputs if jnp.issubdtype(x.dtype, jnp.floating)]

        chosen = [inputs[i] for i in moving]
        if not reverse:
            return jax.jvp(function, tuple(chosen), tuple(directions))
        outputs, pull = jax.vjp(function, *chosen)
        return pull([jnp.ones_like(x) for x in outputs])

    return jax.make_jaxpr(derivative)(inputs, [inputs[i] for i in moving])


def _closed_key(closed: ClosedJaxpr, customised: list[str]) -> Any:
    # An array of numpy may be changed in place.
    consts = ((c.dtype, c.shape, c.tobytes()) if isinstance(c, np.ndarray) else Same(c) for c in closed.consts)
    return _key(closed.jaxpr, customised), tuple(consts)


def _key(jaxpr: Jaxpr, customised: list[str]) -> Any:
    """What tells a program from another; names of operations with own rules of derivatives are added to the list."""
    numbers: dict[Any, int] = {}

    def number(variable: Var) -> int:
        return numbers.setdefault(variable, len(numbers))

    def atom(x: Var | Literal) -> Any:
        if isinstance(x, Literal):
            return x.aval, np.asarray(x.val).tobytes()
        return number(x)

    def value(x: object) -> Any:
        if isinstance(x, Jaxpr):
            return _key(x, customised)
        if isinstance(x, ClosedJaxpr):
            return _closed_key(x, customised)
        if isinstance(x, tuple | list):
            return type(x), tuple(value(part) for part in x)
        if isinstance(x, dict):
            return tuple((name, value(part)) for name, part in x.items())
        if isinstance(x, float):
            return float, x.hex()
        try:
            hash(x)
        except TypeError:
            return Same(x)
        return type(x), x

    inputs = [tuple((number(v), v.aval) for v in variables) for variables in (jaxpr.constvars, jaxpr.invars)]
    equations = []
    for equation in jaxpr.eqns:
        params = equation.params
        if str(equation.primitive).startswith(("custom_jvp_call", "custom_vjp_call")):
            customised.append(str(equation.primitive))
            params = {name: x for name, x in params.items() if isinstance(x, Jaxpr | ClosedJaxpr | int)}
        context = tuple(
            repr(getattr(equation.ctx, name, None))
            for name in ("compute_type", "xla_metadata", "threefry_partitionable")
        )
        operands, results = tuple(map(atom, equation.invars)), tuple(map(number, equation.outvars))
        equations.append((equation.primitive, operands, results, value(params), context))
    return tuple(inputs), tuple(equations), tuple(map(atom, jaxpr.outvars))
