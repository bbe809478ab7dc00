"""A level of multilevel Monte Carlo: the solution on a grid, and on one of steps twice as long, along the same paths.

Both are stepped side by side, two steps of the fine solution and one of the coarse, for which the two increments are
joined. So a path is drawn once and never kept: a batch takes the memory of its states, however many steps there are.

The means of levels add up to that of the finest only if a joined increment has the law of one that is drawn for the
long step. It has for dW, and for the space-time areas of stretches that follow each other. Levy areas are drawn with
the right mean and covariance alone, and so methods that need them are not offered.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from jaxsde import loops
from jaxsde.brownian import CounterPath, Increment
from jaxsde.brownian.keys import fold_in
from jaxsde.brownian.stretch import Stretch
from jaxsde.compiled import Same, compiled_once
from jaxsde.flat_sde import FlatSDE, add, scale
from jaxsde.methods import Method
from jaxsde.moments import Moments, Vector
from jaxsde.times import Rows
from jaxsde.types import Args, Carry, Index, Key, Leaves, Time

# Paths of a level at first, and about how many steps are taken at once.
PILOT, AT_ONCE = 2**8, 2**14
# Numbers that a batch of paths holds at once: 16 MB in single precision.
LARGEST_BATCH = 2**22
# Of larger numbers, in tolerances, the sum of squares may be none: they are as good as infinite.
LARGEST = 1e70


@dataclasses.dataclass(frozen=True)
class Problem:
    """What every level has in common.

    - `times`: the output times, in double precision; `dtype`: that of times in f and g.
    - `value_like`: the shapes of `of(ys)`.
    """

    sde: FlatSDE
    method: Method
    y0: Leaves
    times: Float[np.ndarray, " n"]
    dtype: np.dtype[Any]
    args: Args
    of: Callable[[Any], Any]
    ys_like: Any
    value_like: Any

    @property
    def entries(self) -> int:
        """Of the value."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.value_like))

    @property
    def precision(self) -> np.dtype[Any]:
        """Of the value: that of its most precise leaf."""
        return np.result_type(np.float32, *(leaf.dtype for leaf in jax.tree.leaves(self.value_like)))

    def functions(self) -> dict[str, Any]:
        """The user's, as functions that give arrays, each with an example of its arguments but args."""
        of = self.of
        return self.sde.traceable(jax.ShapeDtypeStruct((), self.dtype)) | {
            "of": (lambda ys, args: of(ys), (self.ys_like,))
        }

    def batch(self, steps: int, solutions: int) -> int:
        """How many paths of so many steps are solved at once: a power of four, so that levels share their programs."""
        state = sum(leaf.size for leaf in self.y0 if leaf is not None)
        noise = sum(leaf.size for leaf in self.sde.noise_like if leaf is not None)
        wide = state * noise if self.sde.noise == "general" and not self.sde.matrix_free else noise
        numbers = solutions * (state * (4 + self.times.size) + wide + 4 * noise + self.entries)
        paths = min(max(AT_ONCE // steps, PILOT), max(LARGEST_BATCH // numbers, 1))
        return 4 ** ((paths.bit_length() - 1) // 2)


class Level:
    """The paths of a level so far. Their values are counted in tolerances, so that no power of them is lost.

    **Arguments:**

    - `rows`: the fine steps.
    - `coupled`: whether there is a coarse solution too.
    - `mirrored`: whether each path comes with the one of the other sign, and the two count as one path by their mean.
    """

    def __init__(
        self, problem: Problem, rows: Rows, key: Key, coupled: bool, mirrored: bool, tolerances: Vector
    ) -> None:
        self.steps, self.coupled, self.mirrored = rows.total, coupled, mirrored
        self.steps_of_path = (1 + mirrored) * (rows.total + coupled * (rows.total // 2))
        self._key = fold_in(key, 2 * coupled + mirrored)
        self.batch = problem.batch(rows.total, (1 + mirrored) * (1 + coupled))
        self._tolerances = tolerances
        self._values = _sampler(problem, rows, coupled, mirrored, self.batch)
        self._batches = 0
        # Of the solution by itself, and of what it is to the coarse one.
        self.fine, self.difference = Moments(problem.entries), Moments(problem.entries)
        # Squares of the largest number of the state in the end, and of its difference to the coarse one.
        self._states, self._moves = Moments(1), Moments(1)
        # How many paths are not finite.
        self.not_finite = self.coarse_not_finite = 0
        # With mirrored pairs, of their paths one by one.
        self._alone = Moments(problem.entries)

    @property
    def paths(self) -> int:
        return self._batches * self.batch

    @property
    def cost(self) -> int:
        """Steps of all paths, of both solutions."""
        return self.paths * self.steps_of_path

    @property
    def state(self) -> float:
        """The mean square of the solution in the end."""
        return float(self._states.mean[0])

    @property
    def move(self) -> float:
        """The mean square of its difference to the coarse one."""
        return float(self._moves.mean[0])

    def mirroring_pays(self) -> bool:
        """Whether the mean of a mirrored pair has less variance than that of two other paths."""
        pairs, alone = self.difference if self.coupled else self.fine, self._alone
        return bool(2 * pairs.variance.max() < alone.variance.max())

    def draw(self, batches: int) -> None:
        for _ in range(batches):
            found = np.asarray(self._values(self._key, np.int32(self._batches)), np.float64)
            self._batches += 1
            # Of paths, signs, solutions and entries.
            values, states = found[..., :-1] / self._tolerances, found[..., -1]
            finite = np.all(np.abs(values) < LARGEST, axis=(1, 3)) & np.all(np.abs(states) < LARGEST, axis=1)
            bad = (~finite).sum(axis=0).tolist()
            self.not_finite += bad[0]
            self.coarse_not_finite += bad[-1] if self.coupled else 0
            if not bad[0]:
                self.fine.add(values[:, :, 0].mean(axis=1))
                self._states.add((states[:, :, 0] ** 2).mean(axis=1, keepdims=True))
            if any(bad):
                continue
            part = values[:, :, 0] - values[:, :, -1] if self.coupled else values[:, :, 0]
            if self.coupled:
                self.difference.add(part.mean(axis=1))
                self._moves.add((states[:, :, -1] ** 2).mean(axis=1, keepdims=True))
            if self.mirrored:
                self._alone.add(part.reshape(-1, part.shape[-1]))


def _sampler(problem: Problem, rows: Rows, coupled: bool, mirrored: bool, batch: int) -> Callable[..., Array]:
    """The function of a key and the number of a batch to its paths, (paths, signs, solutions, entries and one),
    compiled: their values, and the largest number of the fine state in the end, or of its difference to the coarse one.
    """
    kind, method, dtype = problem.sde.without_functions(), problem.method, problem.precision
    solutions, signs = 1 + coupled, np.asarray([1.0, -1.0][: 1 + mirrored], np.float32)

    def run(
        functions: PyTree, args: Args, y0: Leaves, t0: Time, grid: Any, moves: Index, key: Key, number: Index
    ) -> Any:
        sde, of = kind.of(functions), functions["of"]

        def value(ys: Leaves) -> Any:
            found = jax.tree.leaves(of(sde.unflatten(ys), args))
            return jnp.concatenate([jnp.ravel(leaf).astype(dtype) for leaf in found])

        def size(leaves: list[Array]) -> Any:
            return jnp.stack([jnp.abs(leaf).max(initial=0.0).astype(dtype) for leaf in leaves]).max()

        def values(key: Key, sign: Float[Array, ""]) -> Any:
            path = CounterPath(key)

            def draw(k: Index, t: Time, h: Time) -> Increment:
                found = path.increment(k, t, h, sde.noise_like, method.space_time)
                return Increment(scale(sign, found.dW), None if found.H is None else scale(sign, found.H))

            def interval(carries: Carry, row: tuple[Any, Any, Any]) -> Any:
                first, t, h = row

                def move(j: Index, carries: Carry) -> Any:
                    k, at = first + solutions * j, t + jnp.asarray(solutions * j, t.dtype) * h
                    fine, *coarse = carries
                    one = draw(k, at, h)
                    fine = method.step(sde, fine, at, h, one, args)
                    if coupled:
                        other = draw(k + 1, at + h, h)
                        fine = method.step(sde, fine, at + h, h, other, args)
                        coarse = [method.step(sde, coarse[0], at, 2 * h, joined(one, other, h), args)]
                    return (fine, *coarse)

                # Their number is an argument: one program is for all levels of a batch's size.
                carries = loops.fori_loop(0, moves, move, carries)
                return carries, tuple(method.state(carry) for carry in carries)

            start = method.init(sde, y0, t0, args)
            _, later = loops.scan(interval, (start,) * solutions, grid)
            ys = (jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), y0, leaves) for leaves in later)
            ends = [[leaf[-1] for leaf in jax.tree.leaves(leaves)] for leaves in later]
            moved = (ends[0], *([a - b for a, b in zip(ends[0], end, strict=True)] for end in ends[1:]))
            return jnp.stack([jnp.append(value(leaves), size(end)) for leaves, end in zip(ys, moved, strict=True)])

        keys = jax.random.split(fold_in(key, number), batch)
        return jax.vmap(jax.vmap(values, (None, 0)), (0, None))(keys, jnp.asarray(signs))

    functions = problem.functions()
    static = ("level", problem.sde.kind, Same(method), coupled, mirrored, batch, dtype)
    found = compiled_once(run, static, functions, problem.args)
    if found is None:
        as_given = {name: pair and pair[0] for name, pair in functions.items()}
        found = jax.jit(lambda *arrays: run(as_given, problem.args, *arrays))
    grid = jnp.asarray(rows.first), jnp.asarray(rows.t, problem.dtype), jnp.asarray(rows.h, problem.dtype)
    moves = np.int32(rows.substeps // solutions)
    return lambda key, number: found(problem.y0, grid[1][0], grid, moves, key, number)


def joined(a: Increment, b: Increment, h: Time) -> Increment:
    """Over two steps of length h, one after the other."""
    if a.H is None:
        return Increment(add(a.dW, b.dW))
    whole = Stretch(h, a.dW, a.H).followed_by(Stretch(h, b.dW, b.H))
    return Increment(whole.dW, whole.H)
