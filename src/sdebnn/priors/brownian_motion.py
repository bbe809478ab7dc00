"""Brownian motion: weights that nothing pulls."""

import dataclasses
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from sdebnn.priors.prior import Numbers, Prior


@dataclasses.dataclass(frozen=True, kw_only=True)
class BrownianMotion(Prior):
    """dw = sigma dB, from the learned initial weights.

    **Arguments:** those of `Prior`.
    """

    summary: ClassVar[str] = "pulled nowhere (Brownian motion)"

    def drift(self, w: Numbers, t: Numbers, centre: Numbers) -> Any:
        return 0.0 * w

    def moments(
        self, w0: Float[np.ndarray, " p"], sigma: Float[np.ndarray, " p"], ts: Float[np.ndarray, " times"]
    ) -> tuple[Float[np.ndarray, "times p"], Float[np.ndarray, "times p"]]:
        return np.ones_like(ts)[:, None] * w0[None], np.sqrt(ts)[:, None] * sigma[None]
