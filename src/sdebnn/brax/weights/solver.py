"""How SDEs and ODEs over depth are solved."""

import operator
from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxsde.methods import named_methods
from jaxsde.methods.coupled import COUPLED
from sdebnn.errors import InputError


class Solver(NamedTuple):
    """How SDEs and ODEs over depth are solved.

    **Arguments:**

    - `steps`: equal steps over depth 0 to 1, a whole number of them on each stretch of depth with and without noise.
    - `method`: a solver of `jaxsde` for additive noise. Without noise Euler-Maruyama is Euler's method.
    - `adjoint`: how gradients are computed; see `jaxsde.ADJOINTS`. `"checkpoint"` keeps the states of about
      `2 sqrt(steps)` depths; `"stochastic"` those of at most 13; `"reversible"`, for methods that can be walked back,
      none with `"reversible_heun"` and `"ees25"`, and 34 with `"coupled_midpoint"` and the like.
    """

    steps: int = 20
    method: str = "euler_maruyama"
    adjoint: str = "backprop"


def as_solver(block: str, solver: object, choices: Mapping[str, Any]) -> Solver:
    """The solver that a block is given; without one, that of these choices.

    **Raises:** `InputError` for anything but a solver, for both, for choices that it does not have, for steps that are
    no whole number, 1 or more, and for the adjoint `"reversible"` of a method that has no inverse.
    """
    if unknown := set(choices) - set(Solver._fields):
        raise InputError(
            f"{block} got {min(unknown)}, which neither it nor a solver takes; a solver takes "
            f"{', '.join(Solver._fields)}."
        )
    if solver is None:
        solver = Solver(**choices)
    elif not isinstance(solver, Solver):
        raise InputError(f"{block} got solver={solver!r}; it takes a Solver, like Solver(20, method='midpoint').")
    elif choices:
        raise InputError(f"{block} got a solver and {', '.join(choices)} beside it; put these into the Solver.")
    try:
        whole = operator.index(solver.steps)
    except TypeError:
        raise InputError(f"{block} got steps={solver.steps!r}; it takes a whole number of steps, 1 or more.") from None
    if whole < 1:
        raise InputError(f"{block} got steps={solver.steps}; the solver takes 1 step or more over depth 0 to 1.")
    known = named_methods("additive").get(solver.method)
    if solver.adjoint == "reversible" and known is not None and known.inverse is None:
        # jaxsde would take the coupled form by itself, for the gradient alone.
        form = "" if known.implicit else f"{COUPLED + known.name!r}, with which predictions are made too, "
        raise InputError(
            f"{block} got adjoint='reversible' with method={solver.method!r}, which cannot be reversed: take "
            f"method={form}'reversible_heun' or 'ees25', or adjoint='stochastic'."
        )
    return solver
