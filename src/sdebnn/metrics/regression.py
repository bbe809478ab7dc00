"""Scores of predictions of real numbers. Targets are (n,), or (n, d) for d numbers an example."""

import math

import numpy as np
from jaxtyping import Float

from sdebnn.errors import InputError
from sdebnn.metrics.contract import Values, as_array, check_mixture, check_pair, check_std
from sdebnn.metrics.noise_laws import noise_law


def rmse(y: Values, mean: Values) -> float:
    """Root of the mean squared error, in the targets' unit.

    **Arguments:**

    - `y`: targets.
    - `mean`: predicted means, of the same shape.
    """
    targets, means = check_pair(y, mean, "mean")
    return float(np.sqrt(np.mean((targets - means) ** 2)))


def gaussian_log_likelihood(y: Values, mean: Values, std: Values) -> float:
    """Log-density of an example's targets under independent Gaussians, in nats: summed over d, mean over examples.

    **Arguments:**

    - `y`: targets.
    - `mean`: of the same shape.
    - `std`: above 0, in the targets' unit, of a shape that broadcasts to theirs.
    """
    return mixture_log_likelihood(y, as_array("mean", mean)[None], std)


def mixture_log_likelihood(y: Values, means: Values, std: Values, *, noise: str = "gaussian") -> float:
    """Log-density of an example's targets under the mean of several predictions, in nats, mean over examples.

    **Arguments:**

    - `y`: targets.
    - `means`: (samples, *shape of y): the centre of each posterior sample's prediction.
    - `std`: as for `gaussian_log_likelihood`; the scale where the noise is of another law.
    - `noise`: a name in `NOISE_LAWS`.
    """
    return float(np.mean(mixture_log_probs(noise_log_probs(y, means, std, noise=noise))))


def noise_log_probs(
    y: Values, means: Values, std: Values, *, noise: str = "gaussian"
) -> Float[np.ndarray, "samples n"]:
    """Log-density of every example's targets under each of several predictions, in nats.

    Arguments as for `mixture_log_likelihood`.
    """
    law = noise_law(noise)
    (targets, samples), deviations = check_mixture(y, means), check_std(std, np.shape(y))
    log_density = law.log_density((targets[None] - samples) / deviations[None]) - np.log(deviations)[None]
    return log_density.reshape(*log_density.shape[:2], -1).sum(axis=2)


def mixture_log_probs(log_probs: Values) -> Float[np.ndarray, " n"]:
    """Log-probability of every example's answer under the mean of several predictions, in nats: the logarithm of the
    mean of their probabilities.

    **Arguments:**

    - `log_probs`: (samples, n): under each posterior sample; minus infinity for the impossible.
    """
    values = as_array("log_probs", log_probs).astype(np.float64)
    if values.ndim != 2 or values.size == 0:
        raise InputError(f"log_probs has shape {values.shape}; (samples, examples), at least one of each, is needed.")
    if np.isnan(values).any() or np.isposinf(values).any():
        raise InputError("log_probs holds NaN or infinity; a log-probability is a number or minus infinity.")
    return np.logaddexp.reduce(values, axis=0) - math.log(len(values))


def mixture_cdf(y: Values, means: Values, std: Values, *, noise: str = "gaussian") -> Float[np.ndarray, "..."]:
    """Probability that the mean of several predictions gives to values up to `y`, of `y`'s shape.

    Arguments as for `mixture_log_likelihood`. A calibrated prediction makes it uniform in [0, 1].
    """
    law = noise_law(noise)
    (targets, samples), deviations = check_mixture(y, means), check_std(std, np.shape(y))
    return np.mean(law.cdf((targets[None] - samples) / deviations[None]), axis=0)


def crps_gaussian(y: Values, mean: Values, std: Values) -> float:
    """Continuous ranked probability score of Gaussian predictions, in the targets' unit, mean over targets; 0 is best.

    Arguments as for `gaussian_log_likelihood`.

    Gneiting and Raftery, Strictly proper scoring rules, prediction, and estimation, 2007, section 4.2.
    """
    targets, samples = check_mixture(y, as_array("mean", mean)[None])
    deviations = check_std(std, targets.shape)
    z = (targets - samples[0]) / deviations
    law = noise_law("gaussian")
    density = np.exp(law.log_density(z))
    return float(np.mean(deviations * (z * (2 * law.cdf(z) - 1) + 2 * density - 1 / math.sqrt(math.pi))))


def crps_samples(y: Values, samples: Values) -> float:
    """Continuous ranked probability score of samples' empirical distribution, in the targets' unit, mean over targets.

    The integral over x of (share of samples <= x, minus 1 where x >= y) squared.

    **Arguments:**

    - `y`: targets.
    - `samples`: (samples, *shape of y).
    """
    targets, drawn = check_mixture(y, samples)
    count = len(drawn)
    # Half the mean distance of two samples, from the sorted ones: no array of all pairs.
    weights = (2.0 * np.arange(1, count + 1) - count - 1).reshape(-1, *[1] * targets.ndim)
    spread = np.sum(weights * np.sort(drawn, axis=0), axis=0) / count**2
    return float(np.mean(np.mean(np.abs(drawn - targets[None]), axis=0) - spread))
