"""Laws of the noise of real targets, of scale 1."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from sdebnn.errors import InputError

_erf = np.vectorize(math.erf, otypes=[np.float64])


class NoiseLaw(NamedTuple):
    """Log-density, in nats, and distribution function of a residual in units of the scale."""

    log_density: Callable[[Any], Any]
    cdf: Callable[[Any], Any]


NOISE_LAWS = {
    "gaussian": NoiseLaw(
        lambda z: -0.5 * z**2 - 0.5 * math.log(2 * math.pi), lambda z: 0.5 * (1 + _erf(z / math.sqrt(2)))
    ),
    "laplace": NoiseLaw(lambda z: -np.abs(z) - math.log(2), lambda z: 0.5 + 0.5 * np.sign(z) * -np.expm1(-np.abs(z))),
    "cauchy": NoiseLaw(lambda z: -np.log1p(z**2) - math.log(math.pi), lambda z: 0.5 + np.arctan(z) / math.pi),
}
"""By name. The scale is the standard deviation of the Gaussian, the mean absolute deviation of the Laplace law, and
half the distance between the quartiles of the Cauchy law, which has no moments."""


def noise_law(name: str) -> NoiseLaw:
    """The law of that name. **Raises:** `InputError` for another name."""
    if name not in NOISE_LAWS:
        raise InputError(f"The noise {name!r} is not allowed: it takes {', '.join(NOISE_LAWS)}.")
    return NOISE_LAWS[name]
