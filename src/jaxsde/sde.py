"""A stochastic differential equation, as a user writes it."""

import dataclasses

from jaxsde.types import Diffusion, Drift, Noise, SDEType


@dataclasses.dataclass(frozen=True)
class SDE:
    """dy = f(y, t, args) dt + g(y, t, args) dB.

    **Arguments:**

    - `drift`: f, which gives what is like y.
    - `diffusion`: g, which gives what is like y with diagonal, additive (it does not depend on y) and scalar noise (one
      Brownian motion drives all of y). With general noise each of its leaves has one more axis, last, for the m
      Brownian motions, or it returns the function v -> g v and `noise_shape` is the shape of v. In place of a leaf or a
      subtree it may give `None`: that part has no noise of its own, and none is drawn for it. `None` in place of g is
      an ODE.
    - `sde_type`: `"ito"` or `"stratonovich"`: in whose sense.
    - `noise`: `"diagonal"`, `"additive"`, `"scalar"` or `"general"`. A diffusion that depends on y is refused as
      additive, and one whose entries depend on others as diagonal where the method or adaptive steps need that they do
      not.
    - `noise_shape`: for general noise that is matrix-free.
    """

    drift: Drift
    diffusion: Diffusion | None = None
    sde_type: SDEType = "ito"
    noise: Noise = "diagonal"
    noise_shape: tuple[int, ...] | None = None
