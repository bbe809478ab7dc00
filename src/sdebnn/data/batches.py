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
    order = _order(n, seed, epoch)
    stop = n - n % batch_size if drop_last else n
    return (order[start : start + batch_size] for start in range(0, stop, batch_size))


def batch_stream(n: int, batch_size: int, *, seed: int, start: int = 0) -> Iterator[Int[np.ndarray, " batch"]]:
    """Full batches without end, cut one after the other from the orders of epoch 0, 1, ...: what is left of one epoch
    makes a batch with the first of the next. After k batches every example has come at least k `batch_size` // n times,
    and at most once more. Where `batch_size` divides n they are those of `batches`.

    Batch k depends on `seed` and k alone, so that a run which is taken up again sees the batches that it would have
    seen.

    **Arguments:**

    - `n`, `batch_size`, `seed`: as for `batches`.
    - `start`: number of the first batch that is given, from 0.

    **Returns:** an iterator over index arrays.

    **Raises:** `InputError` when there would be no batch.
    """
    batches(n, batch_size, seed=seed, epoch=0)
    return _stream(n, batch_size, seed, start)


def _stream(n: int, batch_size: int, seed: int, start: int) -> Iterator[Int[np.ndarray, " batch"]]:
    epoch, used = divmod(start * batch_size, n)
    left = _order(n, seed, epoch)[used:]
    while True:
        if len(left) < batch_size:
            epoch += 1
            left = np.concatenate([left, _order(n, seed, epoch)])
        yield left[:batch_size]
        left = left[batch_size:]


def _order(n: int, seed: int, epoch: int) -> Int[np.ndarray, " n"]:
    return np.random.default_rng([seed, epoch]).permutation(n)
