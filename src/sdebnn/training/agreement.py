"""What several processes that train together agree on before they take steps: that they are of one run, and that the
first of them, which alone has to do with the run folder, could use it.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator

from sdebnn.data import Dataset
from sdebnn.errors import InputError, PeerError
from sdebnn.runs import TrainConfig
from sdebnn.training.learner import Learner
from sdebnn.training.task import Task

MOST = 2**28 - 1


def refuse_different_runs(config: TrainConfig, dataset: Dataset, largest: Callable[[int], int]) -> None:
    """Compares the choices and the data of the processes that train together; all of them call it, before anything is
    built.

    **Arguments:**

    - `largest`: gives the largest of the processes' numbers, each from 0 to `MOST`; all of them call it.

    **Raises:** `InputError`, in every process, where they differ.
    """
    # Each host may have the data under a path of its own.
    choices = {name: value for name, value in config.to_json().items() if name != "data"}
    parts = {"choices": json.dumps(choices), "data": str(Task.of(dataset))}
    # All are compared before one is refused: the others wait for as many answers.
    differing = [name for name, text in parts.items() if not _are_equal(text, largest)]
    if differing:
        raise InputError(
            f"The processes of this run were started with different {' and '.join(differing)}; start all of them with "
            "the same flags and the same files."
        )


@contextlib.contextmanager
def first_alone(learner: Learner) -> Iterator[None]:
    """A block in which the first process does something alone; all of them enter it, and leave it together.

    **Raises:** `PeerError` in the others, where the first fails: they would wait for it.
    """
    try:
        yield
    except BaseException:
        with contextlib.suppress(PeerError):
            learner.largest_of_ranks(1)
        raise
    if learner.largest_of_ranks(0):
        raise PeerError


def _are_equal(text: str, largest: Callable[[int], int]) -> bool:
    number = int(hashlib.sha256(text.encode()).hexdigest(), 16) & MOST
    return largest(number) + largest(MOST - number) == MOST
