"""The stochastic adjoint: the gradient from an SDE solved backwards over the same Brownian path, in constant memory.

The continuous adjoint of Li, Wong, Chen and Duvenaud, "Scalable gradients for stochastic differential equations",
2020, is an SDE for the state and its cotangent, run from the end to the start. Written in Ito's calculus it has
correction terms with second derivatives of g, which is why others offer it for Stratonovich SDEs alone, or pay for
them. Here it is discretised by the scheme itself. Take y1 = S(y0), one step of the scheme over its increment. The
discrete adjoint is a0 = S'(y0)^T a1: Ito schemes have their Ito adjoint, corrections included, since S' is the
derivative of the very map that moved the state. What is left is y0.

The paper runs the state backwards too. That is ill-posed where the equation contracts, as a stable one does: backwards
the same equation expands, so whatever error a step leaves, be it rounding alone, grows by the inverse of each step's
contraction. With a relaxation of rate L over a time T it grows by exp(L T), however short the steps are.

So states are not recovered but computed again, forwards, from a few that are kept. The walk needs the states in the
order n - 1, ..., 0. With s slots, and each step computed r times at most, this is possible for n up to the binomial
coefficient (s + r over s), and no schedule does better: Griewank and Walther, "Algorithm 799: revolve", 2000. The first
of the r times is the solve itself, which fills the slots on its way. So memory does not depend on n, the gradient is
that of the discrete solution to rounding, and with 12 slots a step is computed again

    steps up to          13   91   455   1820   6188
    at most (times)       0    1     2      3      4
    on average (times)    0  0.9   1.8    2.7    3.6

and once more by its derivative. Where output times keep the states anyway (no `save`), intervals begin there, and only
the steps within one are computed again.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, PyTree

from jaxsde import loops
from jaxsde.adjoints.backward_walk import States, walk_back
from jaxsde.adjoints.slots import empty, get, put
from jaxsde.brownian import BrownianPath, Increment
from jaxsde.engine import Interval, Scheme, Where, solve
from jaxsde.types import Args, Carry, Index, Time
from jaxsde.undifferentiated import forward_only

NO_SECOND_GRADIENT = (
    "A gradient of a gradient is for adjoint='backprop' and 'checkpoint': 'stochastic', the default of sdeint_ito and "
    "sdeint_strat, computes states again in a loop that has no gradient. Pass adjoint='checkpoint', or take forward "
    "mode over the gradient, as jax.hessian does."
)
SLOTS = 12


class Plan(NamedTuple):
    """For the state at the start of each step: the slot that holds it, and the step from whose start it is computed."""

    slot: Int[np.ndarray, " steps"]
    source: Int[np.ndarray, " steps"]

    @property
    def recomputed(self) -> int:
        """Steps computed again in all."""
        return int((np.arange(self.source.size) - self.source).sum())


def stochastic(scheme: Scheme, carry: Carry, args: Args, path: BrownianPath | None, xs: Interval) -> Any:
    n = xs.t.shape[0]
    slot, source = _binomial(n * scheme.substeps, SLOTS)
    # The solve itself computes the last state, and fills the slots for it.
    plan, from_outputs = Plan(slot, np.append(source[:-1], source.size - 1)), False
    if scheme.restart:
        slot, source = _binomial(scheme.substeps, SLOTS)
        first = np.arange(n)[:, None] * scheme.substeps
        within = Plan(np.tile(slot, n), (first + source).ravel())
        if within.recomputed <= plan.recomputed:
            plan, from_outputs = within, True
    states = _from_outputs(plan) if from_outputs else _from_slots(plan)
    return walk_back(states, scheme, carry, args, path, xs)


@functools.lru_cache(maxsize=512)
def _binomial(length: int, slots: int) -> tuple[Int[np.ndarray, " length"], Int[np.ndarray, " length"]]:
    """The plan of a stretch whose first state is kept, in slot 0, with so many slots, slot 0 among them.

    The state in the middle is computed and kept; the stretch after it is walked back with one slot less, then the one
    before it. The middle is where both have the fewest repetitions. A walk forwards may write every state it passes
    into that state's slot: what it overwrites before it arrives is never read.
    """
    if length == 1:
        return np.zeros(1, int), np.zeros(1, int)
    if slots == 1:
        # One state beside the kept one is where the walk forwards stands.
        return np.minimum(np.arange(length), 1), np.zeros(length, int)
    times = 1
    while math.comb(slots + times, slots) < length:
        times += 1
    middle = max(1, length - math.comb(slots - 1 + times, slots - 1), math.comb(max(slots + times - 2, 0), slots))
    (slot, source), (later_slot, later_source) = _binomial(middle, slots), _binomial(length - middle, slots - 1)
    source = np.concatenate([source, later_source + middle])
    # When the last state is wanted only the first is there.
    source[-1] = 0
    return np.concatenate([slot, later_slot + 1]), source


def _from_slots(plan: Plan) -> States:
    """States from slots that the solve fills."""

    def forward(scheme: Scheme, carry: Carry, theta: PyTree, path: BrownianPath | None, xs: Interval) -> Any:
        slot = jnp.asarray(plan.slot, jnp.int32)

        def step(state: PyTree, theta: PyTree, *where: Time | Increment) -> Any:
            k, carry, slots = state
            return k + 1, scheme.step(carry, theta, *where), put(slots, slot[k], carry)

        # Every step fills its slot.
        keeping = scheme._replace(step=step, output=lambda state, theta: scheme.output(state[1], theta), ended=None)
        start = jnp.zeros((), jnp.int32), carry, empty(int(plan.slot.max()) + 1, carry)
        (_, last, slots), outputs = solve(keeping, start, theta, path, xs)
        return last, outputs, slots

    def before(
        scheme: Scheme,
        carry: Carry,
        slots: PyTree,
        theta: PyTree,
        path: BrownianPath | None,
        xs: Interval,
        k: Index,
        where: Where,
    ) -> Any:
        return _recompute(plan, scheme, slots, theta, path, xs, k)

    return States(forward, before)


def _from_outputs(plan: Plan) -> States:
    """States from the outputs, which are the states where an interval begins."""

    def forward(scheme: Scheme, carry: Carry, theta: PyTree, path: BrownianPath | None, xs: Interval) -> Any:
        last, outputs = solve(scheme, carry, theta, path, xs)
        return last, outputs, (outputs, empty(int(plan.slot.max()) + 1, carry))

    def before(
        scheme: Scheme,
        carry: Carry,
        memory: PyTree,
        theta: PyTree,
        path: BrownianPath | None,
        xs: Interval,
        k: Index,
        where: Where,
    ) -> Any:
        assert scheme.restart is not None
        outputs, slots = memory
        first = scheme.restart(jax.tree.map(lambda y: y[k // scheme.substeps], outputs))
        if not plan.recomputed:
            return first, memory
        start, slots = _recompute(plan, scheme, put(slots, 0, first), theta, path, xs, k)
        return start, (outputs, slots)

    return States(forward, before)


def _recompute(
    plan: Plan, scheme: Scheme, slots: PyTree, theta: PyTree, path: BrownianPath | None, xs: Interval, k: Index
) -> tuple[Any, Any]:
    """The state at the start of step k, and the slots with it and with those that the plan keeps on the way."""
    slot = jnp.asarray(plan.slot, jnp.int32)

    def advance(i: Index, slots: PyTree) -> Any:
        interval, j = i // scheme.substeps, i % scheme.substeps
        x = jax.tree.map(lambda leaf: jnp.asarray(leaf)[interval], xs)
        if scheme.substeps > 1:
            x = x._replace(path=jax.tree.map(lambda leaf: leaf[j], x.path))
        return put(slots, slot[i + 1], scheme.step(get(slots, slot[i]), theta, *scheme.locate(path, x, j)))

    if plan.recomputed:
        slots = loops.fori_loop(jnp.asarray(plan.source, jnp.int32)[k], k, advance, slots)
        slots = forward_only(slots, NO_SECOND_GRADIENT)
    return get(slots, slot[k]), slots
