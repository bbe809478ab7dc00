"""What is observed of the latent state: the law of a value given what the decoder says of it."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from jaxsde.latent.gaussian import gaussian_log_density


@dataclasses.dataclass(frozen=True)
class Likelihood:
    """The law of the values that are observed at one time, independent of each other given the state.

    **Arguments:**

    - `log_prob`: `(decoded, y, params)` to the log density of each value of y, (width,), in nats; finite for every
      value that occurs. `decoded` is what the decoder gives.
    - `sample`: `(key, decoded, params)` to values, (width,).
    """

    log_prob: Callable[..., Any]
    sample: Callable[..., Any]


def gaussian(std: float | None = None) -> Likelihood:
    """Gaussian noise about what the decoder gives.

    **Arguments:**

    - `std`: its standard deviation, positive, in the unit of the values; it is learned unless given, and then
      `params["log_noise"]` is its logarithm, of each value or of all.

    **Raises:** `ValueError` for one that is not as above.
    """
    scale = _scale(std)

    def log_prob(decoded: Array, y: Array, params: PyTree) -> Any:
        _check_width(decoded, y)
        return gaussian_log_density(y, decoded, scale(decoded, params))

    def sample(key: Any, decoded: Array, params: PyTree) -> Any:
        return decoded + scale(decoded, params) * jax.random.normal(key, decoded.shape, decoded.dtype)

    return Likelihood(log_prob, sample)


def student_t(degrees: float, scale: float | None = None) -> Likelihood:
    """Student's t about what the decoder gives: for values of which some are far off.

    **Arguments:**

    - `degrees`: of freedom, positive.
    - `scale`: positive, in the unit of the values; learned as that of `gaussian` unless given.

    **Raises:** `ValueError` for one that is not as above.
    """
    if not degrees > 0:
        raise ValueError(f"degrees is {degrees}; Student's t takes a positive number of degrees of freedom.")
    size = _scale(scale)
    constant = math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2) - 0.5 * math.log(degrees * math.pi)

    def log_prob(decoded: Array, y: Array, params: PyTree) -> Any:
        _check_width(decoded, y)
        s = size(decoded, params)
        return constant - jnp.log(s) - 0.5 * (degrees + 1) * jnp.log1p(((y - decoded) / s) ** 2 / degrees)

    def sample(key: Any, decoded: Array, params: PyTree) -> Any:
        return decoded + size(decoded, params) * jax.random.t(key, degrees, decoded.shape, decoded.dtype)

    return Likelihood(log_prob, sample)


def poisson() -> Likelihood:
    """Counts, whose log rate is what the decoder gives.

    What is no count has a density of zero; draws at rates beyond the integers are NaN.
    """

    def log_prob(decoded: Array, y: Array, params: PyTree) -> Any:
        _check_width(decoded, y)
        density = y * decoded - jnp.exp(decoded) - jax.scipy.special.gammaln(y + 1)
        return jnp.where((y < 0) | (y != jnp.floor(y)), -jnp.inf, density)

    def sample(key: Any, decoded: Array, params: PyTree) -> Any:
        rate = jnp.exp(decoded)
        count = jax.random.poisson(key, rate, decoded.shape)
        # Integers end, and say nothing of it.
        return jnp.where(rate < jnp.iinfo(count.dtype).max / 2, count.astype(decoded.dtype), jnp.nan)

    return Likelihood(log_prob, sample)


def _check_width(decoded: Array, y: Array) -> None:
    if decoded.shape != y.shape:
        raise ValueError(
            f"The decoder gives shape {decoded.shape} for values of width {y.size}, one for each being {y.shape}; take "
            "a decoder of that width."
        )


def _scale(given: float | None) -> Callable[[Array, PyTree], Any]:
    if given is not None and not 0 < given < math.inf:
        raise ValueError(f"The scale of noise is {given}; it is a positive, finite number, or None to be learned.")

    def scale(decoded: Array, params: PyTree) -> Any:
        if given is None:
            found = jnp.shape(params["log_noise"]) if "log_noise" in params else "missing"
            if found not in ((), decoded.shape):
                raise ValueError(
                    f"params['log_noise'] is {found}; where the size of noise is learned it has shape (), or "
                    f"{decoded.shape} for each value."
                )
            return jnp.broadcast_to(jnp.exp(params["log_noise"]), decoded.shape)
        return jnp.full(decoded.shape, given, decoded.dtype)

    return scale
