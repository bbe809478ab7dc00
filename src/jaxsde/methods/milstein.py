"""Milstein: Euler-Maruyama and the correction 1/2 (g . dg) (dW^2 - h), without the - h for Stratonovich. 1975.

With diagonal noise g_i depends on y_i alone, so that (g . dg)_i = g_i dg_i / dy_i. All of these come from one
Jacobian-vector product in the direction g (dW^2 - h) / 2: the cost of one more evaluation of g, with no Jacobian. With
scalar noise it is the same product. With additive noise the correction is zero and the method is Euler-Maruyama.

With commutative noise the integrals I_jk of W_j over dW_k matter by their sums I_jk + I_kj alone, in which Levy areas
cancel: the correction is sum_jk (dg_k g_j) (dW_j dW_k - h delta_jk) / 2. Without the - h that is one product, the
derivative of g dW along g dW / 2, and with it one for each Brownian motion. Kloeden and Platen, 1992, section 10.3.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from jaxsde.brownian.increment import Increment
from jaxsde.flat_sde import FlatSDE, add, derivative, scale
from jaxsde.methods.columns import along_columns
from jaxsde.methods.method import Method
from jaxsde.types import Args, Leaves, Time


def step(sde: FlatSDE, y: tuple[Array, ...], t: Time, h: Time, increment: Increment, args: Args) -> Leaves:
    dW = increment.dW
    g = sde.diffusion(y, t, args)
    noise = sde.product(g, dW)
    euler = add(y, scale(h, sde.drift(y, t, args)), noise)
    if sde.noise == "additive" or sde.g is None:
        return euler
    if sde.noise == "commutative":
        assert dW[0] is not None
        return add(euler, _commutative(sde, y, t, h, dW[0], g, args))
    square = tuple(None if w is None else w * w for w in dW)
    if sde.sde_type == "ito":
        square = tuple(None if w is None else w - jnp.asarray(jnp.abs(h), w.dtype) for w in square)
    return add(euler, derivative(lambda y: sde.diffusion(y, t, args), y, scale(0.5, sde.product(g, square))))


def _commutative(sde: FlatSDE, y: tuple[Array, ...], t: Time, h: Time, dW: Array, g: Any, args: Args) -> Leaves:
    if sde.sde_type == "stratonovich":
        return derivative(lambda y: sde.noise_term(y, t, args, (dW,)), y, scale(0.5, sde.product(g, (dW,))))
    w = dW.ravel()
    integrals = 0.5 * (jnp.outer(w, w) - jnp.asarray(jnp.abs(h), w.dtype) * jnp.eye(w.size, dtype=w.dtype))
    return along_columns(sde, g, y, t, args, integrals)


MILSTEIN = Method(
    name="milstein",
    sde_types=("ito", "stratonovich"),
    strong_order={"diagonal": 1.0, "additive": 1.0, "scalar": 1.0, "commutative": 1.0},
    weak_order=1.0,
    evaluations=1,
    nodes=(0.0,),
    step=step,
    entrywise=True,
)
