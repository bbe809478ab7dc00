"""The times at which a method asks for the drift are those that it declares."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsde import METHODS
from jaxsde.brownian import Increment
from jaxsde.flat_sde import FlatSDE
from jaxsde.methods.coupled import COUPLED, coupled
from jaxsde.types import Noise

REVERSIBLE_FORMS = {
    f"{COUPLED}{name} {back}": coupled(method, 8, back, 1e-16)
    for name, method in METHODS.items()
    if method.carries_state_alone and not method.implicit
    for back in (True, False)
    if back or not method.langevin
}


@pytest.mark.parametrize("method", (METHODS | REVERSIBLE_FORMS).values(), ids=METHODS | REVERSIBLE_FORMS)
@pytest.mark.parametrize("h", [0.5, -0.5])
def test_nodes(x64, method, h):
    asked = []

    def f(y, t, args):
        asked.append((float(t) - 2.0) / h)
        return jax.tree.map(lambda x: -x, y)

    # Two leaves, of which splitting methods take one for the position and one for the momentum.
    y = jnp.ones(2), jnp.ones(2)
    w: tuple[jax.Array, ...] = y
    noise: Noise = "additive"
    g: Any = lambda y, t, args: y  # noqa: E731
    if set(method.strong_order) == {"general"}:
        noise, g, w = "general", lambda y, t, args: (jnp.eye(2), jnp.eye(2)), w[:1]
    sde = FlatSDE(f, g, method.sde_types[0], noise, y, w, damping=lambda h, args: h)
    increment = Increment(w, w, jnp.zeros((2, 2)))
    carry = method.init(sde, y, jnp.asarray(2.0), None)
    first = len(asked)
    method.step(sde, carry, jnp.asarray(2.0), jnp.asarray(h), increment, None)
    np.testing.assert_allclose(sorted(set(asked)), method.nodes, atol=1e-12)
    # Those of Newton's method are traced in a loop.
    if not method.implicit:
        assert len(asked) - first == method.evaluations
