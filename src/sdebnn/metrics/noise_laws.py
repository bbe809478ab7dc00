"""Laws of the noise of real targets: the one list of them, from which the choices of a run take their names.

A law here, and the likelihood of its name in `sdebnn.brax.learning.likelihoods` and in
`sdebnn.torchbnn.learning.likelihoods`, are all that a new one needs.
"""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

# Its submodules are imported when they are asked for: scipy.stats alone takes as long as all else of the command line.
import scipy

from sdebnn.errors import InputError
from sdebnn.spelling import refuse_unknown

STUDENT_T_DOF = 4.0
"""Degrees of freedom, where nothing else is said: few enough for outliers, with a variance (Lange, Little and Taylor,
Robust statistical modeling using the t distribution, 1989)."""

STUDENT_T_INPUT_DOF = 10.0
"""The same where the scale depends on the input: an outlier is most often an input whose scale was guessed too small,
and with ten degrees it costs tens of nats less, while at the same scale an interval of 95 % is 14 % wider."""

MOST_LOG_STD = 15.0
"""Of targets in units of their own standard deviation; of smaller and larger ones single precision has no inverse
square."""

MOST_LOG_RATE = 20.0
"""Of counts, which a machine draws as whole numbers of 32 bits."""

MOST_COUNT = 2**24
"""The largest count up to which single precision has all whole numbers."""

# From here on Stirling's series, to its first term, is as good as single precision.
LARGE_COUNT = 16.0


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


TargetLaw: TypeAlias = Literal[
    "gaussian", "gaussian_input", "laplace", "cauchy", "student_t", "student_t_input", "poisson"
]
"""The names of `TARGET_LAWS`, for editors."""

NOISE_LAWS = {
    "gaussian": NoiseLaw(lambda: scipy.stats.norm, "errors of one size"),
    "gaussian_input": NoiseLaw(lambda: scipy.stats.norm, "errors whose size depends on the input"),
    "laplace": NoiseLaw(lambda: scipy.stats.laplace, "errors of many sizes"),
    "cauchy": NoiseLaw(lambda: scipy.stats.cauchy, "outliers however far"),
    "student_t": NoiseLaw(lambda: scipy.stats.t(STUDENT_T_DOF), "errors of one size but for outliers"),
    "student_t_input": NoiseLaw(
        lambda: scipy.stats.t(STUDENT_T_INPUT_DOF), "errors whose size depends on the input, but for outliers"
    ),
}
"""By name. The scale is the standard deviation of the Gaussian, the mean absolute deviation of the Laplace law, and
half the distance between the quartiles of the Cauchy law, which has no moments; the variance of Student's law, of four
degrees of freedom, is twice the square of its scale. Where the network gives the scale for each input the Gaussian is
the same, and Student's law has ten degrees, with a variance of 5/4."""


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


def poisson_log_prob(of: Any, log_gamma: Callable[[Any], Any], log_rate: Any, counts: Any) -> Any:
    """The logarithm of the probability of counts y by Poisson's law, y log_rate - exp(log_rate) - log y!, in nats.

    Of large counts its terms are large and nearly cancel: of 1e7 nothing is left in single precision. There it is
    -y (exp(x) - 1 - x) with x = log_rate - log y, less what Stirling's series has for y!.

    **Arguments:**

    - `of`: the module of the arrays, `jax.numpy` or `torch`; `log_gamma`: its logarithm of the gamma function.
    - `log_rate`, `counts`: of one shape.
    """
    small, large = of.clip(counts, max=LARGE_COUNT), of.clip(counts, min=LARGE_COUNT)
    directly = small * log_rate - of.exp(log_rate) - log_gamma(small + 1)
    x = log_rate - of.log(large)
    inverse = 1 / large
    remainder = inverse * (1 / 12 - inverse**2 * (1 / 360 - inverse**2 / 1260))
    by_series = large * (x - of.expm1(x)) - 0.5 * of.log(2 * math.pi * large) - remainder
    return of.where(counts < LARGE_COUNT, directly, by_series)


def noise_law(name: str) -> NoiseLaw:
    """The law of that name. **Raises:** `InputError` for another name."""
    refuse_unknown(name, NOISE_LAWS, "a law of noise")
    return NOISE_LAWS[name]


def check_dof(law: object, dof: float) -> None:
    """**Raises:** `InputError` for what cannot be the degrees of freedom of `law`, a Student's t."""
    if not 0 < dof < math.inf:
        raise InputError(f"{type(law).__name__} got dof={dof!r}; its degrees of freedom are a finite number above 0.")


def student_t_variance(dof: float) -> float:
    """The variance of Student's t of scale 1, which is infinite up to two degrees of freedom."""
    return dof / (dof - 2) if dof > 2 else math.inf
