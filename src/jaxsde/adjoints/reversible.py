"""The gradient of an algebraically reversible method, exact to rounding, with memory for a single step.

Each state is computed back from the next by the method's own inverse, in closed form. Kidger, Foster, Li and Lyons,
"Efficient and accurate gradients for neural SDEs", 2021, section 3.
"""

from typing import Any

from jaxsde.adjoints.backward_walk import States, walk_back
from jaxsde.engine import Interval, Scheme, solve


def reversible(scheme: Scheme, carry: Any, args: Any, path: Any, xs: Interval) -> Any:
    if scheme.inverse is None:
        raise ValueError(
            "adjoint 'reversible' needs a method with an algebraic inverse: method='reversible_heun', or with another "
            "method adjoint='stochastic' (a dozen states more in memory) or adjoint='checkpoint'; both are exact."
        )
    return walk_back(States(_forward, _before), scheme, carry, args, path, xs)


def _forward(scheme: Scheme, carry: Any, theta: Any, path: Any, xs: Interval) -> tuple[Any, Any, None]:
    return *solve(scheme, carry, theta, path, xs), None


def _before(
    scheme: Scheme, carry1: Any, memory: None, theta: Any, path: Any, xs: Interval, k: Any, where: Any
) -> tuple[Any, None]:
    assert scheme.inverse is not None
    return scheme.inverse(carry1, theta, *where), None
