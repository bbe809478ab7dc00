"""Milstein's method for general noise, with the Levy areas of the path: strong order 1.

    y1 = y + f h + sum_j g_j dW_j + sum_jk (dg_k g_j) I_jk

where I_jk, the integral of W_j over dW_k in a step, is 1/2 dW_j dW_k + A_jk, less h/2 for j = k in Ito's calculus.

Where paths are drawn, areas are too, as Davie does: "Pathwise approximation of stochastic differential equations using
coupling", 2014. They have the right mean and covariance given the increments.
"""

import jax.numpy as jnp
from jaxtyping import Array

from jaxsde.brownian.increment import Increment
from jaxsde.flat_sde import FlatSDE, add, scale
from jaxsde.methods.columns import along_columns
from jaxsde.methods.method import Method
from jaxsde.types import Args, Leaves, Time


def step(sde: FlatSDE, y: tuple[Array, ...], t: Time, h: Time, increment: Increment, args: Args) -> Leaves:
    g = sde.diffusion(y, t, args)
    euler = add(y, scale(h, sde.drift(y, t, args)), sde.product(g, increment.dW))
    dW = increment.dW[0]
    if dW is None:
        return euler
    assert increment.A is not None
    w = dW.ravel()
    integrals = 0.5 * jnp.outer(w, w) + increment.A
    if sde.sde_type == "ito":
        integrals = integrals - jnp.asarray(jnp.abs(h) / 2, dW.dtype) * jnp.eye(w.size, dtype=dW.dtype)
    return add(euler, along_columns(sde, g, y, t, args, integrals))


DAVIE = Method(
    name="davie",
    sde_types=("ito", "stratonovich"),
    strong_order={"general": 1.0},
    weak_order=1.0,
    evaluations=1,
    nodes=(0.0,),
    step=step,
    area=True,
)
