"""A stochastic differential equation, as a user writes it."""

import dataclasses

from jaxsde.types import Diffusion, Drift, Noise, SDEType


@dataclasses.dataclass(frozen=True)
class SDE:
    """dy = f(y, t, args) dt + g(y, t, args) dB.

    **Arguments:**

    - `drift`: f, which gives what is like y.
    - `diffusion`: g, which gives what is like y with diagonal, additive (it does not depend on y) and scalar noise (one
      Brownian motion drives all of y). With general and commutative noise each of its leaves has one more axis, last,
      for the m Brownian motions, or it returns the function v -> g v and `noise_shape` is the shape of v. With additive
      noise it may be a matrix too, with that axis in all leaves. In place of a
      leaf or a subtree it may give `None`: that part has no noise of its own, and none is drawn for it. `None` in place
      of g is an ODE. Noise is real; of a complex leaf f and g may be complex.
    - `sde_type`: `"ito"` or `"stratonovich"`: in whose sense.
    - `noise`: `"diagonal"`, `"additive"`, `"scalar"`, `"commutative"` or `"general"`. Noise is commutative where the
      derivative of each column of g along another is that of the other along the one, as with y_i sum_j S_ij dB_j, or a
      matrix that does not depend on y: there order 1 takes no Levy areas. A diffusion that depends on y is refused as
      additive, one whose columns do not commute as commutative, and one whose entries depend on others as diagonal
      where the method or adaptive steps need that they do not.
      Scalar, commutative and general noise, and additive noise by a matrix, is the same for all of y: of a batch take
      `jax.vmap` over its rows and keys.
    - `noise_shape`: for general or commutative noise that is matrix-free.
    """

    drift: Drift
    diffusion: Diffusion | None = None
    sde_type: SDEType = "ito"
    noise: Noise = "diagonal"
    noise_shape: tuple[int, ...] | None = None
