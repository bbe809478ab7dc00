"""Holding examples out: the same ones for the same seed, in the same proportions of each class."""

from dataclasses import replace

import numpy as np
from jaxtyping import Int, Shaped

from sdebnn.data.dataset import Dataset
from sdebnn.data.held_out import hold_out
from sdebnn.data.streamed import StreamedDataset
from sdebnn.errors import InputError


def train_validation_split(
    dataset: Dataset, fraction: float, seed: int
) -> tuple[Dataset, Shaped[np.ndarray, "n ..."], Shaped[np.ndarray, "n ..."]]:
    """Takes validation examples away from the training examples; the test examples stay as they are.

    **Arguments:**

    - `dataset`: to split.
    - `fraction`: of the training examples to hold out, in (0, 1).
    - `seed`: the same seed holds out the same examples. Classes keep their proportions, to within one example.

    **Returns:** the data set with fewer training examples, then x and y of the validation examples.

    **Raises:** `InputError` when no example would be left on one of the sides, for a negative seed, and for a
    `StreamedDataset`.
    """
    if isinstance(dataset, StreamedDataset):
        raise InputError(
            f"A share of {fraction} of {dataset.name} cannot be held out: its training examples come in batches; take "
            "validation=0."
        )
    keep, held = hold_out(len(dataset.x_train), fraction, seed, labels(dataset))
    rest = replace(dataset, x_train=dataset.x_train[keep], y_train=dataset.y_train[keep])
    return rest, dataset.x_train[held], dataset.y_train[held]


def labels(dataset: Dataset) -> Int[np.ndarray, " n"] | None:
    """The training labels, or `None` for regression, whose targets have no classes to keep in proportion."""
    return dataset.y_train if dataset.task == "classification" else None
