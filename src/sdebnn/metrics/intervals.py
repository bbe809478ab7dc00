"""Intervals of predictions of real numbers: where they end, how wide they are, and how many targets they hold.

Targets are (n,), or (n, d) for d numbers an example.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

from sdebnn.errors import InputError
from sdebnn.metrics.contract import Values, as_array, check_pair, check_samples, check_std
from sdebnn.metrics.noise_laws import noise_law

# Shares of targets below the ends of the central 95 % interval.
CENTRAL_95 = (0.025, 0.975)
# Of a quantile, in the larger of its own size and the spread of the law.
PRECISION = 1e-12
MOST_STEPS = 200


def interval_coverage(y: Values, lower: Values, upper: Values) -> float:
    """Share of targets that lie in their predicted interval, ends included.

    **Arguments:**

    - `y`: targets.
    - `lower`, `upper`: ends of the intervals, each of the shape of `y`.
    """
    targets, low, high = _interval(y, lower, upper)
    return float(np.mean((low <= targets) & (targets <= high)))


def in_central_interval(cdf: Values) -> Bool[np.ndarray, "..."]:
    """Whether targets lie in the central 95 % interval of a prediction that gives `cdf` to values up to them."""
    probabilities = as_array("cdf", cdf)
    return (probabilities >= CENTRAL_95[0]) & (probabilities <= CENTRAL_95[1])


def interval_width(lower: Values, upper: Values) -> float:
    """Mean width of intervals, in the targets' unit: of two that hold as many targets the narrower says more.

    Arguments as for `interval_coverage`.
    """
    _, low, high = _interval(lower, lower, upper)
    return float(np.mean(high - low))


def interval_score(y: Values, lower: Values, upper: Values, *, confidence_level: float = 0.95) -> float:
    """Mean width of intervals, plus 2 / (1 - confidence_level) times how far targets lie beyond them; in the targets'
    unit, 0 is best. A proper score of central intervals: the true quantiles have the lowest, and neither wide nor
    narrow ones win by it.

    **Arguments:**

    - `y`, `lower`, `upper`: as for `interval_coverage`.
    - `confidence_level`: share of targets that the intervals are to hold, between 0 and 1.

    Gneiting and Raftery, Strictly proper scoring rules, prediction, and estimation, 2007, section 6.2.
    """
    _check_share("confidence_level", confidence_level)
    targets, low, high = _interval(y, lower, upper)
    beyond = np.maximum(low - targets, 0) + np.maximum(targets - high, 0)
    return float(np.mean(high - low + 2 / (1 - confidence_level) * beyond))


def mixture_quantile(q: float, means: Values, std: Values, *, noise: str = "gaussian") -> Float[np.ndarray, "..."]:
    """Values up to which the targets lie with probability `q`, under the mean of several predictions: the inverse of
    `mixture_cdf`. The central 95 % interval ends at those of 0.025 and 0.975.

    **Arguments:**

    - `q`: between 0 and 1.
    - `means`: (samples, *shape of the targets): the centre of each posterior sample's prediction.
    - `std`: above 0, of a shape that broadcasts to that of the targets; the scale where the noise is no Gaussian.
    - `noise`: a name in `NOISE_LAWS`.

    **Returns:** of the targets' shape.
    """
    _check_share("q", q)
    samples, law = check_samples(means), noise_law(noise)
    deviations = check_std(std, samples.shape[1:])
    centre, spread = samples.mean(axis=0), deviations + np.ptp(samples, axis=0)
    return bisect(lambda y: np.mean(law.cdf((y - samples) / deviations), axis=0), q, centre, spread)[1]


def bisect(
    cdf: Callable[[Float[np.ndarray, "*shape"]], Float[np.ndarray, "*shape"]],
    q: float | Float[np.ndarray, "..."],
    centre: Float[np.ndarray, "*shape"],
    spread: Float[np.ndarray, "*shape"],
    *,
    precision: float = PRECISION,
) -> tuple[Float[np.ndarray, "*shape"], Float[np.ndarray, "*shape"]]:
    """The smallest y at which `cdf` is `q` or more, for every entry by itself: a number just below it, and one just
    above or equal to it.

    **Arguments:**

    - `cdf`: rises from below `q` to `q` or more, in every entry.
    - `q`: between 0 and 1; one, or of a shape that broadcasts to that of y.
    - `centre`, `spread`: where the search begins, and how far to either side; it reaches further where it has to.
    - `precision`: of y, in the larger of its own size and `spread`.
    """
    low, high = centre - spread, centre + spread
    for _ in range(MOST_STEPS):
        above, below = cdf(low) >= q, cdf(high) < q
        if not (above | below).any():
            break
        width = 2 * (high - low)
        low, high = np.where(above, low - width, low), np.where(below, high + width, high)
    for _ in range(MOST_STEPS):
        if (high - low <= precision * np.maximum(np.abs(high), spread)).all():
            break
        middle = low + (high - low) / 2
        reached = cdf(middle) >= q
        low, high = np.where(reached, low, middle), np.where(reached, middle, high)
    return low, high


def _interval(
    y: Values, lower: Values, upper: Values
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    targets, low = check_pair(y, lower, "lower")
    _, high = check_pair(y, upper, "upper")
    if (low > high).any():
        raise InputError("lower is above upper in at least one interval; the ends may have been swapped.")
    return targets, low, high


def _check_share(name: str, value: float) -> None:
    if as_array(name, value).ndim or not 0 < value < 1:
        raise InputError(f"{name}={value!r} is not allowed: it takes a number between 0 and 1.")
