"""Expectations by multilevel Monte Carlo, with an estimate of their own error.

The mean on fine steps is that on coarse steps and the means of the differences between steps and steps half as long,
where both solutions of a difference run along the same path. Differences get smaller with the steps, and so do their
variances: most paths are coarse, and few fine ones correct them. With V the variance of a level and C the cost of a
path, the least work for a given variance of the whole is that of a number of paths in proportion to sqrt(V / C) (Giles,
Multilevel Monte Carlo path simulation, 2008; Multilevel Monte Carlo methods, 2015).

What is estimated is known with an error itself, and is taken on the safe side:

- The variance of a level is that of its paths and one more, as far from the mean as values may be, if that is stated,
  or else as the farthest that was seen: an event that k of n paths saw has the probability (k + 1) / n, which is
  Laplace's rule of succession. Where no two paths differ on any level nothing tells how far that is, and so the error
  is infinite; but for entries that do not depend on the noise.
- Nor is it less than half of what follows from the level before and the strong order of the method.
- The bias is the sum of the differences that would follow, if each is a share of the one before: 2^-a with the weak
  order a of the method, or what is seen where that is more. It starts from the last three differences, each a standard
  error larger than seen, the largest of what they say. Rounding is added to it.
- A coarse level is where the sum starts if that is the least work. So levels are left out on which the solution is not
  finite, unstable, or which differ so much from the next that they do not pay. Of the work of each start the variance
  of the value is the largest that a level saw: one whose few paths missed what is rare is not free.
"""

import dataclasses
import math
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Num, PyTree

from jaxsde.brownian.keys import check_key, derive_key, fold_in
from jaxsde.choices import one_of
from jaxsde.compiled import inside_jit
from jaxsde.counts import check_count
from jaxsde.flat_sde import aligned, precision
from jaxsde.integrate import USUAL_METHOD
from jaxsde.langevin import Langevin
from jaxsde.levels import LARGEST, PILOT, Level, Problem
from jaxsde.methods import METHODS, Method
from jaxsde.moments import Moments, Vector
from jaxsde.problem import (
    check_clock,
    check_equation,
    check_langevin,
    check_method,
    check_noise,
    check_size,
    check_state,
    offers,
)
from jaxsde.sde import SDE
from jaxsde.signatures import check_takes
from jaxsde.solution import Result
from jaxsde.steps import USUAL, FixedSteps
from jaxsde.times import Rows, divide_evenly, fewest_steps, is_known, known_times, resolution
from jaxsde.types import Args, Key, State, Times

ONE_STEP = FixedSteps(1)
# Levels that the sum has at least. With fewer it may end before differences fall as they do on short steps: those of a
# rare event grow at first, from nothing.
FEWEST = 5
# Differences of which the bias is made.
LAST = 3
# How much more paths may become at once, before their variance is looked at again.
GROWTH = 8
# Of the squared tolerance: how much one path more, like those few that make a variance, may change the error. For
# differences it is more, as of them the value tells the scale.
VALUE_MATTERS, DIFFERENCE_MATTERS = 0.005, 0.02
# Paths that make the variance of the value itself, at least: on fewer its scale is not known.
TELLING = 25
# Levels with paths that are not finite, after which no more are tried.
HOPELESS = 14
# A share of paths is missed by so many times as many as have one of it on average, with a probability of e^-5.
NONE_OF = 5

Table = Float[np.ndarray, "levels entries"]


@dataclasses.dataclass(frozen=True)
class LevelStats:
    """What a level of an expectation was.

    - `steps`: of a path on its fine steps, from the first time to the last.
    - `paths`: how many; with mirrored pairs, of pairs.
    - `mean`, `variance`: by entry, like the value, of the difference between these steps and steps twice as long, and
      of the coarsest level of the value itself; the variance is that of one path, on the safe side.
    - `cost`: steps of all its paths, of both solutions.
    """

    steps: int
    paths: int
    mean: PyTree
    variance: PyTree
    cost: int


@dataclasses.dataclass(frozen=True)
class Expectation:
    """An expectation and its error, in arrays of numpy in double precision.

    - `mean`: like the value of `of`.
    - `standard_error`: of chance, by entry, like the value; infinite where nothing tells how far apart values are.
    - `bias`: of the steps, by entry, like the value: what it may be, without a sign; infinite where that is not known.
    - `levels`: from the coarsest to the finest, of whose means `mean` is the sum; with `extrapolate` the last one
      counts for more.
    - `left_out`: the numbers of steps of coarser levels that were tried and left out.
    - `steps`: of all paths, those that were left out too.
    - `result`: `Result.SUCCESSFUL`, or `Result.TOLERANCE_NOT_MET`.
    """

    mean: PyTree
    standard_error: PyTree
    bias: PyTree
    levels: tuple[LevelStats, ...]
    left_out: tuple[int, ...]
    steps: int
    result: Result


def expectation(
    sde: SDE | Langevin,
    y0: State,
    ts: Times,
    rng: Key,
    args: Args = None,
    *,
    of: Callable[[Any], PyTree],
    tolerance: PyTree,
    method: str | Method | None = None,
    steps: FixedSteps = ONE_STEP,
    max_steps: int = 10**9,
    value_range: PyTree = math.inf,
    antithetic: bool = False,
    extrapolate: bool = False,
) -> Expectation:
    """The mean of a function of the solution over all Brownian paths, to a tolerance, by multilevel Monte Carlo.

    **Arguments:**

    - `sde`, `y0`, `args`: as for `solve`.
    - `ts`: the times at which `of` sees the solution, (n,), known ones; `ts[0]` is the time of `y0`.
    - `rng`: a JAX key. The same one gives the same numbers.
    - `of`: a function of the solution at all of `ts`, a pytree like y0 with a leading axis of n, as `Solution.ys`; its
      value is a pytree of floating-point arrays.
    - `tolerance`: of each entry of the value, the root of `standard_error**2 + bias**2`: a positive number, or a pytree
      of them like the value, or like the first levels of its tree.
    - `method`: as for `solve`, and one that needs no Levy areas.
    - `steps`: the coarsest; every level after them has twice as many. They are to be short enough to see what the
      equation does: what no level sees is in no error. With `FixedSteps(dt=...)` every interval has as many as the
      longest.
    - `max_steps`: the most steps of all paths together. Where they do not suffice, what was reached is returned, with a
      warning.
    - `value_range`: how far apart two values of an entry may be at most, such as 1 of a probability, or a pytree like
      `tolerance`; infinite where that is not known. With it the error of what is rare does not depend on a path that
      saw it. On each level it takes `value_range / tolerance` paths or more.
    - `antithetic`: whether to mirror paths: each comes with that of the other sign, which is a Brownian path too, on
      every level where the two together have less variance than two others.
    - `extrapolate`: whether to take off what the last difference says of the bias (Richardson), by the weak order of
      the method.

    **Returns:** an `Expectation`. It is no function for `jit`, `vmap` or `grad`: how much is computed depends on what
    is seen. What it compiles, for a few sizes of batches, it compiles once a process, whatever the numbers.

    **Raises:** `ValueError` or `TypeError`, before any path is drawn, as `solve` does and for what is said above and
    does not hold. `ValueError` where two values are farther apart than `value_range`.
    """
    check_key(rng)
    if not callable(of):
        raise TypeError(f"of is {of!r}; it is a function of the solution, such as lambda ys: ys[-1].")
    check_takes("of", of, "ys")
    for name, choice in (("antithetic", antithetic), ("extrapolate", extrapolate)):
        if not isinstance(choice, bool):
            raise TypeError(f"{name} is {choice!r}; it is True or False.")
    if inside_jit() or not is_known((y0, ts, rng, args, tolerance, value_range)):
        raise TypeError(
            "expectation is called within jit, vmap or grad, and what it computes depends on what it sees: call it "
            "outside. For a gradient, put the derivative of a path into the state, or take jax.grad of a mean of solve."
        )
    if not isinstance(steps, FixedSteps):
        raise TypeError(
            f"steps is {type(steps).__name__}; levels halve equal steps: take FixedSteps, such as FixedSteps(4)."
        )
    if steps.times is not None:
        raise ValueError(
            "steps is FixedSteps with times; levels halve equal steps: give ts itself uneven times and take a number "
            "of steps for all of its intervals, such as FixedSteps(1), which halves each."
        )
    check_count("max_steps", max_steps)
    problem = _posed(sde, y0, ts, args, of, method)
    tolerances = _by_entry("tolerance", tolerance, "an error, a positive number", problem.value_like)
    if (tolerances > LARGEST).any():
        raise ValueError(f"tolerance is {tolerance!r}; it is an error, a number of no more than {LARGEST:.0e}.")
    ranges = _by_entry("value_range", value_range, "a positive number", problem.value_like) / tolerances
    each = _coarsest(steps, problem.times, resolution(ts))
    return _Search(problem, each, rng, tolerances, ranges, max_steps, antithetic, extrapolate).run()


def _posed(
    sde: SDE | Langevin, y0: State, ts: Times, args: Args, of: Callable[[Any], Any], method: str | Method | None
) -> Problem:
    langevin = sde if isinstance(sde, Langevin) else None
    plain = sde.sde if isinstance(sde, Langevin) else sde
    if not isinstance(plain, SDE):
        raise TypeError(f"sde is {type(sde).__name__}; it is an SDE of jaxsde, such as SDE(f, g), or a Langevin.")
    one_of("sde_type", plain.sde_type, USUAL_METHOD)
    name = method or ("baoab" if langevin else USUAL_METHOD[plain.sde_type])
    chosen = check_method(name, plain.sde_type, plain.noise, langevin is not None)
    if chosen.area:
        fit = [m.name for m in METHODS.values() if offers(m, plain.sde_type, plain.noise) and not m.area]
        raise ValueError(
            f"method {chosen.name!r} needs Levy areas, which are drawn with the right mean and covariance alone: those "
            "of a long step are not joined of two short ones, and the means of levels would not add up. Offered are "
            f"{', '.join(map(repr, fit))}."
        )
    if plain.diffusion is None:
        raise ValueError("The equation has no noise, so nothing is to be averaged: take solve.")
    y0 = check_state(y0)
    check_size(chosen, y0)
    known = known_times(ts)
    dtype = precision(y0)
    times = jnp.asarray(known, dtype)
    flat = check_langevin(langevin, y0, times, args) if langevin else check_equation(plain, y0, times, args)
    leaves = tuple(jax.tree.leaves(y0))
    check_noise(flat, chosen, leaves, times[0], args)
    ys_like = jax.tree.map(lambda y: jax.ShapeDtypeStruct((known.size, *y.shape), y.dtype), flat.like)
    value_like = jax.eval_shape(of, ys_like)
    kinds = [leaf.dtype for leaf in jax.tree.leaves(value_like)]
    if not kinds or not all(jnp.issubdtype(kind, jnp.floating) for kind in kinds):
        raise TypeError(
            f"of gives {value_like}; it has to give arrays of floating point: of whether something happens, say "
            "jnp.where(..., 1.0, 0.0), whose mean is its probability."
        )
    if not sum(leaf.size for leaf in jax.tree.leaves(value_like)):
        raise ValueError(f"of gives {value_like}, which has no entries: nothing is to be averaged.")
    problem = Problem(flat, chosen, leaves, known, dtype, args, of, ys_like, value_like)
    _refuse_tracers(problem)
    return problem


def _refuse_tracers(problem: Problem) -> None:
    """Refuses functions that close over what is differentiated."""
    for pair in problem.functions().values():
        if pair is not None and not is_known(
            jax.make_jaxpr(lambda *inputs, f=pair[0]: f(*inputs, problem.args))(*pair[1]).consts
        ):
            raise TypeError(
                "expectation is called within jit, vmap or grad of what its functions close over, and what it computes "
                "depends on what it sees: call it outside."
            )


def _by_entry(name: str, given: PyTree, allowed: str, value_like: PyTree) -> Vector:
    """Positive numbers, one for each entry."""
    leaves = jax.tree.leaves(value_like)
    try:
        pairs = zip(aligned(given, value_like), leaves, strict=True)
        numbers = [np.broadcast_to(np.asarray(x, np.float64), leaf.shape).ravel() for x, leaf in pairs]
    except (ValueError, TypeError):
        numbers = [np.full(1, np.nan)]
    found = np.concatenate(numbers)
    if not (found > 0).all():
        raise ValueError(
            f"{name} is {given!r}; it is {allowed}, or a pytree of them like the value of `of`: {value_like}."
        )
    return found


def _without_noise(problem: Problem) -> Bool[np.ndarray, " entries"]:
    """The entries of the value that depend on nothing after the first time.

    They are those of leaves to which nothing leads from the solution; and those that other first values change, and
    nothing that was put for the later ones. An event that no path knows depends on more than the first values.
    """
    jaxpr = jax.make_jaxpr(lambda *ys: jax.tree.leaves(problem.of(*ys)))(problem.ys_like).jaxpr
    reached = {id(var) for var in jaxpr.invars}
    for equation in jaxpr.eqns:
        if any(id(var) in reached for var in equation.invars):
            reached |= {id(var) for var in equation.outvars}
    constant = [np.full(var.aval.size, id(var) not in reached) for var in jaxpr.outvars]

    @jax.jit
    def value(ys: Any) -> Any:
        return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(problem.of(ys))])

    draws, (rows, tree) = np.random.default_rng(0), jax.tree.flatten(problem.ys_like)
    start = [np.asarray(leaf) for leaf in problem.y0 if leaf is not None]

    def changes(part: slice) -> Bool[np.ndarray, " entries"]:
        found = []
        for scale in np.logspace(-3, 6, 19):
            ys = [np.broadcast_to(leaf, row.shape).copy() for leaf, row in zip(start, rows, strict=True)]
            for leaf in ys:
                change = draws.normal(size=leaf[part].shape)
                if np.iscomplexobj(leaf):
                    change = change + 1j * draws.normal(size=leaf[part].shape)
                leaf[part] += (scale * change).astype(leaf.dtype)
            found.append(np.asarray(value(jax.tree.unflatten(tree, ys))))
        return (np.asarray(found) != found[0]).any(axis=0)

    return np.concatenate(constant) | (changes(slice(0, 1)) & ~changes(slice(1, None)))


def _coarsest(steps: FixedSteps, times: Float[np.ndarray, " n"], resolution: float) -> int:
    """How many steps an interval has on the coarsest level."""
    if steps.number is not None:
        return -(-steps.number // (times.size - 1))
    dt = float(abs(times[-1] - times[0])) / USUAL if steps.dt is None else steps.dt
    return int(fewest_steps(times, dt, resolution).max())


class _Search:
    """The levels so far, and from which of them on the sum goes."""

    def __init__(
        self,
        problem: Problem,
        each: int,
        rng: Key,
        tolerances: Vector,
        ranges: Vector,
        max_steps: int,
        antithetic: bool,
        extrapolate: bool,
    ) -> None:
        # Means, errors and ranges are counted in tolerances, until they are returned.
        self._problem, self._each, self._tolerances, self._ranges = problem, each, tolerances, ranges
        self._key = derive_key(rng, "jaxsde.expectation")
        self._max_steps, self._antithetic, self._extrapolate = max_steps, antithetic, extrapolate
        self._levels: list[Level] = []
        self._start: int | None = None
        # Steps of levels that were drawn anew in another form.
        self._replaced = 0
        self._why = ""
        self._constant: Bool[np.ndarray, " entries"] | None = None
        self._share = 2.0**-problem.method.weak_order
        # Of variances, from a level to the next.
        self._falls = 4.0 ** -problem.method.strong_order[problem.sde.noise]
        self._largest_start = max(float(np.abs(leaf).max(initial=0.0)) for leaf in problem.y0 if leaf is not None)
        least = 0
        for number in range(FEWEST):
            rows, coupled = self._rows(number), number > 0
            least += sum(_pilots(self._level(number, rows, coupled, mirrored))[1] for mirrored in self._forms)
        if max_steps < least:
            raise ValueError(
                f"max_steps is {max_steps}; the first paths, {PILOT} or more on each of {FEWEST} levels, take {least} "
                "steps: pass more, or coarser steps."
            )

    @property
    def _forms(self) -> tuple[bool, ...]:
        """Of levels, whether mirrored, in the order in which they are tried."""
        return (True, False) if self._antithetic else (False,)

    def run(self) -> Expectation:
        while self._goes_on():
            pass
        return self._found()

    def _goes_on(self) -> bool:
        """Does what is to be done next; whether there is more."""
        stable = self._stable()
        if self._start is None or stable > self._start:
            self._start = None
            return self._choose(stable)
        if self._levels[self._start].coupled:
            return self._add(self._start, False)
        levels = self._levels[self._start :]
        missing = self._to_contradict(self._start) - sum(level.paths for level in levels)
        if missing > 0:
            return self._draw(self._start, np.where(np.arange(len(levels)) == 0, missing, 0))
        variances, bias, rounding, seen = self._errors(self._start)
        if not np.isfinite(variances).all():
            self._why = (
                f"no two of {sum(level.paths for level in levels)} paths differ in an entry, and nothing tells how "
                "large is what none of them saw; pass value_range"
            )
            return False
        allowed = np.where(2 * bias**2 <= 1, 1 - bias**2, 0.5)
        costs = np.asarray([[level.steps_of_path] for level in levels], float)
        deviations = np.sqrt(variances) * self._weights(len(levels))
        wanted = (deviations / np.sqrt(costs) * (deviations * np.sqrt(costs)).sum(axis=0) / allowed).max(axis=1)
        paths = np.asarray([level.paths for level in levels])
        large = self._chance(self._start, variances) + bias**2 > 1
        if not large.any():
            # Where few paths make a variance more are looked at, as far as that is no other order of work.
            pilots = np.asarray([_pilots(level)[0] * level.batch for level in levels])
            # The scale of the value is worth more.
            pilots[0] = max(pilots[0], GROWTH * PILOT)
            doubted = self._doubtful(self._start, variances) & (paths < GROWTH * np.maximum(wanted, pilots))
            return bool(doubted.any()) and self._draw(self._start, np.where(doubted, paths, 0))
        if (2 * rounding >= 1).any():
            self._why = f"values are rounded by {rounding.max():.2g} tolerances; pass y0 in double precision"
            return False
        if (wanted > paths).any():
            return self._draw(self._start, np.minimum(wanted, GROWTH * paths) - paths)
        # What is too large is the bias. Where the differences are chance as far as is known, more paths make it less.
        if len(levels) >= FEWEST and not (large & seen).any():
            return self._draw(self._start, np.where(np.arange(len(paths)) < len(paths) - LAST, 0, paths))
        return self._add(len(self._levels), True)

    def _choose(self, stable: int) -> bool:
        """Chooses the level where the sum starts, by the work that its levels would ask for."""
        levels, number = self._levels, len(self._levels)
        if sum(level.not_finite > 0 for level in levels) >= HOPELESS:
            self._why = (
                f"there are paths that are not finite on {HOPELESS} levels; see to the equation, or pass shorter steps"
            )
            return False
        if number - stable < FEWEST:
            return self._add(number, number > 0)
        work = []
        variance = np.max([level.fine.variance for level in levels[stable:]], axis=0)
        for start in range(stable, number):
            first = levels[start]
            efforts = [np.sqrt(variance * first.steps * (1 + first.mirrored))]
            efforts += [np.sqrt(level.difference.variance * level.steps_of_path) for level in levels[start + 1 :]]
            work.append(float((2 * np.sum(efforts, axis=0) ** 2).max()))
        allowed = number - stable - FEWEST + 1
        chosen = int(np.argmin(work[:allowed]))
        # A later start needs finer levels, which are looked at while that costs less than it may save.
        if min(work) < work[chosen] and 3 * PILOT * levels[-1].steps < work[chosen] and self._add(number, True):
            return True
        self._start, self._why = stable + chosen, ""
        return True

    def _rows(self, number: int) -> Rows:
        """The steps of a level."""
        problem = self._problem
        steps = (problem.times.size - 1) * self._each * 2**number
        rows = divide_evenly(problem.times, steps, problem.dtype)
        check_clock(rows, problem.sde, problem.args, problem.dtype, None)
        return rows

    def _level(self, number: int, rows: Rows, coupled: bool, mirrored: bool) -> Level:
        key = fold_in(self._key, number)
        return Level(self._problem, rows, key, coupled, mirrored, self._tolerances)

    def _add(self, number: int, coupled: bool) -> bool:
        """The first paths of a level, of the next one or of one in another form; no where there can be none."""
        try:
            rows = self._rows(number)
        except ValueError as error:
            self._why = f"there are no shorter steps. {error}".removesuffix(".")
            return False
        for mirrored in self._forms:
            level = self._level(number, rows, coupled, mirrored)
            batches, steps = _pilots(level)
            if self._taken() + steps > self._max_steps:
                self._why = f"max_steps={self._max_steps} is not enough; pass more"
                return False
            level.draw(batches)
            if not mirrored or level.mirroring_pays():
                break
            self._replaced += level.cost
        if number < len(self._levels):
            self._replaced += self._levels[number].cost
        self._levels = [*self._levels[:number], level, *self._levels[number + 1 :]]
        return True

    def _draw(self, start: int, more: Num[np.ndarray, " levels"]) -> bool:
        """So many more paths of each level, or in that proportion as many as there are steps for."""
        levels = self._levels[start:]
        batches = [math.ceil(max(paths, 0) / level.batch) for paths, level in zip(more, levels, strict=True)]
        need = sum(n * level.batch * level.steps_of_path for n, level in zip(batches, levels, strict=True))
        left = self._max_steps - self._taken()
        if need > left:
            batches = [n * left // need for n in batches]
            self._why = f"max_steps={self._max_steps} is not enough; pass more"
        for n, level in zip(batches, levels, strict=True):
            level.draw(n)
        return need <= left

    def _taken(self) -> int:
        return self._replaced + sum(level.cost for level in self._levels)

    def _parts(self, start: int) -> list[Moments]:
        """What adds up to the mean."""
        levels = self._levels[start:]
        return [levels[0].fine, *(level.difference for level in levels[1:])]

    def _weights(self, levels: int) -> Float[np.ndarray, "levels 1"]:
        """Of the parts in the mean: of all that follows the last one is 2^-a, 4^-a and so on."""
        last = 1 / (1 - self._share) if self._extrapolate else 1.0
        return np.append(np.ones(levels - 1), last)[:, None]

    def _chance(self, start: int, variances: Table) -> Vector:
        """The variance of the mean."""
        paths = np.asarray([[part.count] for part in self._parts(start)])
        return (self._weights(len(paths)) ** 2 * variances / paths).sum(axis=0)

    def _variances(self, start: int) -> Table:
        """Of a path of each level, on the safe side."""
        first, *others = self._parts(start)
        seen = np.max([level.fine.farthest for level in self._levels[start:]], axis=0)
        if (seen > self._ranges * (1 + 1e-5)).any():
            raise ValueError(
                f"Values are {(seen / self._ranges).max():.3g} times as far apart as value_range says. Pass how far "
                "apart they may be at most, or no value_range."
            )
        if (seen == 0).any():
            seen = np.where(seen > 0, seen, np.where(self._noiseless(), 0.0, np.inf))
        found: list[Vector] = []
        for part in (first, *others):
            farthest = seen if part is first else np.where(part.farthest > 0, part.farthest, seen)
            more = np.where(np.isfinite(self._ranges) & (seen > 0), self._ranges, farthest)
            found.append(part.variance + more**2 / part.count)
            if len(found) > 2:
                found[-1] = np.maximum(found[-1], found[-2] * self._falls / 2)
        return np.asarray(found)

    def _errors(self, start: int) -> tuple[Table, Vector, Vector, Bool[np.ndarray, " entries"]]:
        """The variances, the bias, what of it is rounding, and whether the last differences are more than chance."""
        variances, parts = self._variances(start), self._parts(start)
        first = parts[0]
        leaves = [*self._problem.y0, *jax.tree.leaves(self._problem.value_like)]
        rounding = max(float(jnp.finfo(leaf.dtype).eps) for leaf in leaves) * (np.abs(first.mean) + first.farthest)
        rounding = np.where(variances[0] > 0, rounding, 0.0)
        if len(parts) < FEWEST:
            return variances, np.full_like(rounding, np.inf), rounding, np.ones_like(rounding, bool)
        means = np.asarray([part.mean for part in parts[1:]])
        errors = np.sqrt(variances[1:] / np.asarray([[part.count] for part in parts[1:]]))
        if self._extrapolate:
            # What is left of a difference that falls exactly as it should is nothing.
            means = means[1:] - self._share * means[:-1]
            errors = np.hypot(errors[1:], self._share * errors[:-1])
        # From the last one back.
        means, errors = np.abs(means[: -LAST - 1 : -1]), errors[: -LAST - 1 : -1]
        # The largest of so many entries is this far off by chance.
        doubt = math.sqrt(2 * math.log(10 * rounding.size)) * errors
        least = np.maximum(means[0] - doubt[0], 0) / np.maximum(means[1] + doubt[1], np.finfo(float).tiny)
        share = np.maximum(self._share, least)
        largest = ((means + errors) * share ** np.arange(len(means))[:, None]).max(axis=0)
        rest = np.where(share < 1, largest * share / np.where(share < 1, 1 - share, 1), np.inf)
        bias = rest / (1 - self._share if self._extrapolate else 1) + rounding
        return variances, bias, rounding, (means > doubt).any(axis=0)

    def _found(self) -> Expectation:
        stable, tree = self._stable(), self._tree
        start = stable if self._start is None or stable > self._start else self._start
        left_out = tuple(level.steps for level in self._levels[:start])
        doubts: list[str] = []
        if start == len(self._levels):
            stats: tuple[LevelStats, ...] = ()
            unknown = np.full(self._problem.entries, np.nan)
            mean, error, bias = unknown, unknown, unknown
            self._why = (
                f"no level is finite and stable, up to {left_out[-1]} steps, where {self._levels[-1].not_finite} of "
                f"{self._levels[-1].paths} paths are not finite or more than {LARGEST:.0e} tolerances; see to the "
                "equation, or pass shorter steps"
            )
        else:
            variances, bias, *_ = self._errors(start)
            parts, levels = self._parts(start), self._levels[start:]
            mean = (self._weights(len(parts)) * np.asarray([part.mean for part in parts])).sum(axis=0)
            error = np.sqrt(self._chance(start, variances))
            stats = tuple(
                LevelStats(
                    level.steps,
                    part.count,
                    tree(part.mean * self._tolerances),
                    tree(variance * self._tolerances**2),
                    level.cost,
                )
                for level, part, variance in zip(levels, parts, variances, strict=True)
            )
            doubtful = self._doubtful(start, variances)
            if doubtful.any():
                few = ", ".join(str(level.steps) for level, is_so in zip(levels, doubtful, strict=True) if is_so)
                doubts.append(
                    f"On levels of {few} steps very few paths make the variance, so that standard_error may be too "
                    "small: something rare decides. Pass value_range if you know it, a smaller tolerance, more "
                    "max_steps, or a function whose values are less far apart."
                )
            if sum(level.paths for level in levels) < self._to_contradict(start):
                worst = max(self._levels[:start], key=_paths_to_contradict)
                doubts.append(
                    f"{worst.not_finite} of {worst.paths} paths of {worst.steps} steps were not finite, and too few "
                    "of shorter steps were drawn to say that they are finite: if not, the mean is not either. See to "
                    "the equation and to `of`, or pass more max_steps."
                )
        ratio = np.hypot(error, bias).max()
        if not ratio <= 1:
            doubts.append(
                f"The tolerance was not reached: {self._why}. The error is {ratio:.3g} times the tolerance; "
                "standard_error and bias say of what."
            )
        for doubt in doubts:
            warnings.warn(doubt, RuntimeWarning, stacklevel=4)
        result = Result.TOLERANCE_NOT_MET if doubts else Result.SUCCESSFUL
        mean, error, bias = (vector * self._tolerances for vector in (mean, error, bias))
        return Expectation(tree(mean), tree(error), tree(bias), stats, left_out, self._taken(), result)

    def _doubtful(self, start: int, variances: Table) -> Bool[np.ndarray, " levels"]:
        """Of each level, whether few paths make a variance that matters: the farthest is a large part of it.

        That of the value itself matters whatever the tolerance, as nothing else tells how large is what is rare.
        """
        parts = self._parts(start)
        changes = [variance / part.count / (1 + part.telling) for part, variance in zip(parts, variances, strict=True)]
        matters = np.where(np.arange(len(parts)) == 0, VALUE_MATTERS, DIFFERENCE_MATTERS)[:, None]
        found = np.asarray(changes) > matters * np.maximum(1.0, self._chance(start, variances))
        # Where no difference was seen, the one that is counted is as large as values are.
        found &= np.asarray([part.farthest > 0 for part in parts])
        found[0] |= (parts[0].telling < TELLING) & (variances[0] > 0)
        return (found & ~np.isfinite(self._ranges)).any(axis=1)

    def _noiseless(self) -> Bool[np.ndarray, " entries"]:
        if self._constant is None:
            self._constant = _without_noise(self._problem)
        return self._constant

    def _to_contradict(self, start: int) -> float:
        """How many paths of later levels are to be finite, that the share which is not before is none of theirs."""
        return max(map(_paths_to_contradict, self._levels[:start]), default=0.0)

    def _stable(self) -> int:
        """The first level from which on all is finite and stable, whatever the function of the solution says.

        On unstable steps a solution that should stay small grows: it is farther from that on shorter steps than either
        should be from zero, or the differences grow as it does. Two independent solutions of the same law differ by
        twice their mean square.
        """
        first, before = 0, math.inf
        for number, level in enumerate(self._levels):
            scale = max(level.state, self._largest_start**2)
            if level.coarse_not_finite or level.move > 4 * scale:
                first = number
            if level.not_finite or (level.move > 2 * before and 2 * level.move > scale):
                first = number + 1
            before = level.move if level.move > 0 else math.inf
        return first

    def _tree(self, vector: Vector) -> Any:
        """By entry, like the value."""
        leaves, tree = jax.tree.flatten(self._problem.value_like)
        ends = np.cumsum([leaf.size for leaf in leaves])[:-1]
        return jax.tree.unflatten(
            tree, [part.reshape(leaf.shape) for part, leaf in zip(np.split(vector, ends), leaves, strict=True)]
        )


def _pilots(level: Level) -> tuple[int, int]:
    """The batches of the first paths of a level, and their steps."""
    batches = -(-PILOT // level.batch)
    return batches, batches * level.batch * level.steps_of_path


def _paths_to_contradict(level: Level) -> float:
    return NONE_OF * level.paths / (level.not_finite + 1) if level.not_finite else 0.0
