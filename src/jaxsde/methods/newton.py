"""The root of an equation by a simplified Newton's method, and its derivative by the implicit function theorem.

The derivative by all of the state, J, is a matrix, found column by column and factorised. It is kept for the next
corrections as long as each leaves a tenth of the equation or less; after one that leaves more, J is computed again.
With few entries J costs no more than a correction, and is computed for each. What is differentiated is the equation at
its root, not the iterations.

A small correction is no sign of the end: on an exponential flank all are of one size, far from the root. The end is a
residual of rounding, what the equation makes of z, wrong by rounding, and of its own terms: |J| |z| + |z| + |start|
times a few machine epsilons. A function that is rounded more, since its own terms cancel, is known by this: J is what
it was along the last correction, to a quarter, and yet the residual did not fall to a quarter, where a smooth function
has an eighth. Then it may be of the square root of epsilon, or of what rounding of terms of one leaves.

On the branch of roots that begins with no step, where J is the unit matrix, det J is positive up to a fold. A root
where it is negative is another one, as the state between two wells is. So the root is NaN there, and where none is
found. The sign is that of K, the J that was kept, and it is J's at the root too: near it a correction leaves I - J / K
of an error, which dies out only if the matrix has no eigenvalue beyond one, and then det (J / K) is positive; but for
an error that has nothing in the direction of such an eigenvalue.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from jaxsde import loops
from jaxsde.flat_sde import precision
from jaxsde.types import Leaves
from jaxsde.undifferentiated import forward_only

# Of matrices.
MOST = 30
# With this many entries a new J costs more than the corrections that it saves.
MANY = 12
ROUNDINGS = 64
NO_SECOND_GRADIENT = (
    "A gradient of a gradient would go backwards through Newton's loop of an implicit method, which has none: take "
    "forward mode over the gradient, as jax.hessian does, or an explicit method."
)


class _Factorised(NamedTuple):
    """A derivative J, L and U in one matrix, the order of its rows in L U, and whether det J is negative."""

    J: Array
    triangles: Array
    order: Array
    negative: Array

    @classmethod
    def of(cls, J: Array) -> "_Factorised":
        triangles, pivots, order = jax.lax.linalg.lu(J)
        swaps = jnp.sum(pivots != jnp.arange(pivots.size, dtype=pivots.dtype))
        return cls(J, triangles, order, (swaps + jnp.sum(jnp.diag(triangles) < 0)) % 2 == 1)

    def solve(self, right: Array) -> Any:
        """x with J x = right."""
        half = jax.scipy.linalg.solve_triangular(self.triangles, right[self.order], lower=True, unit_diagonal=True)
        return jax.scipy.linalg.solve_triangular(self.triangles, half)


class _Iterate(NamedTuple):
    """Where the iterations are, whether there the end is, whether it is on another branch, the correction that led
    there, what was left of the equation before it, and how many matrices there were.
    """

    z: Array
    done: Array
    negative: Array
    correction: Array
    left: Array
    number: Array


def root(residual: Callable[[Leaves], Leaves], guess: Leaves) -> Leaves:
    """The z with residual(z) = 0 to which Newton's method goes from `guess`; NaN where it goes to none, and where the
    determinant of the derivative is negative.

    **Arguments:**

    - `residual`: gives leaves like those it takes.
    - `guess`: where to begin.
    """
    leaves: tuple[Any, ...] = guess
    dtype = precision(leaves)
    ends = np.cumsum([x.size for x in _parts(leaves)])[:-1]
    eps = jnp.asarray(np.concatenate([np.full(x.size, float(jnp.finfo(x.dtype).eps)) for x in _parts(leaves)]), dtype)

    def flat(values: Leaves) -> Any:
        return jnp.concatenate([jnp.asarray(x, dtype).ravel() for x in _parts(values)])

    def leaves_of(vector: Array) -> Any:
        parts = iter(jnp.split(vector, ends))

        def leaf_of(x: Any) -> Any:
            real, *imaginary = (jnp.asarray(next(parts), part.dtype).reshape(x.shape) for part in _parts((x,)))
            return jax.lax.complex(real, *imaginary) if imaginary else real

        return tuple(map(leaf_of, leaves))

    def equation(vector: Array) -> Any:
        return flat(residual(leaves_of(vector)))

    def solve(equation: Callable[[Array], Array], start: Array) -> Any:
        few = jnp.minimum(ROUNDINGS * eps, jnp.sqrt(eps))
        no, yes = jnp.zeros((), bool), jnp.ones((), bool)

        def norm(x: Array) -> Any:
            """The largest: squares might not be finite."""
            return jnp.max(jnp.abs(x), initial=0)

        def correct(kept: _Factorised, z: Array, left: Array, rounded: Array, number: Any) -> _Iterate:
            correction = -kept.solve(left)
            end, terms_of = z + correction, jnp.abs(kept.J)
            size = jnp.maximum(jnp.abs(z), jnp.abs(end))

            def within(relative: Array, absolute: Array | float) -> Any:
                """Whether errors of z and of the equation's terms of this size make what is left."""
                terms = relative * (terms_of @ size + size + jnp.abs(start))
                return (jnp.abs(left) <= terms + terms_of @ (relative * size + absolute)).all()

            done = within(few, 0.0) | rounded & within(jnp.sqrt(eps), few)
            return _Iterate(end, done, kept.negative, correction, left, number)

        def goes_on(at: _Iterate) -> Any:
            return ~at.done & jnp.isfinite(at.z).all() & (at.number < MOST)

        def factorise(at: _Iterate) -> _Iterate:
            J, left = _matrix(*jax.linearize(equation, at.z))
            kept = _Factorised.of(J)
            straight = norm(J @ at.correction + at.left) <= norm(at.left) / 4
            rounded = straight & (norm(left) > norm(at.left) / 4)
            first = correct(kept, at.z, left, rounded, at.number + 1)
            if start.size < MANY:
                return first

            def again(state: tuple[_Iterate, Array]) -> Any:
                at, _ = state
                left = equation(at.z)
                falls = norm(left) < norm(at.left) / 10
                next = correct(kept, at.z, left, no, at.number)
                return jax.tree.map(lambda a, b: jnp.where(falls, a, b), next, at), falls

            return loops.while_loop(lambda state: goes_on(state[0]) & state[1], again, (first, yes))[0]

        unknown = jnp.full_like(start, jnp.inf)
        begin = _Iterate(start, no, no, unknown, unknown, jnp.zeros((), jnp.int32))
        z, done, other, *_ = loops.while_loop(goes_on, factorise, begin)
        return forward_only(jnp.where(done & ~other, z, jnp.nan), NO_SECOND_GRADIENT)

    def tangent(linear: Callable[[Array], Array], value: Array) -> Any:
        return jnp.linalg.solve(*_matrix(value, linear))

    z = jax.lax.custom_root(equation, flat(leaves), solve, tangent)
    # An equation whose derivative does not see NaN would give a derivative of no root.
    return leaves_of(z * jnp.where(jnp.isfinite(z).all(), jnp.ones((), dtype), jnp.nan))


def _parts(leaves: tuple[Any, ...]) -> list[Any]:
    """Real leaves: of a complex one its real and its imaginary part, since the equation need not be holomorphic."""
    return [part for x in leaves for part in ((x.real, x.imag) if jnp.iscomplexobj(x) else (x,))]


def _matrix(value: Array, linear: Callable[[Array], Array]) -> tuple[Array, Array]:
    """The linear function as a matrix, and the value."""
    units, value = loops.vary_alike((jnp.eye(value.size, dtype=value.dtype), value))
    return jax.vmap(linear)(units).T, value
