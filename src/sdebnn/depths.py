"""Depths at which a weight path is asked for."""

import numpy as np
from jaxtyping import Float

from sdebnn.errors import InputError


def check_depths(ts: Float[np.ndarray, "..."]) -> None:
    """**Raises:** `InputError` unless depths increase from 0 to 1."""
    if ts.ndim != 1 or len(ts) < 2 or ts[0] != 0 or ts[-1] != 1 or not (np.diff(ts) > 0).all():
        raise InputError(f"A weight path was asked for at the depths {ts}; they must increase from 0 to 1.")
