"""The order in which training sees the examples."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int

from sdebnn.errors import InputError


def batches(
    n: int, batch_size: int, *, seed: int, epoch: int, drop_last: bool = True
) -> Iterator[Int[np.ndarray, " batch"]]:
    """One epoch's mini-batches, as indices into the training examples.

    The order depends on `seed` and `epoch` alone, so that a run which is taken up again sees the batches that it would
    have seen.

    **Arguments:**

    - `n`: how many examples there are.
    - `batch_size`: how many go into one batch.
    - `seed`, `epoch`: whole numbers, 0 or more.
    - `drop_last`: leave out a last batch that is not full, so that all batches have one shape.

    **Returns:** an iterator over index arrays; each example is in at most one of them.

    **Raises:** `InputError` when there would be no batch.
    """
    if batch_size < 1 or n < (batch_size if drop_last else 1):
        raise InputError(
            f"{n} examples in batches of {batch_size} make no full batch; give a batch size from 1 to the number of "
            "examples."
        )
    if seed < 0 or epoch < 0:
        raise InputError(f"seed and epoch must be 0 or more, but they are {seed} and {epoch}.")
    order = np.random.default_rng([seed, epoch]).permutation(n)
    stop = n - n % batch_size if drop_last else n
    return (order[start : start + batch_size] for start in range(0, stop, batch_size))
