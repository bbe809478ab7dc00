"""The gradient of an algebraically reversible method, exact to rounding, with memory for a single step.

Each state is computed back from the next by the method's own inverse, in closed form. Kidger, Foster, Li and Lyons,
"Efficient and accurate gradients for neural SDEs", 2021, section 3.
"""

from typing import Any

from jaxsde.adjoints.backward_walk import walk_back
from jaxsde.engine import Interval, Scheme


def reversible(scheme: Scheme, carry: Any, args: Any, path: Any, xs: Interval) -> Any:
    if scheme.inverse is None:
        raise ValueError(
            "adjoint 'reversible' needs a method with an algebraic inverse: method='reversible_heun', or with another "
            "method adjoint='stochastic' (the same memory) or adjoint='checkpoint' (exact)."
        )
    return walk_back(_invert, scheme, carry, args, path, xs)


def _invert(scheme: Scheme, carry1: Any, args: Any, where: Any) -> Any:
    assert scheme.inverse is not None
    return scheme.inverse(carry1, args, *where)
