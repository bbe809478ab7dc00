"""The bridge: weights that come back to their centre at depth 1."""

import dataclasses
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from sdebnn.priors.prior import Numbers, Prior, check_rate


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bridge(Prior):
    """The Ornstein-Uhlenbeck process around the centre, or Brownian motion where its rate is 0, given that it is in the
    centre at depth 1: dw = rate coth(rate (1 - t)) (centre - w) dt + sigma dB.

    **Arguments:**

    - `rate`: how fast weights are pulled to the centre at first, in 1 / depth; 0 is the Brownian bridge.
    - `centre`, and the others: of `Prior`.
    """

    summary: ClassVar[str] = "back at the centre at depth 1"

    rate: float = 1.0
    centre: str = "w0"

    def __post_init__(self) -> None:
        check_rate(self)
        super().__post_init__()

    def drift(self, w: Numbers, t: Numbers, centre: Numbers) -> Any:
        left = 1.0 - t
        return _x_coth_x(self.rate * left, self.rate) / left * (centre - w)

    @property
    def unit_diffusion(self) -> float:
        # The widest is the middle, where the variance is tanh(rate / 2) / (2 rate).
        return 2.0 if self.rate < 1e-8 else float((2 * self.rate / np.tanh(self.rate / 2)) ** 0.5)

    def moments(
        self, w0: Float[np.ndarray, " p"], sigma: Float[np.ndarray, " p"], ts: Float[np.ndarray, " times"]
    ) -> tuple[Float[np.ndarray, "times p"], Float[np.ndarray, "times p"]]:
        centre = w0 if self.centre == "w0" else np.zeros_like(w0)
        # Of the process without its end: how much is left of the start, and the variance that has been added, from
        # depth 0 to t, from t to 1 and from 0 to 1.
        stays = np.exp(-self.rate * ts)
        to_t, from_t, whole = (self._variance(length) for length in (ts, 1 - ts, np.ones(1)))
        mean = stays * from_t / whole
        return centre[None] + (w0 - centre)[None] * mean[:, None], np.sqrt(to_t * from_t / whole)[:, None] * sigma[None]

    def _variance(self, length: Float[np.ndarray, " times"]) -> Float[np.ndarray, " times"]:
        return length if self.rate < 1e-8 else -np.expm1(-2 * self.rate * length) / (2 * self.rate)


def _x_coth_x(x: Numbers, largest: float) -> Any:
    """x coth(x) for numbers from 0 to `largest`, by arithmetic alone and without cancellation: the continued fraction
    of a part of x that is at most 1, and then doubled, as 2x coth(2x) = x coth(x) + x^2 / (x coth(x)).
    """
    doublings = max(0, int(np.ceil(np.log2(largest)))) if largest > 1 else 0
    x = x / 2.0**doublings
    value = 1.0 + x * x / (3.0 + x * x / (5.0 + x * x / (7.0 + x * x / (9.0 + x * x / 11.0))))
    for _ in range(doublings):
        value = value + x * x / value
        x = 2.0 * x
    return value
