"""The integrated Ornstein-Uhlenbeck process: smooth weight paths."""

import dataclasses
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from sdebnn.priors.prior import Numbers, Prior, check_rate


@dataclasses.dataclass(frozen=True, kw_only=True)
class IntegratedOU(Prior):
    """dw = v dt, dv = -rate v dt + sigma dB: the weights' velocity v is an Ornstein-Uhlenbeck process from 0, so their
    paths are smooth, and few solver steps follow them. The noise, the network of the posterior and the path KL are the
    velocity's alone; this is the second-order form of an SDE-BNN (arXiv 2603.25024).

    **Arguments:**

    - `rate`: how fast the velocity is forgotten, in 1 / depth; 0 is integrated Brownian motion.
    - the others: of `Prior`; `sigma` is the diffusion of the velocity where `sigma_scale` is `"constant"`.
    """

    summary: ClassVar[str] = "smooth paths, whose velocity has the noise (integrated Ornstein-Uhlenbeck)"
    state_width: ClassVar[int] = 2

    rate: float = 1.0

    def __post_init__(self) -> None:
        check_rate(self)
        super().__post_init__()

    def drift(self, w: Numbers, t: Numbers, centre: Numbers) -> Any:
        velocity, _ = w
        return -self.rate * velocity, velocity

    @property
    def unit_diffusion(self) -> float:
        return float(self._variance(np.ones(1))[0]) ** -0.5

    def moments(
        self, w0: Float[np.ndarray, " p"], sigma: Float[np.ndarray, " p"], ts: Float[np.ndarray, " times"]
    ) -> tuple[Float[np.ndarray, "times p"], Float[np.ndarray, "times p"]]:
        return np.ones_like(ts)[:, None] * w0[None], np.sqrt(self._variance(ts))[:, None] * sigma[None]

    def _variance(self, ts: Float[np.ndarray, " times"]) -> Float[np.ndarray, " times"]:
        """Of a weight, for a diffusion of 1: the integral of the square of (1 - exp(-rate s)) / rate."""
        x = self.rate * ts
        # For small x, the numbers whose difference is taken are nearly equal.
        small = x < 1e-3
        far = np.where(small, 1.0, x)
        share = (far + 2 * np.expm1(-far) - np.expm1(-2 * far) / 2) / far**3
        return ts**3 * np.where(small, 1 / 3 - x / 4 + 7 * x**2 / 60, share)
