"""The depth from 0 to 1, cut where weights have noise and where they have none."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from sdebnn.errors import InputError


class Section(NamedTuple):
    """A stretch of depth, from `start` to `end`, on which the weights have noise or do not."""

    start: float
    end: float
    noisy: bool


def sections(first: float, last: float) -> list[Section]:
    """Those of weights that have noise from depth `first` to `last`."""
    cuts = (Section(0.0, first, False), Section(first, last, True), Section(last, 1.0, False))
    return [section for section in cuts if section.end > section.start]


def check_depths(ts: Float[np.ndarray, "..."]) -> None:
    """**Raises:** `InputError` unless depths at which a weight path is asked for increase from 0 to 1."""
    if ts.ndim != 1 or len(ts) < 2 or ts[0] != 0 or ts[-1] != 1 or not (np.diff(ts) > 0).all():
        raise InputError(f"A weight path was asked for at the depths {ts}; they must increase from 0 to 1.")
