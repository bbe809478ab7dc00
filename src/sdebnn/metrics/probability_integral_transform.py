"""The probability integral transform: are predictions of real numbers as sure as they should be?"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from sdebnn.errors import InputError
from sdebnn.metrics.contract import Values, as_array, check_mixture, check_values

LEVELS = np.arange(1, 20) / 20


class CoverageCurve(NamedTuple):
    """Of central intervals of several levels: the share of targets that they should hold, and the share that they do.
    Observed shares below the expected are those of a prediction that is too sure of itself.
    """

    expected: Float[np.ndarray, " levels"]
    observed: Float[np.ndarray, " levels"]


def pit(y: Values, samples: Values) -> Float[np.ndarray, "..."]:
    """The probability integral transform of draws: which share of them lies below each target, those equal to it
    counting half. Of a calibrated prediction it is uniform in [0, 1]; in the middle too often where the prediction is
    too wide, at the ends where it is too narrow.

    Where the law of the prediction is known, `mixture_cdf` at the targets is the same without draws.

    **Arguments:**

    - `y`: targets (n,) or (n, d).
    - `samples`: (samples, *shape of y): draws of the predicted targets, with their noise.

    **Returns:** of `y`'s shape.

    Dawid, Statistical theory: the prequential approach, 1984; Czado, Gneiting and Held, Predictive model assessment for
    count data, 2009 (draws equal to the target).
    """
    targets, drawn = check_mixture(y, samples)
    return np.mean((drawn < targets) + 0.5 * (drawn == targets), axis=0)


def coverage_curve(pit: Values, *, levels: Values = LEVELS) -> CoverageCurve:
    """How many targets central intervals hold, for several levels: what a calibration curve draws.

    **Arguments:**

    - `pit`: the probability integral transform of the targets, by `pit` or `mixture_cdf`, of any shape, in [0, 1].
    - `levels`: (levels,): shares of targets that the intervals should hold, between 0 and 1.

    Kuleshov, Fenner and Ermon, Accurate uncertainties for deep learning using calibrated regression, 2018.
    """
    values, expected = check_pit(pit), check_values("levels", levels)
    if expected.ndim != 1 or expected.min() <= 0 or expected.max() >= 1:
        raise InputError(
            f"levels has shape {expected.shape} and lies in {expected.min():.4g} to {expected.max():.4g}; "
            "it takes one or more numbers between 0 and 1."
        )
    # As ends of an interval: a target at the end lies in it.
    low, high = 0.5 - expected / 2, 0.5 + expected / 2
    flat = values.reshape(-1, 1)
    return CoverageCurve(expected, np.mean((flat >= low) & (flat <= high), axis=0))


def check_pit(pit: Values) -> Float[np.ndarray, "..."]:
    """Numbers in [0, 1]. **Raises:** `InputError` for others."""
    values = check_values("pit", as_array("pit", pit))
    if values.min() < 0 or values.max() > 1:
        raise InputError(
            f"pit lies in {values.min():.4g} to {values.max():.4g}; a probability integral transform lies in 0 to 1: "
            "take sdebnn.metrics.pit, or mixture_cdf at the targets."
        )
    return values
