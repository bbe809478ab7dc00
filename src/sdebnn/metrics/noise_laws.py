"""Laws of the noise of real targets: the one list of them, from which the choices of a run take their names.

A law here, and the likelihood of its name in `sdebnn.brax.learning.likelihoods` and in
`sdebnn.torchbnn.learning.likelihoods`, are all that a new one needs.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

# Its submodules are imported when they are asked for: scipy.stats alone takes as long as all else of the command line.
import scipy

from sdebnn.errors import InputError
from sdebnn.spelling import refuse_unknown

STUDENT_T_DOF = 4.0
"""Degrees of freedom, where nothing else is said: few enough for outliers, with a variance (Lange, Little and Taylor,
Robust statistical modeling using the t distribution, 1989)."""

MOST_LOG_STD = 15.0
"""Of targets in units of their own standard deviation; of smaller and larger ones single precision has no inverse
square."""

MOST_LOG_RATE = 20.0
"""Of counts, which a machine draws as whole numbers of 32 bits."""


class NoiseLaw(NamedTuple):
    """A law of scale 1 about 0.

    `distribution` gives it, as `scipy.stats` has it; `errors` says which targets it is for.
    """

    distribution: Callable[[], Any]
    errors: str

    def log_density(self, z: Any) -> Any:
        """Log-density, in nats, of residuals `z` in units of the scale, of any shape."""
        return self.distribution().logpdf(z)

    def cdf(self, z: Any) -> Any:
        """Probability of residuals up to `z`, in units of the scale, of any shape."""
        return self.distribution().cdf(z)


NOISE_LAWS = {
    "gaussian": NoiseLaw(lambda: scipy.stats.norm, "errors of one size"),
    "gaussian_input": NoiseLaw(lambda: scipy.stats.norm, "errors whose size depends on the input"),
    "laplace": NoiseLaw(lambda: scipy.stats.laplace, "errors of many sizes"),
    "cauchy": NoiseLaw(lambda: scipy.stats.cauchy, "outliers however far"),
    "student_t": NoiseLaw(lambda: scipy.stats.t(STUDENT_T_DOF), "errors of one size but for outliers"),
}
"""By name. The scale is the standard deviation of the Gaussian, which the network may give for each input, the mean
absolute deviation of the Laplace law, and half the distance between the quartiles of the Cauchy law, which has no
moments; the variance of Student's law, of four degrees of freedom, is twice the square of its scale."""


COUNT_LAWS = {"poisson": "counts, whole numbers from 0, which are not standardised"}
"""Laws of counts, by name, and which targets they are for. The network says what they have in place of a scale."""

TARGET_LAWS = {**{name: law.errors for name, law in NOISE_LAWS.items()}, **COUNT_LAWS}
"""All laws of targets, by name, and which targets they are for."""


def bounded_logarithm(of: Any, logarithm: Any, most: float = MOST_LOG_STD) -> Any:
    """The logarithm of a standard deviation or a rate that a network gives, kept in bounds: an example that is far away
    may ask for any. Within, hardly changed.

    **Arguments:**

    - `of`: the module of `logarithm`, which has `tanh`: `jax.numpy` or `torch`.
    - `most`: its size is less than that.
    """
    return most * of.tanh(logarithm / most)


def noise_law(name: str) -> NoiseLaw:
    """The law of that name. **Raises:** `InputError` for another name."""
    refuse_unknown(name, NOISE_LAWS, "a law of noise")
    return NOISE_LAWS[name]


def check_dof(dof: float) -> None:
    """**Raises:** `InputError` for what cannot be the degrees of freedom of Student's t."""
    if not 0 < dof < math.inf:
        raise InputError(f"StudentT got dof={dof!r}; its degrees of freedom are a finite number above 0.")


def student_t_variance(dof: float) -> float:
    """The variance of Student's t of scale 1, which is infinite up to two degrees of freedom."""
    return dof / (dof - 2) if dof > 2 else math.inf
