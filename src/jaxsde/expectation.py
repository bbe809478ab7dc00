"""Expectations of a solution by multilevel Monte Carlo, with an estimate of the error.

The mean over paths on fine steps is that on coarse steps plus the mean of the differences between the two, level by
level, where both solutions of a difference run on the same Brownian path. Differences get smaller with the steps, so
few of the dear paths are needed: the coarse ones do most of the work (Giles, Multilevel Monte Carlo methods, 2015). How
many paths each level takes follows from the variances that are seen, and so does the number of levels from the means: a
method of weak order a leaves a bias of about the last difference over 2^a - 1, and more where differences do not yet
fall as its order says.
"""

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxsde.brownian import ReplayedPath, brownian_increments
from jaxsde.brownian.keys import check_key, derive_key
from jaxsde.flat_sde import precision
from jaxsde.integrate import USUAL_METHOD, solve
from jaxsde.problem import check_equation, check_method, check_state
from jaxsde.running import noise_of_user
from jaxsde.sde import SDE
from jaxsde.steps import FixedSteps
from jaxsde.times import is_known, known_times
from jaxsde.types import Args, Key, State, Times

# Levels at first, paths of a level at first, and about how many steps are taken at once.
START, FIRST, AT_ONCE = 3, 1024, 2**20


class Level(NamedTuple):
    """Of a level: steps of its paths, how many paths there were, and the mean and variance of the difference from the
    level before, of the first level those of the function itself; the largest variance of its entries.
    """

    steps: int
    paths: int
    mean: Float[np.ndarray, "..."]
    variance: float


class Expectation(NamedTuple):
    """What `expectation` found.

    - `value`: the mean, shaped as the function's value.
    - `error`: the root of the mean square error that is to be expected, of the entry where it is largest: of chance and
      of the steps together.
    - `levels`: how it was found.
    """

    value: Float[np.ndarray, "..."]
    error: float
    levels: list[Level]


def expectation(
    sde: SDE,
    y0: State,
    ts: Times,
    rng: Key,
    args: Args = None,
    *,
    function: Callable[[State], Any],
    tolerance: float,
    method: str | None = None,
    steps: int = 2,
    max_levels: int = 12,
) -> Expectation:
    """The mean of a function of the solution's end over all Brownian paths, to a tolerance.

    **Arguments:**

    - `sde`, `y0`, `args`: as for `solve`.
    - `ts`: start and end, two known times.
    - `rng`: a JAX key; the same one gives the same numbers.
    - `function`: of y at the end, a number or an array.
    - `tolerance`: the error that is aimed at, the root of the mean square, of each entry, above 0.
    - `method`: as for `solve`; one that asks for nothing of a path but its increments.
    - `steps`: of the coarsest level; each level after it has twice those of the one before.
    - `max_levels`: at most so many. Where they do not suffice a warning says so, and `error` is what was reached.

    **Returns:** an `Expectation`. It is no function for `jit` or `grad`: how much is computed depends on what is seen,
    and each level compiles a program.

    **Raises:** `ValueError` or `TypeError` as `solve`, and for what is not as above.
    """
    check_key(rng)
    if not (isinstance(tolerance, int | float) and 0 < tolerance < math.inf):
        raise ValueError(f"tolerance is {tolerance!r}; it is an error, a number above 0.")
    for name, number, least in (("steps", steps, 1), ("max_levels", max_levels, START)):
        if not isinstance(number, int) or isinstance(number, bool) or number < least:
            raise ValueError(f"{name} is {number!r}; it is a whole number, {least} or more.")
    difference, order = _posed(sde, y0, ts, args, function, method)
    key = derive_key(rng, "jaxsde.expectation")
    levels: list[_Sampled] = []
    # Half of the squared tolerance is for chance and half for the steps.
    share, bias, chance = tolerance / math.sqrt(2), math.inf, math.inf
    while bias > share or chance > share:
        if len(levels) < START or (chance <= share and len(levels) < max_levels):
            number = len(levels)
            levels.append(_Sampled(difference, jax.random.fold_in(key, number), steps * 2**number, number > 0))
            levels[-1].draw(FIRST)
        elif chance <= share:
            warnings.warn(
                f"max_levels={max_levels} did not suffice: the steps leave a bias of about {bias:.3g}, and tolerance="
                f"{tolerance:g} is asked for. Take more levels, a method of higher weak order or a larger tolerance.",
                stacklevel=2,
            )
            break
        effort = sum(math.sqrt(level.variance * level.steps) for level in levels)
        if not math.isfinite(effort):
            warnings.warn("The expectation is not finite: take more steps on the coarsest level.", stacklevel=2)
            bias = math.nan
            break
        for level in levels:
            level.draw(math.ceil(2 * effort * math.sqrt(level.variance / level.steps) / tolerance**2))
        chance = math.sqrt(sum(level.variance / level.paths for level in levels))
        if len(levels) >= START:
            bias = _bias(levels, order)
    value = np.sum([level.mean for level in levels], axis=0)
    found = [Level(level.steps, level.paths, level.mean, level.variance) for level in levels]
    return Expectation(value, math.hypot(bias, chance), found)


def _posed(
    sde: SDE, y0: State, ts: Times, args: Args, function: Callable[[State], Any], method: str | None
) -> tuple[Callable[..., Any], float]:
    """The difference of a path, of `(key, steps, both)`, and the weak order of the method."""
    name = USUAL_METHOD[sde.sde_type] if method is None else method
    chosen = check_method(name, sde.sde_type, sde.noise)
    if chosen.space_time or chosen.area:
        raise ValueError(
            f"method {name!r} needs areas of the path, and the paths of two levels are joined by their increments "
            "alone; take 'euler_maruyama' or 'milstein', or 'heun' for Stratonovich's calculus."
        )
    y0 = check_state(y0)
    times = known_times(ts)
    if not is_known(times) or times.size != 2:
        raise ValueError("ts is not two known times; the expectation is one of the end, from the time of y0.")
    if sde.diffusion is None:
        raise ValueError("The equation has no noise, so nothing is to be averaged; take solve.")
    flat = check_equation(sde, y0, jnp.asarray(times, precision(y0)), args)
    like = noise_of_user(flat, flat.noise_like)
    value = jax.eval_shape(function, flat.like)
    if not (hasattr(value, "dtype") and jnp.issubdtype(value.dtype, jnp.floating)):
        raise TypeError(f"function gives {value}; it is to give one floating-point array, or a number.")

    def end(increments: Any, steps: int) -> Any:
        path = ReplayedPath(increments)
        found = solve(sde, y0, times, None, args, steps=FixedSteps(steps), method=name, brownian=path)
        return function(jax.tree.map(lambda y: y[-1], found.ys))

    def difference(key: Key, steps: int, both: bool) -> Any:
        fine = brownian_increments(key, np.linspace(times[0], times[1], steps + 1), like)
        if not both:
            return end(fine, steps)
        coarse = jax.tree.map(lambda w: w[0::2] + w[1::2], fine)
        return end(fine, steps) - end(coarse, steps // 2)

    return difference, chosen.weak_order


def _bias(levels: "list[_Sampled]", order: float) -> float:
    """What the steps of the last level leave, of the entry where it is largest: the sum of the differences that would
    follow, if each is a share of the one before as the weak order says, or as is seen where that is more.
    """
    last, before = (float(np.abs(level.mean).max()) for level in levels[-1:-3:-1])
    share = 2.0**-order
    # Where it is not chance.
    if last > 3 * math.sqrt(levels[-1].variance / levels[-1].paths):
        share = max(share, last / before)
    # One difference may be small by chance.
    return max(last, before * 2.0**-order) * share / (1 - share) if share < 1 else math.inf


class _Sampled:
    """The paths of a level so far."""

    def __init__(self, difference: Callable[..., Any], key: Key, steps: int, both: bool) -> None:
        self.steps, self.paths = steps, 0
        self._key, self._batches = key, 0
        self._batch = max(16, min(FIRST, AT_ONCE // steps))
        self._differences = jax.jit(jax.vmap(functools.partial(difference, steps=steps, both=both)))
        self.mean: Any = 0.0
        self._squares: Any = 0.0

    @property
    def variance(self) -> float:
        """Of one path; of the entry where it is largest."""
        return float(np.max(self._squares)) / (self.paths - 1)

    def draw(self, paths: int) -> None:
        """Draws more paths, until there are so many."""
        while self.paths < paths:
            keys = jax.random.split(jax.random.fold_in(self._key, self._batches), self._batch)
            self._batches += 1
            values = np.asarray(self._differences(keys), np.float64)
            mean = values.mean(axis=0)
            squares = np.square(values - mean).sum(axis=0)
            # Both parts by their own means, so that nothing cancels (Chan, Golub and LeVeque, 1983).
            total, moved = self.paths + self._batch, mean - self.mean
            self._squares = self._squares + squares + moved**2 * self.paths * self._batch / total
            self.mean = self.mean + moved * self._batch / total
            self.paths = total
