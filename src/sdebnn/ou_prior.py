"""The choices that make the prior of a block's weights, for both frameworks."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from sdebnn.errors import InputError


class Section(NamedTuple):
    """A stretch of depth, from `start` to `end`, on which the weights have noise or do not."""

    start: float
    end: float
    noisy: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class OUPrior:
    """An Ornstein-Uhlenbeck process: dw = rate (centre - w) dt + sigma dB.

    **Arguments:**

    - `sigma`: the diffusion; see `sigma_scale`.
    - `sigma_scale`: `"constant"`: sigma is the diffusion of every weight. `"fan_in"`: weight i has the diffusion
      `sigma * sqrt(2 rate / fan_in_i)`, so that the prior's stationary standard deviation is `sigma / sqrt(fan_in_i)`,
      in proportion to the usual initialisation; with rate 0, where nothing is stationary, `sigma / sqrt(fan_in_i)`,
      which the prior then reaches at depth 1.
    - `rate`: how fast the prior pulls the weights to its centre, in 1 / depth; 0 is a prior without drift.
    - `centre`: `"w0"`: the learned initial weights; `"zero"`.
    - `start`: `"learned"`: w_0 is a point; `"gaussian"`: it is Gaussian under both, around the learned point under the
      posterior, and with the stationary law under the prior.
    - `noisy_weights`: the share of the weights that have noise, the first ones in w.
    - `noisy_depth`: from where to where they have it; (0, 0) is nowhere: the weights follow an ODE.

    **Raises:** `InputError` unless the numbers are in their ranges and the names are among those above.
    """

    sigma: float = 0.1
    sigma_scale: str = "fan_in"
    rate: float = 1.0
    centre: str = "w0"
    start: str = "learned"
    noisy_weights: float = 1.0
    noisy_depth: tuple[float | int, float | int] = (0.0, 1.0)

    def __post_init__(self) -> None:
        for name in ("sigma", "rate", "noisy_weights"):
            object.__setattr__(self, name, real_number(f"The weight process got {name}", getattr(self, name)))
        if not 0 < self.sigma < np.inf:
            raise InputError(f"The weight process got sigma={self.sigma}; it takes a positive, finite number.")
        if not 0 <= self.rate < np.inf:
            raise InputError(f"The weight process got rate={self.rate}; it takes a finite number, 0 or more.")
        for name, allowed in _NAMES.items():
            if getattr(self, name) not in allowed:
                names = " or ".join(map(repr, allowed))
                raise InputError(f"The weight process got {name}={getattr(self, name)!r}; it takes {names}.")
        if self.start == "gaussian" and self.rate == 0:
            raise InputError(
                "The weight process got start='gaussian' with rate=0, and a prior without drift has no stationary law "
                "for w_0; take a positive rate or start='learned'."
            )
        if not 0 < self.noisy_weights <= 1:
            raise InputError(
                f"The weight process got noisy_weights={self.noisy_weights}; it takes a share above 0, up to 1."
            )
        depths = self.noisy_depth
        if not (isinstance(depths, tuple | list | np.ndarray) and np.shape(depths) == (2,)):
            raise InputError(f"The weight process got noisy_depth={depths!r}; it takes two depths between 0 and 1.")
        first, last = (real_number("The weight process got noisy_depth with the depth", depth) for depth in depths)
        object.__setattr__(self, "noisy_depth", (first, last))
        if not 0 <= self.noisy_depth[0] <= self.noisy_depth[1] <= 1:
            raise InputError(
                f"The weight process got noisy_depth={self.noisy_depth}; it takes two depths between 0 and 1, the "
                "first not above the second."
            )

    def sections(self) -> list[Section]:
        """The depth from 0 to 1, cut where noise begins and ends."""
        first, last = map(float, self.noisy_depth)
        cuts = (Section(0.0, first, False), Section(first, last, True), Section(last, 1.0, False))
        return [section for section in cuts if section.end > section.start]

    def noisy(self, size: int) -> int:
        """How many of so many weights have noise."""
        return max(1, round(self.noisy_weights * size))

    def diffusion_scale(self, fan_in: float) -> float:
        """sigma of a weight with that fan-in."""
        if self.sigma_scale == "constant":
            return self.sigma
        return self.sigma * (2 * self.rate or 1.0) ** 0.5 / fan_in**0.5

    def moments(
        self, w0: Float[np.ndarray, " p"], sigma: Float[np.ndarray, " p"], ts: Float[np.ndarray, " times"]
    ) -> tuple[Float[np.ndarray, "times p"], Float[np.ndarray, "times p"]]:
        """Mean and standard deviation of every weight at the depths `ts`, where all weights have noise at all depths;
        from the learned initial weights and every weight's own diffusion.
        """
        decay = np.exp(-self.rate * ts)[:, None]
        centre = w0 if self.centre == "w0" else np.zeros_like(w0)
        if self.start == "gaussian":
            everywhere = np.ones_like(decay)
            return everywhere * centre[None], everywhere * (sigma / (2 * self.rate) ** 0.5)[None]
        variance = (1 - decay**2) / (2 * self.rate) if self.rate else ts[:, None]
        return centre[None] + (w0 - centre)[None] * decay, np.sqrt(variance) * sigma[None]


def real_number(got: str, value: Any) -> float:
    """The number as Python has it. **Raises:** `InputError`, a sentence that starts with `got`, for anything else."""
    try:
        if np.ndim(value) == 0 and not isinstance(value, str | bytes):
            return float(value)
    except TypeError:
        pass
    raise InputError(f"{got}={value!r}; it takes one real number that is known, not an array or what JAX traces.")


_NAMES = {"sigma_scale": ("fan_in", "constant"), "centre": ("w0", "zero"), "start": ("learned", "gaussian")}
