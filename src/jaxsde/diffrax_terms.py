"""The same equation for diffrax."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from jaxsde.choices import one_of
from jaxsde.problem import NOISES
from jaxsde.signatures import check_takes
from jaxsde.types import Args


def to_diffrax(f: Callable[..., Any], g: Callable[..., Any], path: Any, noise: str = "diagonal") -> Any:
    """The terms with which `diffrax.diffeqsolve` solves dy = f dt + g dB.

    **Arguments:**

    - `f`, `g`: as the solvers here take them, y being one array where noise is diagonal or additive.
    - `path`: a diffrax Brownian path: `shape` like y with diagonal and additive noise, `()` with scalar noise, `(m,)`
      with commutative and general noise, and with additive noise by a matrix.
    - `noise`: the noise type; commutative and general noise by matrices.

    **Returns:** a `diffrax.MultiTerm`. Which calculus it means, diffrax leaves to its solver.

    **Raises:** `ImportError` without diffrax.
    """
    one_of("noise", noise, NOISES)
    check_takes("f", f, "y", "t", "args")
    check_takes("g", g, "y", "t", "args")
    try:
        import diffrax
        import lineax
    except ImportError as error:
        raise ImportError("to_diffrax needs diffrax; install it with `pip install diffrax`.") from error

    def control(t: Any, y: Any, args: Args) -> Any:
        value = g(y, t, args)
        entrywise = noise == "diagonal" or (noise == "additive" and jnp.ndim(value) == jnp.ndim(y))
        return lineax.DiagonalLinearOperator(value) if entrywise else jnp.asarray(value)

    return diffrax.MultiTerm(diffrax.ODETerm(lambda t, y, args: f(y, t, args)), diffrax.ControlTerm(control, path))
