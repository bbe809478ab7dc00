"""Which examples are held out."""

import numpy as np
from jaxtyping import Int

from sdebnn.errors import InputError

Indices = Int[np.ndarray, "_"]


def hold_out(n: int, fraction: float, seed: int, classes: Int[np.ndarray, " n"] | None) -> tuple[Indices, Indices]:
    """Which of n examples to keep and which to hold out, both in increasing order.

    The examples are shuffled and then sorted by class, and the held-out ones are taken at even distances, so each class
    gives its share to within one example.
    """
    count = round(n * fraction) if 0 < fraction < 1 else 0
    if not 0 < count < n:
        raise InputError(
            f"A fraction of {fraction} of {n} examples leaves nothing on one side; give a fraction between 0 and 1 "
            "that holds out at least one example and keeps at least one."
        )
    if seed < 0:
        raise InputError(f"seed must be 0 or more, but it is {seed}.")
    order = np.random.default_rng(seed).permutation(n)
    if classes is not None:
        order = order[np.argsort(classes[order], kind="stable")]
    held = np.zeros(n, bool)
    held[order[(2 * np.arange(count) + 1) * n // (2 * count)]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)
