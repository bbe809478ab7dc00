"""The contract of every entry point, checked before any integration."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from jaxsde.brownian import BrownianPath, CounterPath, Increment, ReplayedPath, VirtualTree
from jaxsde.brownian.keys import check_key
from jaxsde.choices import one_of
from jaxsde.first_exit import FirstExit
from jaxsde.flat_sde import BY_COLUMNS, FlatSDE, aligned, real_dtype
from jaxsde.jumps import Jumps
from jaxsde.langevin import Langevin
from jaxsde.methods import METHODS, Method, named_methods
from jaxsde.noise_contract import depends_on_state, has_brackets, has_cross_terms
from jaxsde.sde import SDE
from jaxsde.signatures import check_takes
from jaxsde.solution import Solution
from jaxsde.steps import AdaptiveSteps, FixedSteps
from jaxsde.times import Rows, is_known
from jaxsde.types import Args, Index, Key, Leaves, Running, State, Time, TimeLike, TimeVector

ADAPTIVE = "AdaptiveSteps or adaptive=True"
# Of which a matrix is 400 MB in single precision.
LARGEST_IMPLICIT = 10_000
TIME_FIRST = "With time and state exchanged it fits: functions take the state first, as f(y, t, args)."
NOISES = ("diagonal", "additive", "scalar", "commutative", "general")


def check_method(name: str | Method, sde_type: str, noise: str, langevin: bool = False) -> Method:
    """The method, if it converges to the solution of that type for that noise, of a Langevin equation or another."""
    one_of("noise", noise, NOISES)
    named = named_methods(noise)
    if not isinstance(name, Method):
        one_of("method", name, named)
    method = name if isinstance(name, Method) else named[name]
    offered = [m.name for m in METHODS.values() if offers(m, sde_type, noise, langevin)]
    if not offers(method, sde_type, noise, langevin):
        called = name if isinstance(name, str) else method.name
        if method.langevin and not langevin:
            reason, more = (
                "it splits a Langevin equation into its parts",
                " To use it, pass a jaxsde.Langevin to solve.",
            )
        elif method.order(noise):
            reason = f"it converges to the {method.sde_types[0].capitalize()} solution"
            convert = "ito_to_stratonovich" if sde_type == "ito" else "stratonovich_to_ito"
            more = (
                f" To use it, convert the drift with jaxsde.{convert} and call the other solver, or give SDE the other "
                "sde_type=."
            )
        else:
            # What an alias stands for depends on the noise.
            by_noise = {kind: method if isinstance(name, Method) else named_methods(kind)[name] for kind in NOISES}
            taken = (kind for kind, named_so in by_noise.items() if named_so.order(kind))
            reason, more = f"it is for {' and '.join(taken)} noise", ""
        raise ValueError(
            f"method {called!r} is not offered for an SDE of type {sde_type!r} with {noise} noise: {reason}. "
            f"Offered are {', '.join(map(repr, offered))}.{more}"
        )
    return method.on(noise)


def offers(method: Method, sde_type: str, noise: str, langevin: bool = False) -> bool:
    """Whether it converges to the solution of that type for that noise."""
    if method.langevin and not langevin:
        return False
    return method.order(noise) > 0 and (noise == "additive" or sde_type in method.sde_types)


def adaptive_methods(sde_type: str, noise: str, path: BrownianPath | None) -> list[Method]:
    """Those that are offered and with which adaptive steps converge, on that path or, if none is given, on one of their
    own.
    """
    with_areas = path is None or getattr(path, "has_space_time", False)
    return [
        method
        for method in METHODS.values()
        if offers(method, sde_type, noise)
        and method.order(noise) >= 1
        and not method.area
        and (with_areas or not method.on(noise).space_time)
    ]


def check_state(y0: State) -> Any:
    """y0 as a pytree of floating-point arrays, real or complex."""
    if isinstance(y0, Solution):
        raise TypeError("y0 is a Solution, from which only solve goes on; pass its last state, y0.end.")
    leaves = jax.tree.leaves(y0)
    if not leaves:
        raise ValueError("y0 has no arrays; pass an array or a pytree of arrays.")
    for leaf in leaves:
        dtype = jnp.asarray(leaf).dtype
        if not jnp.issubdtype(dtype, jnp.inexact):
            raise TypeError(
                f"y0 has a leaf of dtype {dtype}; the state is of floating-point numbers: convert it first."
            )
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.asarray(x).dtype), y0)


def check_size(method: Method, y0: State) -> None:
    """Refuses a state so large that an implicit method cannot hold the derivative of f."""
    size = sum(leaf.size * (1 + jnp.iscomplexobj(leaf)) for leaf in jax.tree.leaves(y0))
    if method.implicit and size > LARGEST_IMPLICIT:
        raise ValueError(
            f"method {method.name!r} solves with the derivative of f by all of y, a matrix of {size} x {size}; it "
            f"takes states of up to {LARGEST_IMPLICIT} entries. Solve parts that do not depend on each other by "
            "jax.vmap, or take an explicit method with smaller steps."
        )


def check_clock(
    steps: Rows,
    sde: FlatSDE,
    args: Args,
    dtype: np.dtype[Any],
    running: Running | None,
    jumps: Jumps | None = None,
    first_exit: FirstExit | None = None,
) -> None:
    """Refuses steps whose times the precision of the state does not tell apart, where it matters."""
    if not isinstance(steps.h, np.ndarray):
        return
    apart = float(np.abs(steps.t).max()) * float(jnp.finfo(dtype).eps)
    # Padding is no step.
    shortest = float(np.abs(steps.h[steps.h != 0]).min())
    # The time of an exit is one, whatever inside reads.
    matters = running is not None or first_exit is not None
    start = np.ravel(steps.t)[0]
    if shortest < apart and (matters or _reads_time(sde, args, dtype) or _jumps_read_time(jumps, sde, args, dtype)):
        raise ValueError(
            f"Steps from t = {start} are as short as {shortest:.3g}, and in {dtype}, the precision of y0, times "
            f"there are about {apart:.2g} apart: f and g could not tell them apart. Pass the time since the first, "
            "ts - ts[0], or y0 in double precision."
        )


def check_adaptive_clock(
    ts: TimeVector, sde: FlatSDE, args: Args, dtype: np.dtype[Any], running: Running | None
) -> float:
    """The shortest length of time that f and g tell from none, zero where they need not; refuses ten in all of ts."""
    apart = 8 * float(np.abs(ts).max()) * float(jnp.finfo(dtype).eps)
    span = abs(ts[-1] - ts[0])
    if apart <= 0.1 * span:
        return apart
    if running is not None or _reads_time(sde, args, dtype):
        raise ValueError(
            f"ts runs from {ts[0]} to {ts[-1]}, and in {dtype}, the precision of y0, adaptive steps tell times there "
            f"apart by {apart:.2g}. Pass the time since the first, ts - ts[0], or y0 in double precision."
        )
    return 0.0


def _reads_time(sde: FlatSDE, args: Args, dtype: np.dtype[Any]) -> bool:
    def terms(y: Leaves, dW: Leaves, t: Time) -> Any:
        return sde.drift(y, t, args), None if sde.g is None else sde.noise_term(y, t, args, dW)

    like = tuple(jax.tree.leaves(sde.like))
    return _reads_last(terms, like, sde.noise_like, jax.ShapeDtypeStruct((), dtype))


def _jumps_read_time(jumps: Jumps | None, sde: FlatSDE, args: Args, dtype: np.dtype[Any]) -> bool:
    if jumps is None:
        return False
    t = jax.ShapeDtypeStruct((), dtype)
    rate, change = jumps.traceable(sde.like, t).values()
    by_change = _reads_last(lambda y, key, t: change[0](y, t, key, args), sde.like, change[1][-1], t)
    return by_change or (rate is not None and _reads_last(lambda y, t: rate[0](y, t, args), sde.like, t))


def _reads_last(function: Callable[..., Any], *example: PyTree) -> bool:
    """Whether a function does anything with its last argument, an array."""
    jaxpr = jax.make_jaxpr(function)(*example).jaxpr
    t = jaxpr.invars[-1]
    return any(x is t for x in (*jaxpr.outvars, *(x for eqn in jaxpr.eqns for x in eqn.invars)))


def check_equation(sde: SDE, y0: State, t0: Float[Array, " n"], args: Args) -> FlatSDE:
    """The equation in terms of leaves, once f and g give what fits y0."""
    f, g, sde_type, noise, noise_shape = sde.drift, sde.diffusion, sde.sde_type, sde.noise, sde.noise_shape
    like = jax.eval_shape(lambda y: y, y0)
    t = jax.ShapeDtypeStruct((), t0.dtype)
    if noise_shape is not None and noise not in BY_COLUMNS:
        raise ValueError(
            f"noise_shape={noise_shape} is for general or commutative noise that is matrix-free; the noise is {noise}."
        )
    check_takes("f", f, "y", "t", "args")
    if g is not None:
        check_takes("g", g, "y", "t", "args")
    of_f = _Called("f", lambda y, t: f(y, t, args), (like, t))
    _fits("f", of_f.shapes(), like, "", called=of_f)
    if g is None:
        return FlatSDE(f, None, sde_type, noise, like, (None,) * len(jax.tree.leaves(like)))
    leaves = jax.tree.leaves(like)
    dtype = np.result_type(*(real_dtype(leaf.dtype) for leaf in leaves))
    if noise_shape is not None:
        dW = jax.ShapeDtypeStruct(tuple(noise_shape), dtype)
        if not _gives_function(g, like, t, args):
            raise TypeError(
                "noise_shape is given, so g(y, t, args) has to return a function v -> g v; it returned arrays."
            )
        _fits("the function that g returns", jax.eval_shape(lambda y, t, v: g(y, t, args)(v), like, t, dW), like, "")
        return FlatSDE(f, g, sde_type, noise, like, (dW,), matrix_free=True, additive_matrix=noise == "additive")
    of_g = _Called("g", lambda y, t: _arrays(g(y, t, args)), (like, t))
    diffusion = of_g.shapes()
    if noise in BY_COLUMNS or (noise == "additive" and _columns(diffusion, like)):
        if not jax.tree.leaves(diffusion):
            raise ValueError(f"g gives None for all of y; an equation without noise has g=None and no {noise} noise.")
        columns = {leaf.shape[-1:] for leaf in jax.tree.leaves(diffusion)}
        m = columns.pop() if len(columns) == 1 and columns != {()} else ("m",)
        how = ", with a last axis for the m Brownian motions, the same in all leaves"
        _fits("g", diffusion, like, how + _of_other_noise(noise, diffusion, like), extra=m, called=of_g)
        by_motion = (jax.ShapeDtypeStruct(m, dtype),)
        return FlatSDE(f, g, sde_type, noise, like, by_motion, additive_matrix=noise == "additive")
    how = _of_other_noise(noise, diffusion, like) or " (a leaf without noise of its own is None)"
    if noise == "additive":
        how += ", or in all leaves one more axis, last, for the m Brownian motions"
    _fits("g", diffusion, like, how, called=of_g)
    if noise == "scalar":
        return FlatSDE(f, g, sde_type, noise, like, (jax.ShapeDtypeStruct((), dtype),))
    increments = (jax.ShapeDtypeStruct(leaf.shape, real_dtype(leaf.dtype)) for leaf in leaves)
    noisy = tuple(None if d is None else x for d, x in zip(aligned(diffusion, like), increments, strict=True))
    return FlatSDE(f, g, sde_type, noise, like, noisy)


def check_langevin(equation: Langevin, y0: State, t0: Float[Array, " n"], args: Args) -> FlatSDE:
    """The equation in terms of leaves, once y0 is a pair and the force fits it."""
    if not (isinstance(y0, tuple | list) and len(y0) == 2):
        raise ValueError(f"y0 is {type(y0).__name__}; of a Langevin equation it is the pair (q, p), two pytrees alike.")
    q, p = jax.eval_shape(lambda y: y, tuple(y0))
    if any(jnp.issubdtype(x.dtype, jnp.complexfloating) for x in jax.tree.leaves((q, p))):
        raise TypeError(
            "y0 has complex numbers; positions and momenta of a Langevin equation are real, with noise in each entry: "
            "take real and imaginary parts for two leaves."
        )
    if _kinds(q) != _kinds(p):
        raise ValueError(f"y0 has a position of {_kinds(q)} and a momentum of {_kinds(p)}; they are alike.")
    of_force = _Called("the force", lambda q, t: equation.force(q, t, args), (q, t0[0]))
    _fits("the force", of_force.shapes(), q, "", called=of_force)
    return dataclasses.replace(check_equation(equation.sde, y0, t0, args), damping=equation.damping)


def check_jumps(
    jumps: Jumps,
    y0: State,
    t0: Time,
    args: Args,
    steps: FixedSteps | AdaptiveSteps,
    adjoint: str,
    brownian: BrownianPath | None,
    rng: Key | None,
) -> None:
    """Refuses jumps that do not fit y0, and what a grid with their times in it does not go with."""
    if not isinstance(jumps, Jumps):
        raise TypeError(f"jumps is {type(jumps).__name__}; it is Jumps of jaxsde, or None.")
    if not isinstance(steps, FixedSteps):
        raise ValueError("jumps have fixed steps between them; take FixedSteps(dt=...) in place of AdaptiveSteps.")
    if adjoint == "reversible":
        raise ValueError(
            "adjoint='reversible' undoes steps, and a jump cannot be undone; take 'backprop', 'checkpoint' or "
            "'stochastic'."
        )
    if brownian is not None and type(brownian) is not CounterPath:
        raise TypeError(
            f"jumps make steps of their own, whose increments a {type(brownian).__name__} may not have; take a "
            "CounterPath for brownian, or leave the path to the solver."
        )
    check_key(rng)
    like = jax.eval_shape(lambda y: y, y0)
    t, key = jax.ShapeDtypeStruct((), t0.dtype), jax.eval_shape(lambda: jax.random.key(0, impl="threefry2x32"))
    of_change = _Called("jumps.change", lambda y, t, key: jumps.change(y, t, key, args), (like, t, key))
    found = of_change.shapes()
    if str(jax.tree.structure(found)) != str(jax.tree.structure(like)):
        raise ValueError(f"jumps.change gives {found}; it has to give a pytree like y0: {like}.")
    _fits("jumps.change", found, like, "", called=of_change)
    if callable(jumps.rate):
        found = jax.eval_shape(lambda y, t: jnp.asarray(jumps.rate(y, t, args)), like, t)
        real = jnp.issubdtype(found.dtype, jnp.floating) or jnp.issubdtype(found.dtype, jnp.integer)
        if found.shape != () or not real:
            raise ValueError(
                f"jumps.rate gives {found.dtype} of shape {found.shape}; it has to give one real number, ()."
            )


def check_first_exit(
    first_exit: FirstExit,
    sde: SDE,
    y0: State,
    t0: Time,
    args: Args,
    steps: FixedSteps | AdaptiveSteps,
    adjoint: str,
    brownian: BrownianPath | None,
    rng: Key | None,
    running: Running | None,
    jumps: Jumps | None,
) -> None:
    """Refuses a region that is none, and what does not go with an end in it."""
    if not isinstance(first_exit, FirstExit):
        raise TypeError(f"first_exit is {type(first_exit).__name__}; it is FirstExit of jaxsde, or None.")
    if not isinstance(steps, FixedSteps):
        raise ValueError("first_exit looks at fixed steps; take FixedSteps(dt=...) in place of AdaptiveSteps.")
    if adjoint == "reversible":
        raise ValueError(
            "adjoint='reversible' undoes steps, and of a solution that has ended they cannot be undone; take "
            "'backprop', 'checkpoint' or 'stochastic'."
        )
    if running is not None:
        raise ValueError(
            "running would go on after the solution has ended; make what is to be added up a part of y, whose drift it "
            "is: it ends with the others."
        )
    if jumps is not None:
        raise ValueError(
            "first_exit takes a path between steps for a Brownian bridge, and jumps is given; leave one out."
        )
    if getattr(brownian, "cholesky", None) is not None:
        raise ValueError("first_exit takes increments for independent, and brownian has cholesky; put that into g.")
    if sde.diffusion is not None:
        check_key(rng)
    if any(map(jnp.iscomplexobj, jax.tree.leaves(y0))):
        raise TypeError(
            "y0 has complex numbers, and first_exit finds the noise across a boundary for real ones alone; take real "
            "and imaginary parts for two leaves, driven by one Brownian motion with noise='scalar' or 'general'."
        )
    like, t = jax.eval_shape(lambda y: y, y0), jax.ShapeDtypeStruct((), t0.dtype)
    found = jax.eval_shape(lambda y, t: jnp.asarray(first_exit.inside(y, t, args)), like, t)
    if found.shape != () or not jnp.issubdtype(found.dtype, jnp.floating):
        raise ValueError(
            f"inside gives {found.dtype} of shape {found.shape}; it has to give one floating-point number, positive in "
            "the region: of several, their smallest."
        )


@dataclasses.dataclass(frozen=True)
class _Called:
    """A user's function of state, time and what else, and shapes of these."""

    name: str
    function: Callable[..., Any]
    inputs: tuple[Any, ...]

    def shapes(self) -> Any:
        """Of what it gives.

        **Raises:** what it raises; `TypeError` in place of that where it takes the time first.
        """
        try:
            return jax.eval_shape(self.function, *self.inputs)
        except Exception as error:
            if self.takes_time_first():
                raise TypeError(f"{self.name} fails on a state and a time. {TIME_FIRST}") from error
            raise

    def takes_time_first(self) -> bool:
        """Whether what it gives is like the state if it is called with time and state, and otherwise is not."""
        y, t, *rest = self.inputs
        return _starts_as(y, self.function, t, y, *rest) and not _starts_as(y, self.function, y, t, *rest)


def _starts_as(like: PyTree, function: Callable[..., Any], *inputs: PyTree) -> bool:
    """Whether a function gives something whose shapes start with those of `like`, more than a number alone."""
    try:
        found = aligned(jax.eval_shape(function, *inputs), like)
    except Exception:
        return False
    pairs = [(a, b) for a, b in zip(found, jax.tree.leaves(like), strict=True) if a is not None]
    return bool(pairs) and jax.tree.map(jnp.shape, like) != () and all(a.shape[: b.ndim] == b.shape for a, b in pairs)


def _of_other_noise(noise: str, got: PyTree, like: PyTree) -> str:
    """What g is right for, if that is another noise than it is said to be of."""
    pairs = _pairs(got, like)
    if pairs and noise in BY_COLUMNS:
        alike = all(a.shape == b.shape for a, b in pairs)
        of_all = "one Brownian motion for all of y 'scalar'"
        return f"; g like y is for noise='diagonal', or for {of_all}" if alike else ""
    m = _columns(got, like)
    if m is None:
        return ""
    batch = (
        ""
        if max(b.ndim for _, b in pairs) < 2
        else (". If y0 is a batch take jax.vmap over y0 and keys, or all of it is driven by the same Brownian motions")
    )
    if m == 1:
        return f". One Brownian motion for all of y is noise='scalar', and g is like y: leave out its last axis{batch}"
    return (
        f". A last axis for {m} Brownian motions is for noise='general', or 'commutative' where the columns commute, "
        f"or 'additive' where g does not depend on y{batch}"
    )


def _columns(diffusion: PyTree, like: PyTree) -> int | None:
    """How many columns g has, of which each is like y; `None` where there are none."""
    pairs = _pairs(diffusion, like)
    m = {a.shape[-1] if a.ndim == b.ndim + 1 and a.shape[:-1] == b.shape else None for a, b in pairs}
    return m.pop() if len(m) == 1 else None


def _pairs(diffusion: PyTree, like: PyTree) -> list[tuple[Any, Any]]:
    """The leaves of g beside those of y; none where these are other trees."""
    try:
        return [(a, b) for a, b in zip(aligned(diffusion, like), jax.tree.leaves(like), strict=True) if a is not None]
    except ValueError:
        return []


def _gives_function(g: Callable[..., Any], like: PyTree, t: jax.ShapeDtypeStruct, args: Args) -> bool:
    found: list[bool] = []
    jax.eval_shape(lambda y, t: found.append(callable(g(y, t, args))), like, t)
    return found[0]


def _arrays(value: PyTree) -> Any:
    if callable(value):
        raise TypeError(
            "g(y, t, args) returns a function; that is for noise='general' or 'commutative' with noise_shape, the "
            "shape of what the function takes."
        )
    return value


def _fits(
    name: str, got: PyTree, like: PyTree, how: str, extra: tuple[Any, ...] = (), called: _Called | None = None
) -> None:
    """Refuses values of f or g that are not like the state."""
    shapes = jax.tree.map(lambda x: x.shape, got), jax.tree.map(lambda x: (*x.shape, *("m" for _ in extra)), like)
    try:
        leaves = aligned(got, like)
    except ValueError:
        leaves = ()
    if name in ("f", "the force", "jumps.change") and any(leaf is None for leaf in leaves):
        leaves = ()
    if len(leaves) != len(jax.tree.leaves(like)) or any(
        a is not None and a.shape != (*b.shape, *extra) for a, b in zip(leaves, jax.tree.leaves(like), strict=True)
    ):
        needed = str(shapes[1]).replace("'m'", "m")
        order = f" {TIME_FIRST}" if called is not None and called.takes_time_first() else ""
        raise ValueError(f"{name} gives shape {shapes[0]}; for this y0 it has to give {needed}{how}.{order}")
    for leaf, x in zip(leaves, jax.tree.leaves(like), strict=True):
        kinds = jnp.inexact if jnp.issubdtype(x.dtype, jnp.complexfloating) else jnp.floating
        if leaf is not None and not jnp.issubdtype(leaf.dtype, kinds):
            raise TypeError(
                f"{name} gives an array of dtype {leaf.dtype} for a leaf of y0 of dtype {x.dtype}; it has to be of "
                "floating point, and complex only where y0 is."
            )


def check_path(
    path: BrownianPath, sde: FlatSDE, method: Method, times: TimeVector, steps: int, dtype: np.dtype[Any]
) -> BrownianPath:
    """The path in terms of leaves, once its increments fit the noise and the grid."""
    if not isinstance(path, BrownianPath):
        raise TypeError(
            f"brownian is {type(path).__name__}; it is a CounterPath, a ReplayedPath or a VirtualTree of jaxsde, or a "
            "class with the members of jaxsde.BrownianPath."
        )
    if sde.g is not None and (type(path) is CounterPath or type(path) is VirtualTree):
        check_key(path.rng)
    if method.space_time and not path.has_space_time:
        raise ValueError(
            f"method {method.name!r} needs the space-time areas of the path: pass VirtualTree(..., space_time=True), "
            "which is another path than without, or ReplayedPath(increments, space_time), or leave the path to the "
            "solver."
        )
    if (
        method.area
        and sde.g is not None
        and (type(path) not in (CounterPath, ReplayedPath) or getattr(path, "area", path) is None)
    ):
        raise ValueError(
            f"method {method.name!r} needs the Levy areas of the path, which a CounterPath draws: leave the path to "
            "the solver, or pass ReplayedPath(increments, area=area)."
        )
    if type(path) is VirtualTree:
        _check_span(path, times)
        return path
    if type(path) is CounterPath:
        _check_cholesky(path.cholesky, sde, method)
        return path
    if type(path) is not ReplayedPath:
        _check_increment(path, sde, method, dtype)
        return path
    dW, H = (None if x is None else _given(x, sde, steps) for x in (path.increments, path.space_time))
    area = None if path.area is None else _given_area(path.area, sde, steps)
    return ReplayedPath(dW, H, area if method.area else None)


def check_rng_beside(path: BrownianPath | None, rng: Key | None) -> None:
    """Refuses a key that nothing is drawn from, beside a path of another."""
    if rng is None or not isinstance(path, CounterPath | VirtualTree) or not is_known((rng, path.rng)):
        return
    check_key(rng)
    check_key(path.rng)
    if not np.array_equal(*map(_key_bits, (rng, path.rng))):
        raise ValueError(
            f"brownian is a {type(path).__name__} of another key than rng, from which nothing would be drawn: pass "
            "rng=None, or leave out brownian for the path of rng."
        )


def _key_bits(rng: Key) -> Any:
    # Within a function that is traced, operations on numbers that are known are traced as well.
    with jax.ensure_compile_time_eval():
        typed = jnp.issubdtype(rng.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(rng) if typed else rng)


def _check_increment(path: BrownianPath, sde: FlatSDE, method: Method, dtype: np.dtype[Any]) -> None:
    """Refuses a user's path whose increments are not like the noise."""
    name, time = type(path).__name__, jax.ShapeDtypeStruct((), dtype)
    if not all(isinstance(x, jax.Array | np.ndarray) for x in jax.tree.leaves(path)):
        raise TypeError(
            f"brownian is {name}, which is not a pytree of arrays: register the class, by "
            "jax.tree_util.register_dataclass say, and keep numbers in arrays or in static fields."
        )

    def step(path: BrownianPath, k: Index, t: Time, h: Time) -> PyTree:
        return path.increment(k, t, h, sde.noise_like, method.space_time)

    found = jax.eval_shape(step, path, jax.ShapeDtypeStruct((), jnp.int32), time, time)
    needed = sde.noise_like, sde.noise_like if method.space_time else None
    if not isinstance(found, Increment) or _kinds((found.dW, found.H)) != _kinds(needed):
        raise ValueError(
            f"{name}.increment gives {found}; for this noise it has to give an Increment of dW like {needed[0]} and H "
            f"like {needed[1]}."
        )


def _kinds(leaves: PyTree) -> Any:
    return jax.tree.map(lambda x: (x.shape, x.dtype), leaves)


def _given(increments: PyTree, sde: FlatSDE, steps: int) -> Leaves:
    like = sde.noise_like
    needed = tuple(None if x is None else (steps, *x.shape) for x in like)
    try:
        single = sde.by_columns or sde.noise == "scalar"
        leaves = (increments,) if single else aligned(increments, sde.like)
        found = tuple(None if x is None else jnp.shape(x) for x in leaves)
    except (TypeError, ValueError):
        leaves, found = (), jax.tree.map(jnp.shape, increments)
    if found != needed:
        raise ValueError(
            f"ReplayedPath has increments of shape {found}; this noise on this grid of {steps} steps has {needed}."
        )
    _check_real("ReplayedPath has", *leaves)
    return tuple(None if x is None or a is None else jnp.asarray(x, a.dtype) for x, a in zip(leaves, like, strict=True))


def _check_real(where: str, *arrays: Any) -> None:
    """Refuses complex numbers, of which a cast would keep the real part."""
    for x in arrays:
        if x is not None and jnp.iscomplexobj(x):
            raise TypeError(
                f"{where} an array of dtype {jnp.result_type(x)}; what belongs to a Brownian motion is real."
            )


def _given_area(area: Any, sde: FlatSDE, steps: int) -> Any:
    if sde.noise not in BY_COLUMNS:
        raise ValueError(
            f"ReplayedPath has area, which is for general or commutative noise; the noise is {sde.noise}: leave it out."
        )
    like = sde.noise_like[0]
    if like is None:
        return None
    needed = (steps, like.size, like.size)
    if np.shape(area) != needed:
        raise ValueError(f"ReplayedPath has area of shape {np.shape(area)}; this noise on this grid has {needed}.")
    _check_real("area of ReplayedPath is", area)
    found = jnp.asarray(area, like.dtype)
    if is_known(area):
        known = np.asarray(found, np.float64)
        both, size = (np.abs(x).max(initial=0.0) for x in (known + np.swapaxes(known, 1, 2), known))
        if both > float(jnp.finfo(like.dtype).eps) ** 0.5 * size:
            raise ValueError(
                f"ReplayedPath has area with A + A^T of up to {both:.3g}; Levy areas are antisymmetric: pass half of "
                "I_jk - I_kj."
            )
    return found


def _check_span(tree: VirtualTree, times: TimeVector) -> None:
    if not is_known(times):
        return
    first, last = times.min(), times.max()
    rounding = 1e-6 * (tree.t1 - tree.t0)
    if first < tree.t0 - rounding or last > tree.t1 + rounding:
        raise ValueError(
            f"brownian is a VirtualTree from {tree.t0} to {tree.t1} and ts runs between {first} and {last}; the tree "
            "has to cover all of ts."
        )


def _check_cholesky(cholesky: Array | np.ndarray | None, sde: FlatSDE, method: Method) -> None:
    if cholesky is None:
        return
    _check_real("cholesky is", cholesky)
    for x in sde.noise_like:
        if x is not None and (x.ndim == 0 or np.shape(cholesky) != (x.shape[-1], x.shape[-1])):
            raise ValueError(
                f"cholesky has shape {np.shape(cholesky)}; noise of shape {x.shape} needs a square matrix of its last "
                "axis."
            )
    # What is made of dW_j dW_k - h delta_jk has mean 0 for independent increments alone.
    squares = method.order(sde.noise) > 0.5 or method.weak_order > 1
    if sde.g is None or sde.sde_type != "ito" or sde.noise == "additive" or not squares:
        return
    standard = sde.noise == "diagonal" and not isinstance(cholesky, jax.core.Tracer)
    if standard and np.allclose(np.square(cholesky).sum(axis=1), 1, atol=1e-3):
        return
    raise ValueError(
        f"method {method.name!r} takes increments of an Ito solution for independent ones, with variance h, and "
        "brownian has a cholesky that makes them others: another solution would come out. Put it into the diffusion, "
        "g @ cholesky with noise='general' or 'commutative', or take 'euler_maruyama'; with diagonal noise only each "
        "entry's variance matters, so rows of cholesky of length 1, that are known and not traced, are taken."
    )


def check_noise(sde: FlatSDE, method: Method, y0: Leaves, t0: Time, args: Args, adaptive: bool = False) -> None:
    """Refuses a diffusion that is not of its noise type, where what is made of it would be wrong."""
    if sde.g is None:
        return
    y = sde.unflatten(y0)
    if sde.noise == "additive":
        check_additive(sde.g, y, t0, args)
    if sde.noise == "commutative":
        _check_commutative(sde, y, t0, args)
    entrywise = sde.noise == "diagonal" and (adaptive or method.entrywise)
    if entrywise and has_cross_terms(sde.g, y, t0, args, in_order=True):
        who = ADAPTIVE if adaptive else f"method {method.name!r}"
        raise ValueError(
            f"noise is 'diagonal' and an entry of g(y, t, args) depends on another entry of y that has noise; {who} "
            "needs entry i of g to depend on entry i of y alone. Take fixed steps of 'euler_maruyama' (Ito) or of "
            "'heun', 'midpoint' or 'euler_heun' (Stratonovich), which converge for this noise at order 1/2."
        )


def check_additive(g: Callable[..., Any], y: State, t: TimeLike, args: Args) -> None:
    """Refuses a diffusion that depends on y."""
    if depends_on_state(g, y, t, args):
        raise ValueError(
            "noise is 'additive' and g(y, t, args) depends on y: it changes when y does. What is right for additive "
            "noise, such as a method for either calculus, is wrong for it: pass noise='diagonal' if entry i of g "
            "depends on entry i of y, or 'scalar', 'commutative' or 'general', and a method that is offered for that."
        )


def _check_commutative(sde: FlatSDE, y: State, t: Time, args: Args) -> None:
    def product(state: tuple[State, Array], t: Time, args: Args) -> Any:
        y, dW = state
        return sde.unflatten(sde.noise_term(tuple(jax.tree.leaves(y)), t, args, (dW,))), None

    (noise,) = sde.noise_like
    assert noise is not None
    if has_brackets(product, y, noise, t, args):
        raise ValueError(
            "noise is 'commutative' and the columns of g(y, t, args) do not commute: the derivative of one along "
            "another is not that of the other along the one. What has order 1 for commutative noise has order 1/2 for "
            "it: pass noise='general', and where single paths matter method='davie', or 'log_ode' (Stratonovich), "
            "which take Levy areas; 'heun', 'midpoint', 'euler_heun' and 'ees25' take the same steps for either. Where "
            "g commutes for some values of args alone, these have to be known and not traced."
        )


def check_adaptive(sde: FlatSDE, method: Method, brownian: BrownianPath | None) -> None:
    """Refuses what adaptive steps do not converge for."""
    if method.order(sde.noise) < 1 and sde.g is not None:
        fit = [repr(m.name) for m in adaptive_methods(sde.sde_type, sde.noise, brownian)]
        if not fit:
            raise ValueError(
                f"{ADAPTIVE} with {sde.noise} noise: methods for it are of strong order 0.5, with which the steps may "
                "converge to another solution, or need Levy areas, which a VirtualTree does not have; take fixed "
                "steps, as FixedSteps(dt=...), or noise='commutative' where the columns of g commute."
            )
        raise ValueError(
            f"{ADAPTIVE} with method {method.name!r} and {sde.noise} noise: strong order "
            f"{method.order(sde.noise)} is too low, the steps may converge to another solution; take "
            f"method {' or '.join(fit)}, of order 1 or more, or fixed steps, as FixedSteps(dt=...)."
        )
    if method.area:
        raise ValueError(
            f"{ADAPTIVE} with method {method.name!r}: it needs Levy areas, which a VirtualTree does not have; take "
            "fixed steps, as FixedSteps(dt=...)."
        )
    if brownian is not None and type(brownian) is not VirtualTree:
        raise TypeError(
            f"{ADAPTIVE} takes a VirtualTree for brownian, not a {type(brownian).__name__}, nor any subclass."
        )
