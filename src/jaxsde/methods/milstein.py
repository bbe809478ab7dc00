"""Milstein: Euler-Maruyama and the correction 1/2 (g . dg) (dW^2 - h), without the - h for Stratonovich. 1975.

With diagonal noise g_i depends on y_i alone, so that (g . dg)_i = g_i dg_i / dy_i. All of these come from one
Jacobian-vector product in the direction g (dW^2 - h) / 2: the cost of one more evaluation of g, with no Jacobian. With
scalar noise it is the same product. With additive noise the correction is zero and the method is Euler-Maruyama.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxsde.brownian.increment import Increment
from jaxsde.flat_sde import FlatSDE, add, scale
from jaxsde.methods.method import Method
from jaxsde.types import Args, Leaves, Time


def step(sde: FlatSDE, y: tuple[Array, ...], t: Time, h: Time, increment: Increment, args: Args) -> Leaves:
    dW = increment.dW
    g = sde.diffusion(y, t, args)
    euler = add(y, scale(h, sde.drift(y, t, args)), sde.product(g, dW))
    if sde.noise == "additive":
        return euler
    square = tuple(None if w is None else w * w for w in dW)
    if sde.sde_type == "ito":
        square = tuple(None if w is None else w - jnp.asarray(jnp.abs(h), w.dtype) for w in square)
    direction = scale(0.5, sde.product(g, square))
    tangent = tuple(jnp.zeros_like(x) if v is None else v for v, x in zip(direction, y, strict=True))
    return add(euler, jax.jvp(lambda y: sde.diffusion(y, t, args), (y,), (tangent,))[1])


MILSTEIN = Method(
    name="milstein",
    sde_types=("ito", "stratonovich"),
    strong_order={"diagonal": 1.0, "additive": 1.0, "scalar": 1.0},
    weak_order=1.0,
    evaluations=1,
    nodes=(0.0,),
    step=step,
    entrywise=True,
)
