"""What a method declares: facts that the contract check reads, and a pure step."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from jaxsde.brownian.increment import Increment
from jaxsde.flat_sde import BY_COLUMNS, FlatSDE
from jaxsde.types import Args, Carry, Leaves, SDEType, Time


def _y_alone(sde: FlatSDE, y: Leaves, t: Time, args: Args) -> Leaves:
    return y


def _state(carry: Carry) -> Any:
    return carry


# (sde, carry, t, h, increment, args) of a step to the next carry.
Step = Callable[[FlatSDE, Carry, Time, Time, Increment, Args], Carry]
# The same, and an estimate of its error: leaves like y.
EmbeddedStep = Callable[[FlatSDE, Carry, Time, Time, Increment, Args], tuple[Carry, Leaves]]


class Kept(NamedTuple):
    """The carries that a walk back by `inverse` needs to have been kept, since part of them is lost in the step.

    - `most`: how many there are at most, whatever the number of steps.
    - `place`: of the carry at the start of a step, its number among those, and whether it is one of them.
    """

    most: int
    place: Callable[[Carry], tuple[Any, Any]]


class Half(NamedTuple):
    """Of a step that is made of several: it moves a part of the carry by what it finds from the rest alone. So that is
    found again from the carry after it, to undo it, and once for that and for its derivative.

    - `find`: of the carry before or after, and of `(sde, t, h, increment, args)`, to a pytree.
    - `put`: `(carry, found)` to the carry after; `take`: back again.
    """

    find: Callable[..., Any]
    put: Callable[[Carry, Any], Carry]
    take: Callable[[Carry, Any], Carry]


def forth(halves: Sequence[Half], carry: Carry, *rest: Any) -> Any:
    """The carry after all of them; `rest` is what `find` takes beside the carry."""
    for half in halves:
        carry = half.put(carry, half.find(carry, *rest))
    return carry


def back(halves: Sequence[Half], carry: Carry, *rest: Any) -> Any:
    """The carry before."""
    for half in reversed(halves):
        carry = half.take(carry, half.find(carry, *rest))
    return carry


@dataclasses.dataclass(frozen=True, eq=False)
class Method:
    """A solver for one step of an SDE.

    - `name`, `aliases`: by which it is chosen; of several that share one, that for the noise.
    - `sde_types`: the calculus whose solution it converges to. With additive noise the two agree and both are offered.
    - `strong_order`: proved strong order of convergence, by noise type. A noise type that is not there is not offered,
      but for commutative noise: that is general noise where no order is proved for it.
    - `weak_order`: proved weak order of convergence, of expectations of smooth functions, with every noise type it
      offers; with some it may be higher.
    - `evaluations`: of the drift, a step; where it is implicit with one iteration of Newton's method, which takes two
      of them or more and in each a product with the derivative of the drift for every entry of y as well.
    - `nodes`: the fractions of a step at which the drift is asked for, increasing, what the step before or `init` has
      asked for at its start among them: a drift that is not finite at the end of ts needs a method without 1.
    - `step`: from the carry at t to that at t + h.
    - `init`, `state`: from y0 to the carry of the first step, and from a carry to y.
    - `inverse`: of the step, from the carry at t + h to that at t, exact to rounding, if it has one; NaN where it
      fails.
    - `halves`: what step and inverse are made of, one after the other, if they are.
    - `first_round`: a step that costs less, near enough to `step` for the first of the two rounds in which a coupled
      form in Ito's calculus finds where a step began, if the method has one.
    - `recovered`: of a carry, what `inverse` finds by itself; the rest follows from it.
    - `kept`: the carries that `inverse` does not find, if there are any.
    - `parted`: of a carry, 1 where the two solutions of a coupled form have parted, and the state is NaN, or else 0.
    - `entrywise`: whether with diagonal noise it takes derivatives of g_i to be those by y_i.
    - `space_time`: whether the step needs space-time Levy areas of the path.
    - `areas_by_columns`: whether it needs areas, of either kind, with noise by columns alone.
    - `embedded`: the step with an estimate of its error, which costs no evaluation more: the sizes, added up, of what a
      solution of strong order 1 that is made of the same stages leaves out, with noise of its standard deviation at
      least. Of a coupled form it is that of the step from its second solution. Adaptive steps take it, and halve steps
      where there is none.
    - `area`: whether the step needs Levy areas of the path.
    - `implicit`: whether the step is the root of an equation, found by Newton's method; it is NaN where none is
      found.
    - `langevin`: whether it splits a `Langevin` equation, and takes no other.
    """

    name: str
    sde_types: tuple[SDEType, ...]
    strong_order: Mapping[str, float]
    weak_order: float
    evaluations: int
    nodes: tuple[float, ...]
    step: Step
    init: Callable[[FlatSDE, Leaves, Time, Args], Carry] = _y_alone
    state: Callable[[Carry], Leaves] = _state
    inverse: Step | None = None
    halves: tuple[Half, ...] | None = None
    first_round: Step | None = None
    recovered: Callable[[Carry], Any] = _state
    kept: Kept | None = None
    parted: Callable[[Carry], Any] | None = None
    entrywise: bool = False
    space_time: bool = False
    embedded: EmbeddedStep | None = None
    area: bool = False
    implicit: bool = False
    langevin: bool = False
    areas_by_columns: bool = False
    aliases: tuple[str, ...] = ()

    def order(self, noise: str) -> float:
        """The strong order with a noise type, 0 where it is not offered."""
        known = noise in self.strong_order or noise != "commutative"
        return self.strong_order.get(noise if known else "general", 0.0)

    def on(self, noise: str) -> "Method":
        """The method with a noise type: without areas where it does not need them."""
        return _without_areas(self) if self.areas_by_columns and noise not in BY_COLUMNS else self

    def within(self, init: Callable[[FlatSDE, Leaves, Time, Args], Carry], step: Step) -> "Method":
        """A method that carries more: the carry of this one comes first in its own. It has no way back, and no error
        of its own.
        """
        parted = self.parted
        return dataclasses.replace(
            self,
            init=init,
            step=step,
            state=lambda carry: self.state(carry[0]),
            inverse=None,
            halves=None,
            embedded=None,
            parted=parted and (lambda carry: parted(carry[0])),
        )

    @property
    def carries_state_alone(self) -> bool:
        """Whether the carry is y itself."""
        return self.init is _y_alone


# One for each: what is compiled is looked up by it.
@functools.cache
def _without_areas(method: Method) -> Method:
    return dataclasses.replace(method, space_time=False, area=False)
