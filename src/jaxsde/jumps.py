"""Jumps: a compound Poisson process beside the Brownian motion.

The times of jumps are no times of the grid, so the grid takes them in: they are drawn before the solve, from a Poisson
process of a rate that no rate of the equation exceeds, and every one is the end of a step. There the solution jumps,
with a probability of its rate over that bound (thinning: Lewis and Shedler, Simulation of nonhomogeneous Poisson
processes by thinning, 1979; jump-adapted grids: Platen and Bruti-Liberati, Numerical Solution of Stochastic
Differential Equations with Jumps in Finance, 2010). So jumps cost a method nothing of its order.

Whether there is a jump does not change smoothly with the rate: the derivative of a path by what the rate depends on
exists and is not the derivative of an expectation. So it is refused. That by the sizes of jumps is right.
"""

import dataclasses
import enum
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from jaxsde import loops
from jaxsde.brownian.increment import Increment
from jaxsde.brownian.keys import derive_key, fold_in
from jaxsde.counts import check_count
from jaxsde.engine import Scheme
from jaxsde.flat_sde import FlatSDE
from jaxsde.methods import Method
from jaxsde.signatures import check_takes
from jaxsde.times import Rows, check_counted, is_known
from jaxsde.types import Args, Carry, Leaves, State, Time, TimeVector
from jaxsde.undifferentiated import undifferentiated

# A Poisson number of mean m is above m + 10 sqrt(m) + 20 with a probability below 1e-20.
DEVIATIONS, LEAST = 10, 20
MOST = 10**7
REFUSAL = (
    "The rate of jumps, its bound or ts depends on what is differentiated. Whether there is a jump does not change "
    "smoothly with it, so that the derivative of a path is not that of an expectation: it is refused. Those by the "
    "sizes of jumps, of a rate that depends neither on y nor on them, are right; with adjoint='stochastic' a rate that "
    "is a function is always refused."
)


@dataclasses.dataclass(frozen=True)
class Jumps:
    """At random times y jumps to `change(y, t, key, args)`.

    **Arguments:**

    - `change`: y after a jump, of y before it, its time, a JAX key for its size, and `args`. Like y.
    - `rate`: expected jumps per unit of time: a number of zero or more, which may be traced; or a function
      `rate(y, t, args)` of the state before.
    - `bound`: where `rate` is a function, a number that it never exceeds. Where it does at an end of a step, the
      solution is NaN from there on, with a warning. The cost is that of a step for each time of a process of that rate.
    - `most`: how many such times there is room for; so many that more are never seen unless given. Where they do not
      suffice the solution is NaN after the last one, with a warning. Needed where the rate, the bound or ts is traced.

    **Raises:** `TypeError` or `ValueError` for what is not as above.
    """

    change: Callable[[State, Time, Any, Args], State]
    rate: Any
    bound: Any = None
    most: int | None = None

    def __post_init__(self) -> None:
        check_takes("change", self.change, "y", "t", "key", "args")
        if callable(self.rate):
            check_takes("rate", self.rate, "y", "t", "args")
        if callable(self.rate) and self.bound is None:
            raise TypeError("rate is a function and bound is not given; pass a number that the rate never exceeds.")
        if not callable(self.rate) and self.bound is not None:
            raise TypeError(f"rate is a number and bound={self.bound!r} is given; it is for a rate that is a function.")
        name, value = ("bound", self.bound) if callable(self.rate) else ("rate", self.rate)
        number = isinstance(value, int | float | np.number | np.ndarray | jax.Array) and not jnp.iscomplexobj(value)
        if not number or np.shape(value) != ():
            raise TypeError(f"{name} is {value!r}; it is one real number of zero or more, in jumps per unit of time.")
        if is_known(value) and not 0 <= float(value) < np.inf:
            raise ValueError(f"{name} is {value}; it is a finite number of zero or more, in jumps per unit of time.")
        if self.most is not None:
            check_count("most", self.most, MOST)

    @property
    def highest_rate(self) -> Any:
        return self.bound if callable(self.rate) else self.rate

    def room(self, ts: TimeVector) -> int:
        """For how many times there is room.

        **Raises:** `TypeError` where that is not known.
        """
        if self.most is not None:
            return int(self.most)
        if not (is_known(self.highest_rate) and is_known(ts)):
            raise TypeError("The rate, its bound or ts is traced, so the number of jumps is not known; pass most=.")
        mean = float(self.highest_rate) * float(abs(ts[-1] - ts[0]))
        needed = math.ceil(mean + DEVIATIONS * math.sqrt(mean)) + LEAST
        # In eight sizes an octave: rates that are nearly alike share a program.
        size = 2 ** max(0, needed.bit_length() - 4)
        needed = -(-needed // size) * size
        if needed > MOST:
            raise ValueError(
                f"A rate of {float(self.highest_rate):g} makes about {mean:.3g} jumps between ts[0] and ts[-1], and "
                f"there is room for {MOST}: replace jumps that are so many by their mean and Brownian noise."
            )
        return needed

    def traceable(self, like: State, t: jax.ShapeDtypeStruct) -> dict[str, Any]:
        """Its functions, each with an example of its arguments but args."""
        key = jax.eval_shape(lambda: jax.random.key(0, impl="threefry2x32"))
        return {
            "rate": (self.rate, (like, t)) if callable(self.rate) else None,
            "change": (self.change, (like, t, key)),
        }


class Candidates(NamedTuple):
    """Where a path may jump, by the steps of the grid that has these times in it.

    - `number`: which of the times the end of each step is; -1 where it is a time of the grid alone.
    - `last`: of the number after which there may be more that there is no room for.
    - `bound`: of the rate.
    - `key`: of acceptance and sizes.
    """

    number: Int[Array, " steps"]
    last: int | Int[Array, ""]
    bound: Float[Array, ""]
    key: Key[Array, ""]


def jump_adapted(rows: Rows, ts: TimeVector, jumps: Jumps, rng: Any, dtype: np.dtype[Any]) -> tuple[Rows, Candidates]:
    """The grid with the times of jumps in it, and these.

    Every interval of `ts` is a row with room for all of them, so that states within it need not be kept; where that is
    mostly padding, as there are many output times, every step is a row.

    **Arguments:**

    - `rows`: the steps of the grid without.
    - `ts`: the output times.
    - `rng`: the key of the solve.
    """
    room = jumps.room(ts)
    if not is_known(rows.outputs):
        raise TypeError(
            "The times of steps or ts are traced and ts leaves some out, so where jumps come between is not known: "
            "pass all times of steps for ts, or times that are known."
        )
    ends, after = rows.ends()
    intervals, longest = after.size - 1, int(np.diff(after).max()) + room
    by_step = intervals * longest > 2 * (rows.total + room)
    shape = (rows.total + room, 1) if by_step else (intervals, longest)
    check_counted(math.prod(shape))
    times_key, key = jax.random.split(derive_key(rng, "jaxsde.jumps"))
    # From the first time, so that clocks far from zero lose nothing.
    ends, bound = jnp.asarray(ends - ts[0], dtype), jnp.asarray(jumps.highest_rate, dtype)
    ends, bound = (undifferentiated(x, REFUSAL) for x in (ends, bound))
    starts, lengths, number, places = _merged(times_key, ends, after, bound, room, shape)
    rows_of = np.arange(shape[0], dtype=np.int32) * shape[1]
    t = undifferentiated(jnp.asarray(ts[0], dtype), REFUSAL) + starts
    if by_step:
        t, lengths = t[:, 0], lengths[:, 0]
    grid = Rows(rows_of, t, lengths, shape[1], None, places if by_step else None, math.prod(shape))
    return grid, Candidates(number.reshape(-1), room - 1, bound, key)


@functools.partial(jax.jit, static_argnames=("room", "shape"))
def _merged(key: Any, ends: Any, after: Any, bound: Any, room: int, shape: tuple[int, int]) -> Any:
    """Starts from the first time, lengths and numbers of steps, in rows of that shape; and after how many of them each
    output comes.
    """
    arrivals = jnp.cumsum(jax.random.exponential(key, (room,), ends.dtype)) / bound
    span = ends[-1]
    there = arrivals < jnp.abs(span)
    arrivals = jnp.sign(span) * jnp.where(there, arrivals, jnp.abs(span))
    # A traced rate may be none.
    ends = jnp.where((bound >= 0) & (bound < jnp.inf), ends, jnp.nan)
    # Those after the end stay behind it.
    order = jnp.argsort(jnp.concatenate([ends, arrivals]) * jnp.sign(span), stable=True)
    merged = jnp.concatenate([ends, arrivals])[order]
    starts = jnp.concatenate([jnp.zeros(1, ends.dtype), merged[:-1]])
    number = order - ends.size
    number = jnp.where((number >= 0) & there[number], number, -1)
    places = jnp.concatenate([jnp.zeros(1, order.dtype), jnp.argsort(order)[after[1:] - 1] + 1])
    if shape[1] == 1:
        return starts[:, None], (merged - starts)[:, None], number[:, None], places
    each = jnp.arange(merged.size)
    row = jnp.minimum(jnp.searchsorted(places[1:], each, side="right"), shape[0] - 1)
    at = row, each - places[row]
    padding = jnp.broadcast_to(merged[places[1:] - 1][:, None], shape)
    return (
        padding.at[at].set(starts),
        jnp.zeros(shape, ends.dtype).at[at].set(merged - starts),
        jnp.full(shape, -1, number.dtype).at[at].set(number),
        places,
    )


def jumping(method: Method, rate: Callable[..., Any] | None, change: Callable[..., Any], at: Candidates) -> Method:
    """The method, after whose steps the solution may jump. Its carry has the number of the step beside that of the
    method, and what is wrong, a number of `Wrong`; a jump begins the method anew.

    **Arguments:**

    - `rate`, `change`: of `Jumps`, in terms of pytrees; no rate where every candidate is a jump.
    - `at`: where it may jump.
    """

    def init(sde: FlatSDE, y: Leaves, t: Time, args: Args) -> Any:
        # Adjoints take a carry of floating point.
        return method.init(sde, y, t, args), jnp.zeros((), jnp.float32), jnp.zeros((), jnp.float32)

    def step(sde: FlatSDE, carry: Carry, t: Time, h: Time, increment: Increment, args: Args) -> Any:
        inner, steps, wrong = carry
        k = steps.astype(jnp.int32)
        number = at.number[k]
        if rate is not None:
            wrong = jnp.maximum(wrong, checked(expected(sde, inner, t, args)))
        inner = loops.unless(h == 0, lambda inner: method.step(sde, inner, t, h, increment, args), inner)
        inner, found = loops.unless(
            number < 0, lambda carry: jump(sde, carry[0], t + h, number, args), (inner, jnp.zeros((), jnp.float32))
        )
        wrong = jnp.maximum(wrong, found)
        return jax.tree.map(lambda x: jnp.where(wrong > 0, jnp.nan, x).astype(x.dtype), inner), steps + 1, wrong

    def jump(sde: FlatSDE, inner: Carry, t: Time, number: Any, args: Args) -> Any:
        chance, size = jax.random.split(fold_in(at.key, number))
        y = sde.unflatten(method.state(inner))
        accepted, wrong = jnp.array(True), jnp.where(number == at.last, float(Wrong.TOO_MANY), 0.0).astype(jnp.float32)
        if rate is not None:
            rate_here = expected(sde, inner, t, args)
            accepted = jax.random.uniform(chance, dtype=at.bound.dtype) * at.bound < rate_here
            wrong = jnp.maximum(wrong, checked(rate_here))
        if method.parted is not None:
            # A jump would begin anew, as if nothing were wrong.
            accepted &= method.parted(inner) == 0
        leaves, like = (jax.tree.leaves(tree) for tree in (change(y, t, size, args), y))
        after = tuple(x.astype(a.dtype) for x, a in zip(leaves, like, strict=True))
        begun = method.init(sde, after, t, args)
        return jax.tree.map(functools.partial(jnp.where, accepted), begun, inner), wrong

    def expected(sde: FlatSDE, inner: Carry, t: Time, args: Args) -> Any:
        assert rate is not None
        value = jnp.asarray(rate(sde.unflatten(method.state(inner)), t, args), at.bound.dtype)
        return undifferentiated(value, REFUSAL)

    def checked(rate: Float[Array, ""]) -> Any:
        right = (rate >= 0) & (rate <= at.bound)
        return jnp.where(right, 0.0, float(Wrong.RATE)).astype(jnp.float32)

    return method.within(init, step)


class Wrong(enum.IntEnum):
    """Why the solution is NaN."""

    RATE = 1
    TOO_MANY = 2


def with_wrong(scheme: Scheme) -> Scheme:
    """The scheme of a `jumping` method, whose outputs are pairs of what they were and what is wrong."""
    return scheme._replace(output=lambda carry, args: (scheme.output(carry, args), carry[2]))
