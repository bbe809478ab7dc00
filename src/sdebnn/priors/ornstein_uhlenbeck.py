"""The Ornstein-Uhlenbeck process: weights that are pulled to a centre."""

import dataclasses
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from sdebnn.priors.prior import Numbers, Prior, check_rate


@dataclasses.dataclass(frozen=True, kw_only=True)
class OrnsteinUhlenbeck(Prior):
    """dw = rate (centre - w) dt + sigma dB, the prior of Xu et al. (2021).

    **Arguments:**

    - `rate`: how fast weights are pulled to the centre, in 1 / depth; 0 is a prior without drift.
    - `centre`, `start`, and the others: of `Prior`.
    """

    summary: ClassVar[str] = "pulled to a centre (Ornstein-Uhlenbeck)"

    rate: float = 1.0
    centre: str = "w0"
    start: str = "learned"

    def __post_init__(self) -> None:
        check_rate(self)
        super().__post_init__()

    def drift(self, w: Numbers, t: Numbers, centre: Numbers) -> Any:
        return -self.rate * (w - centre)

    @property
    def unit_diffusion(self) -> float:
        return (2 * self.rate or 1.0) ** 0.5

    @property
    def stationary(self) -> bool:
        return self.rate > 0

    def moments(
        self, w0: Float[np.ndarray, " p"], sigma: Float[np.ndarray, " p"], ts: Float[np.ndarray, " times"]
    ) -> tuple[Float[np.ndarray, "times p"], Float[np.ndarray, "times p"]]:
        decay = np.exp(-self.rate * ts)[:, None]
        centre = w0 if self.centre == "w0" else np.zeros_like(w0)
        if self.start == "gaussian":
            everywhere = np.ones_like(decay)
            return everywhere * centre[None], everywhere * (sigma / self.unit_diffusion)[None]
        variance = (1 - decay**2) / (2 * self.rate) if self.rate else ts[:, None]
        return centre[None] + (w0 - centre)[None] * decay, np.sqrt(variance) * sigma[None]
