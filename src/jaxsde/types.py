"""What the arguments are, by name.

What a user hands over is checked in sentences before any integration. So that a checker of types at run time does not
speak first, those of a key, of times and of choices are for static checkers alone.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Never, TypeAlias

import jax
import numpy as np
from jaxtyping import Array, Float, Integer, Num, PRNGKeyArray, PyTree, UInt32

# A pytree of floating-point arrays, real or complex: y, and with a leading axis of times the solution.
State: TypeAlias = PyTree
# Whatever f and g read beside y and t.
Args: TypeAlias = PyTree
# A scalar in the precision of the state: a time, or a length of time.
Time = Float[Array, ""]
TimeLike = float | Time
# Output times that were looked at: by numpy in double precision, or traced as they are.
TimeVector = Num[Array | np.ndarray, " times"]

if TYPE_CHECKING:
    Key = PRNGKeyArray | UInt32[Array, "_"]
    Times = Array | np.ndarray | Sequence[float]
    SDEType = Literal["ito", "stratonovich"]
    Noise = Literal["diagonal", "additive", "scalar", "commutative", "general"]
    # Of what is refused by name.
    Unknown = Never
else:
    Key = Times = Unknown = object
    SDEType = Noise = str

Drift = Callable[[State, Time, Args], State]
# Like the state, with None for what has no noise; or a matrix for each leaf, or the function v -> g v.
Diffusion = Callable[[State, Time, Args], PyTree]
# (y, t, h, dW, args) of a step to what is added up.
Running = Callable[[State, Time, Time, PyTree, Args], PyTree]
Save = Callable[[State], PyTree]

# The state or the noise as a tuple of arrays, and their shapes and dtypes; None is zero.
Leaves = tuple[Array | None, ...]
Shapes = tuple[Array | jax.ShapeDtypeStruct | None, ...]
# Of the stages of a step.
Weights = tuple[float, ...]
# What a method hands from a step to the next: the leaves of y, and whatever else it needs.
Carry: TypeAlias = PyTree
# A number, or a symbol of a program that is exported for any.
Size: TypeAlias = Any
# The number of a step.
Index = int | np.integer | Integer[Array | np.ndarray, ""]
