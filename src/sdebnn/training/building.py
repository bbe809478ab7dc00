"""The framework's learner, or a sentence where it does not fit into memory."""

from collections.abc import Callable

from sdebnn.data import Dataset
from sdebnn.errors import InputError
from sdebnn.runs import TrainConfig
from sdebnn.training.learner import Learner

Build = Callable[[TrainConfig, Dataset], Learner]

# JAX, and PyTorch on GPUs and CPUs, have no common error for it.
_SIGNS = ("resource_exhausted", "out of memory", "not enough memory", "can't allocate memory")


def built(build: Build, config: TrainConfig, dataset: Dataset) -> Learner:
    """The learner that `build` makes. **Raises:** `InputError` as `build` does, and when memory does not suffice."""
    try:
        return build(config, dataset)
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(sign in str(error).lower() for sign in _SIGNS):
            raise
        raise InputError(
            f"The network has more weights than fit into memory ({' '.join(str(error).split())}); take a smaller width "
            f"(now {config.width}), augment (now {config.augment}) or drift_widths (now {config.drift_widths})."
        ) from error
