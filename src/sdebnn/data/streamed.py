"""A data set whose training examples come in batches of one's own, because they do not fit into memory or are made as
they are needed.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, no_type_check

import numpy as np

from sdebnn.data.answers import as_answers
from sdebnn.data.dataset import Dataset, check_labels
from sdebnn.data.inputs import as_inputs
from sdebnn.errors import InputError


# Arrays come from a user's own code: the checks below answer for their types, in sentences.
@no_type_check
@dataclass(frozen=True, kw_only=True)
class StreamedDataset(Dataset):
    """A `Dataset` that trains on batches of one's own: a PyTorch `DataLoader`, slices of a memory map, a generator.

    **Arguments:** those of `Dataset`, of which `x_train` and `y_train` are a sample of the training examples: it shows
    what all are like and how common their classes are; and

    - `stream`: gives batches, pairs (x, y) of n examples each, NumPy arrays or what becomes one, such as tensors of a
      CPU: as many as `batch_size` says, or fewer. It is gone through again whenever it ends, as a `DataLoader` can be;
      a generator, which cannot, has to have as many batches as the run has gradient steps. A run that is taken up again
      passes over as many as it had taken, so it sees what it would have seen where the order is the same again.
      Of several processes that train together each takes the whole batch from its own stream, the same one.
    - `size`: how many training examples there are: the KL is divided by it, and epochs are counted by it.

    **Raises:** `InputError` as `Dataset`, for a stream that cannot be gone through, and for a size below 1; while it
    trains, for batches that are unlike `x_train` and `y_train`, and when there are no more.
    """

    stream: Iterable[Any]
    size: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.stream, Iterable):
            raise InputError(
                f"stream of {self.name} is a {type(self.stream).__name__}, but it must be something to go through in a "
                "loop that gives batches (x, y): a DataLoader, a list, a generator; call a function that makes one."
            )
        if isinstance(self.size, bool) or not isinstance(self.size, int | np.integer) or self.size < 1:
            raise InputError(f"size of {self.name} is {self.size!r}; it takes the number of all training examples.")

    @property
    def train_size(self) -> int:
        return int(self.size)

    def training_batches(
        self, batch_size: int, *, seed: int, start: int = 0
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        number = 0
        while True:
            before = number
            for batch in self.stream:
                number += 1
                if number > start:
                    yield self._checked(batch, f"Batch {number} of {self.name}", batch_size)
            if number == before:
                raise InputError(
                    f"The batches of {self.name} have ended after {number}, before the run has; give a stream that can "
                    "be gone through again, such as a DataLoader or a list, or a generator without end, or take so "
                    f"many gradient steps: max_steps={number}."
                )

    def _checked(self, batch: Any, what: str, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        if not isinstance(batch, list | tuple) or len(batch) != 2:
            raise InputError(f"{what} is a {type(batch).__name__}, but it must be a pair (x, y).")
        x, y = np.asarray(batch[0]), np.asarray(batch[1])
        examples, answers = (array.shape[0] if array.ndim else 0 for array in (x, y))
        if examples != answers or not 0 < examples <= batch_size:
            raise InputError(
                f"{what} has {examples} examples and {answers} answers, but the run takes batches of up to "
                f"{batch_size}; give as many of both, and choose batch_size={max(examples, 1)} for as many."
            )
        images = self.x_train.ndim == 4
        x = as_inputs(x, f"x of {what}", layout="images" if images else "table", like=str(self.x_train.dtype))
        y = as_answers(y, f"y of {what}", self.task)
        if self.num_classes is not None:
            check_labels(f"y of {what}", y, self.num_classes)
        for letter, array, like in (("x", x, self.x_train), ("y", y, self.y_train)):
            if array.shape[1:] != like.shape[1:] or array.dtype != like.dtype:
                raise InputError(
                    f"{letter} of {what} is {array.dtype} of shape {array.shape}, but an example of {letter}_train is "
                    f"{like.dtype} of shape {like.shape[1:]}; both must be alike."
                )
        return x, y
