"""How a solve steps, as a value."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxsde.compiled import Same
from jaxsde.counts import check_count
from jaxsde.times import Rows, divide, divide_evenly, is_known, known_times, step_at
from jaxsde.types import Times, TimeVector

# Without a number or a length: so many steps, or of a length such that there are so many.
USUAL = 100


@dataclasses.dataclass(frozen=True)
class FixedSteps:
    """Steps that are known before the solve: so many, so long, or at the times that you say.

    **Arguments:**

    - `number`: of steps from the first time to the last. Every interval of `ts` gets the same whole number of equal
      steps, one at least and enough that all are `number` or more: `FixedSteps(1)` steps exactly on `ts`.
    - `dt`: the longest step, positive also where times decrease. Every interval is divided into the fewest equal steps
      of at most `dt`; the times have to be known, not traced.
    - `times`: the ends of steps, (n,), increasing or decreasing as `ts` does: short steps where much happens, long ones
      where little does. All of `ts` are among them, to rounding; those before the first and after the last of `ts`
      are left out. They may be traced: then they begin and end with `ts`, where they are not as said the solution is
      NaN, and the state is kept at each of them.

    Without any, `dt` is a hundredth of the span, and where times are traced `number` is 100.

    **Raises:** `TypeError` or `ValueError` where several are given, or one that is not as above.
    """

    number: int | None = None
    dt: float | None = None
    times: Times | None = dataclasses.field(default=None, compare=False)
    # What equal times have in common, and no others.
    _times: Any = dataclasses.field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.times is not None:
            if self.number is not None or self.dt is not None:
                raise ValueError(
                    f"The times of steps are given, and number={self.number} or dt={self.dt} as well; pass one of them."
                )
            known_times(self.times, "times")
            times = np.array(self.times) if is_known(self.times) else jnp.asarray(self.times)
            object.__setattr__(self, "times", times)
            object.__setattr__(self, "_times", times.tobytes() if is_known(times) else Same(times))
        if self.number is not None and self.dt is not None:
            raise ValueError(f"Both a number of steps, {self.number}, and dt={self.dt} are given; pass one of them.")
        if self.number is not None:
            check_count("The number of steps", self.number)
        _concrete(self, "number", int)
        _check_dt(self.dt)
        _concrete(self, "dt", float)

    def rows(self, ts: TimeVector, resolution: float, dtype: np.dtype[Any]) -> Rows:
        """The steps between output times that were given to a `resolution`, for a state of that precision."""
        if self.times is not None:
            return step_at(self.times, ts, resolution, dtype)
        if self.number is not None:
            return divide_evenly(ts, self.number, dtype)
        if is_known(ts):
            return divide(
                np.asarray(ts), float(abs(ts[-1] - ts[0]) / USUAL if self.dt is None else self.dt), resolution
            )
        if self.dt is not None:
            raise TypeError(
                f"ts is traced and dt={self.dt}, so the number of steps is not known; pass concrete times (numpy), or "
                "the number of steps in place of dt: steps=100, say, or FixedSteps(100) of `solve`."
            )
        return divide_evenly(ts, USUAL, dtype)


@dataclasses.dataclass(frozen=True)
class AdaptiveSteps:
    """Steps chosen so that each has an error of at most `atol + rtol |y|`.

    The noise is then a `VirtualTree`, and the method of strong order one at least: one of lower order may converge to
    another equation's solution (Gaines and Lyons, 1997). The times have to be known, not traced.

    **Arguments:**

    - `rtol`, `atol`: zero or more, and positive.
    - `dt`: the length of the first step; a hundredth of the span unless given.
    - `max_steps`: the most steps tried, rejected ones among them. Memory is that of so many states, twice as many where
      a method has no error estimate of its own. If they do not suffice, a warning says so and the solution is NaN after
      the last output time that was reached, and so are all gradients.
    - `dt_max`: the longest step; as long as errors allow unless given. An error is known from f and g at a few times of
      a step, so that what is shorter than steps are long may be missed.

    **Raises:** `TypeError` or `ValueError` for one that is not as above.
    """

    rtol: float = 1e-3
    atol: float = 1e-5
    dt: float | None = None
    max_steps: int = 4096
    dt_max: float | None = None

    def __post_init__(self) -> None:
        for name in ("rtol", "atol", "max_steps"):
            if not is_known(getattr(self, name)):
                raise TypeError(f"{name} is traced, and adaptive steps need to know it; pass a concrete number.")
            _concrete(self, name, float)
        if not (self.rtol >= 0 and self.atol > 0 and self.max_steps >= 1 and self.max_steps % 1 == 0):
            raise ValueError(
                f"rtol={self.rtol}, atol={self.atol}, max_steps={self.max_steps:g}; adaptive steps take rtol of zero "
                "or more, a positive atol and a whole number of one step or more."
            )
        for name in ("dt", "dt_max"):
            _check_dt(getattr(self, name), name)
            _concrete(self, name, float)
        _concrete(self, "max_steps", int)

    def first(self, ts: TimeVector) -> float:
        """The length of the first step."""
        if not is_known(ts):
            raise TypeError(
                "ts is traced, and adaptive steps need to know it; pass concrete times (numpy), or fixed steps: "
                "FixedSteps(100), say."
            )
        return float(abs(ts[-1] - ts[0]) / USUAL if self.dt is None else self.dt)


def _concrete(steps: FixedSteps | AdaptiveSteps, name: str, kind: Callable[[Any], float]) -> None:
    """A number of Python for one of another library, which may have no hash."""
    value = getattr(steps, name)
    _check_real(name, value)
    object.__setattr__(steps, name, None if value is None else kind(value))


def _check_real(name: str, value: Any) -> None:
    """Refuses complex numbers, of which some libraries give the real part for a number of Python."""
    if np.iscomplexobj(value):
        raise TypeError(f"{name} is {value}; steps are of real numbers, of a complex state too.")


def _check_dt(dt: float | None, name: str = "dt") -> None:
    _check_real(name, dt)
    if not is_known(dt):
        raise TypeError(
            f"{name} is traced, so the number of steps is not known; pass a concrete number, or a "
            "number of steps: steps=100, say, or FixedSteps(100) of `solve`."
        )
    if dt is not None and not 0 < float(dt) < np.inf:
        raise ValueError(f"{name} is {dt}; it is a length of time, a positive, finite number, also where ts decreases.")
